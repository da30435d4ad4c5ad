"""A report's file: whole or not there, and in the place of nothing but another report."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sync.errors import N_, UsageError
from sync.reporting.page import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def report_file(path: Path) -> Iterator[Callable[[str], None]]:
    """What writes the page; until it is called and the block has ended, nothing stands at `path`.

    Raises UsageError at once where it could not be written there.
    """
    with _worded(path):
        place = path.resolve()
        if place.exists() and not _is_report(place):
            raise UsageError(
                N_("{place} is there already and is no report; it was left as it is."),
                hint=N_("Name another file."),
                place=path,
            )
        new = place.with_name(f".{place.name}.{os.getpid()}.new")
        file = new.open("x", encoding="utf-8", errors="backslashreplace")

    def write(page: str) -> None:
        with _worded(path):
            file.write(page)
            file.flush()
            os.fsync(file.fileno())

    try:
        with file:
            yield write
        with _worded(path):
            new.replace(place)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _worded(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links that go in a circle
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            N_("{place} cannot be written: {reason}"), place=path, reason=why
        ) from None


def _is_report(place: Path) -> bool:
    if not place.is_file():
        return False
    with place.open("rb") as file:
        return file.read(len(BEGINNING)) == BEGINNING.encode()
