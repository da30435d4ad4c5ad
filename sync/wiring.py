"""The composition root: settings → objects. The only place that picks a backend."""

from __future__ import annotations

import logging
import sys
from datetime import date, datetime
from typing import TYPE_CHECKING

import structlog
from pydantic import SecretStr
from sqlalchemy import URL

from sync import demo
from sync.clock import SystemClock
from sync.copying.attach import AttachWay
from sync.copying.stream import StreamWay
from sync.databases.failures import asking
from sync.databases.ledger import Ledger
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.engine.thread import ThreadEngine
from sync.locking.lock import TargetLock
from sync.locking.looking import Looker
from sync.locking.session import open_lock
from sync.locking.takeover import Taker
from sync.operations import Operations
from sync.parts import Parts
from sync.settings import (
    Settings,
    SourceSettings,
    TableSettings,
    TargetSettings,
    split_name,
)
from sync.snapshot import Place, SnapshotReader
from sync.store import Store
from sync.urls import is_redis, normalized_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from sync.clock import Clock
    from sync.copying.group import Way
    from sync.databases.port import Role
    from sync.locking.port import Lock
    from sync.model import RunId
    from sync.settings import RunSettings

STORE_FILE = "store.db"


def open_operations(settings: Settings) -> Operations:
    """Everything that one process needs, put together; no database is asked yet.

    Raises SettingsError, StoreError.
    """
    _log_to_stderr()
    demo_in_use = settings.demo
    if demo_in_use:
        settings = with_demo(settings)
    assert settings.source is not None
    assert settings.target is not None
    source = database(settings.source.url, role="source", schema=None, run=settings.run)
    target = database(
        settings.target.url, role="target", schema=settings.target.schema_name, run=settings.run
    )
    clock = SystemClock()
    ledger = Ledger(target.schema)
    lock = TargetLock(
        target,
        ledger,
        state_dir=settings.state_dir,
        run=settings.run,
        at_url=lock_at_url(settings, clock),
    )
    looker = Looker(target, lock, settings.run)
    taker = Taker(target, lock, settings.run)
    store = Store(_store_url(settings))
    store.open()
    target_name = f"{target.address}/{target.schema or ''}".rstrip("/")
    place = Place(
        target=target_name,
        tables=tuple(table.target for table in settings.tables),
        demo=demo_in_use,
        connections=settings.connections,
        timezone=settings.timezone,
    )
    return Operations(
        Parts(
            settings=settings,
            source=source,
            target=target,
            target_name=target_name,
            demo=demo_in_use,
            lock=lock,
            looker=looker,
            taker=taker,
            store=store,
            engine=ThreadEngine(),
            snapshots=SnapshotReader(store, looker, clock, place, _data_range(settings, source)),
            way=_way(settings, source, target),
            clock=clock,
        )
    )


def database(
    url: SecretStr, *, role: Role, schema: str | None, run: RunSettings
) -> PostgresDatabase | SqliteDatabase:
    """The database that a URL names."""
    parsed = normalized_url(url.get_secret_value())
    if parsed.get_backend_name() == "sqlite":
        return SqliteDatabase(parsed, role=role, run=run)
    return PostgresDatabase(parsed, role=role, schema=schema, run=run)


def lock_at_url(settings: Settings, clock: Clock) -> Callable[[str, RunId | None], Lock] | None:
    """What makes the lock of `[lock] url` for a target's name and a run; None without that URL."""
    text, run = settings.lock.url.get_secret_value(), settings.run
    if not text:
        return None
    if is_redis(text):
        # Only who uses Redis pays for loading it.
        from sync.locking.redis import RedisLock

        ttl_s = settings.lock.ttl_s
        # So that an answer that does not come leaves time to ask again.
        timeout_s = min(run.connect_timeout_s, max(ttl_s / 6, 1))
        return lambda name, _: RedisLock(text, name, ttl_s=ttl_s, timeout_s=timeout_s, clock=clock)
    database = PostgresDatabase(normalized_url(text), role="lock", schema=None, run=run)

    def session_lock(name: str, run_id: RunId | None) -> Lock:
        return open_lock(database, name, run_id=run_id)

    return session_lock


def with_demo(settings: Settings) -> Settings:
    """The settings of the sample databases, which are made in the state directory when missing."""
    files = demo.ensure(settings.state_dir, today=datetime.now(settings.zone).date())
    return settings.model_copy(
        update={
            "source": SourceSettings(url=SecretStr(f"sqlite:///{files.source}")),
            "target": TargetSettings(url=SecretStr(f"sqlite:///{files.target}")),
            "tables": tuple(
                TableSettings(name=name, date_column=column) for name, column in demo.TABLES
            ),
        }
    )


def _store_url(settings: Settings) -> URL:
    text = settings.store.url.get_secret_value()
    return (
        normalized_url(text)
        if text
        else URL.create("sqlite", database=str(settings.state_dir / STORE_FILE))
    )


def _way(
    settings: Settings,
    source: PostgresDatabase | SqliteDatabase,
    target: PostgresDatabase | SqliteDatabase,
) -> Callable[[RunId], Way]:
    zone, snapshot = settings.zone, settings.run.snapshot

    def way(run_id: RunId) -> Way:
        if isinstance(source, SqliteDatabase) and isinstance(target, SqliteDatabase):
            return AttachWay(source, target, zone=zone, snapshot=snapshot)
        return StreamWay(source, target, run_id=run_id, zone=zone, snapshot=snapshot)

    return way


def _data_range(
    settings: Settings, source: PostgresDatabase | SqliteDatabase
) -> Callable[[], tuple[date, date] | None]:
    """The first and the last day that any table of the source has.

    Asked, it raises ConnectError, RightsError.
    """

    def ask() -> tuple[date, date] | None:
        found: list[tuple[date, date]] = []
        with asking(source), source.connect() as connection:
            for settings_of in settings.tables:
                schema, name = split_name(settings_of.name)
                table = source.table(connection, schema, name)
                if table and table.column(settings_of.date_column):
                    days = source.first_and_last(connection, table, settings_of.date_column)
                    found += [days] if days else []
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    return ask


def _log_to_stderr() -> None:
    # Data goes to stdout; whatever is logged must not stand between it.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
