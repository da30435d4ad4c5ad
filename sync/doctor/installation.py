"""Settings, state directory and store: what of this machine a run stands on."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from sync.doctor.finding import Finding
from sync.errors import N_
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sync.settings import Settings
    from sync.store import Store

DEMO = N_(
    "No source and target are set, so this is the demo, with sample data."
    " `python -m sync init` writes a settings file."
)
OTHERS_MAY_WRITE = 0o022
ALL_MAY_WRITE, STICKY, ALL_MAY_READ = 0o002, 0o1000, 0o004


def look_at_settings(settings: Settings, *, demo: bool) -> Iterator[Finding]:
    """What is set, and whether passwords in it are for all to read."""
    name = Told(N_("settings"))
    if demo:
        yield Finding(name=name, ok=True, told=Told(DEMO))
    yield Finding(
        name=name,
        ok=True,
        told=Told(
            N_("Time zone {timezone}; tables {tables}."),
            timezone=settings.timezone,
            tables=", ".join(table.target for table in settings.tables),
        ),
    )
    file = settings.file
    if file and file.stat().st_mode & ALL_MAY_READ and _holds_password(file):
        told = Told(
            N_("{file} holds a password and has mode {mode}: everybody here can read it."),
            hint=N_("Run: chmod 600 {file}"),
            file=file,
            mode=_mode(file),
        )
        yield Finding(name=name, ok=None, told=told)
    yield Finding(
        name=Told(N_("connections")),
        ok=True,
        told=Told(
            N_("A run opens at most {count} database connections."),
            count=settings.connections,
        ),
    )


def _holds_password(file: Path) -> bool:
    sections = tomllib.loads(file.read_text(encoding="utf-8")).values()
    urls = [section.get("url") for section in sections if isinstance(section, dict)]
    return any(make_url(url).password for url in urls if url)


def look_at_state_dir(folder: Path) -> Iterator[Finding]:
    """Whether others could put a lock file of their own in place of ours."""
    # As the first start would make it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ok = not folder.stat().st_mode & OTHERS_MAY_WRITE
    yield Finding(
        name=Told(N_("state directory")),
        ok=ok,
        told=Told(
            N_("{folder} has mode {mode}."),
            hint="" if ok else N_("Others may write there. Run: chmod 700 {folder}"),
            folder=folder,
            mode=_mode(folder),
        ),
    )
    for parent in folder.resolve().parents:
        if parent.stat().st_mode & (ALL_MAY_WRITE | STICKY) == ALL_MAY_WRITE:
            told = Told(
                N_("{folder} has mode {mode}: everybody may exchange what lies in it."),
                hint=N_("Run: chmod o-w {parent}"),
                folder=parent,
                parent=parent,
                mode=_mode(parent),
            )
            yield Finding(name=Told(N_("state directory")), ok=False, told=told)


def look_at_store(store: Store) -> Iterator[Finding]:
    """Whether progress can be kept."""
    store.open()
    told = Told(N_("{address} can be read and written."), address=store.address)
    yield Finding(name=Told(N_("store")), ok=True, told=told)


def _mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:04o}"
