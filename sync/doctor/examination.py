"""One examination: every look, in the order in which one would mend what it finds.

Either database is connected to once; where that fails, nothing more is asked of it.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from sync.databases.failures import DRIVER_ERRORS
from sync.databases.pooler import pooled
from sync.databases.postgres import PostgresDatabase
from sync.doctor import databases, exclusion, installation, rights
from sync.doctor.finding import Finding, failed, guarded
from sync.errors import N_, ConnectError
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from sync.clock import Clock
    from sync.databases.sqlite import SqliteDatabase
    from sync.locking.lock import TargetLock
    from sync.locking.looking import Looker
    from sync.settings import Settings
    from sync.store import Store

    Database = PostgresDatabase | SqliteDatabase


class Doctor:
    """Examines one installation; changes nothing that a run would see."""

    def __init__(
        self,
        settings: Settings,
        *,
        source: Database,
        target: Database,
        store: Store,
        lock: TargetLock,
        looker: Looker,
        clock: Clock,
        demo: bool,
    ) -> None:
        self._settings = settings
        self._lock_url = settings.lock.url.get_secret_value()
        self._demo = demo
        self._source = source
        self._target = target
        self._store = store
        self._lock = lock
        self._looker = looker
        self._clock = clock

    def examine(self) -> tuple[Finding, ...]:
        """Every finding, in the order in which one would mend them."""
        with ExitStack() as connections:
            return (*self._look_here(), *self._look_there(connections))

    def _look_here(self) -> Iterator[Finding]:
        settings, store = self._settings, self._store
        yield from guarded(
            N_("settings"), lambda: installation.look_at_settings(settings, demo=self._demo)
        )
        yield from guarded(
            N_("state directory"), lambda: installation.look_at_state_dir(settings.state_dir)
        )
        yield from guarded(N_("store"), lambda: installation.look_at_store(store))
        if ask := store.clock():
            yield from guarded(
                N_("clock"), lambda: self._look_at_clock("store", store.address, ask)
            )

    def _look_there(self, connections: ExitStack) -> Iterator[Finding]:
        source, target = self._source, self._target
        reading, found = self._reached(source, connections)
        yield from found
        writing, found = self._reached(target, connections)
        yield from found
        if reading and writing:
            both = (reading, writing)
            yield from _asked(
                N_("tables"),
                both,
                lambda: databases.look_at_tables(
                    self._settings, source=source, target=target, reading=reading, writing=writing
                ),
            )
        yield from self._look_at_rights(reading, writing)
        if writing:
            yield from self._look_at_locks(writing)

    def _reached(
        self, database: Database, connections: ExitStack
    ) -> tuple[Connection | None, list[Finding]]:
        """A connection, if one can be had, and what is to be told of that database."""
        try:
            connection = connections.enter_context(database.connect(reads=True))
        except ConnectError as error:
            return None, [failed(Told(database.role), error)]
        looks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
            (database.role, lambda: databases.look_at_answer(database, connection))
        ]
        if isinstance(database, PostgresDatabase):
            looks += [
                (
                    N_("pooler"),
                    lambda: databases.look_for_pooler(
                        database, locks=database.role == "target" and not self._lock_url
                    ),
                ),
                (
                    N_("clock"),
                    lambda: self._look_at_clock(
                        database.role, database.address, lambda: database.now(connection)
                    ),
                ),
            ]
        found = [one for name, look in looks for one in _asked(name, (connection,), look)]
        return connection, found

    def _look_at_clock(
        self, role: str, address: str, ask: Callable[[], datetime]
    ) -> Iterator[Finding]:
        return databases.look_at_clock(role, address, ask, self._clock)

    def _look_at_rights(
        self, reading: Connection | None, writing: Connection | None
    ) -> Iterator[Finding]:
        source, target = self._source, self._target
        both = rights.Rights(
            self._settings, source=source, target=target, ledger=self._looker.ledger
        )
        if reading and isinstance(source, PostgresDatabase):
            yield from _asked(N_("rights"), (reading,), lambda: both.look_at_source(reading))
        if not isinstance(target, PostgresDatabase):
            yield from guarded(N_("rights"), lambda: rights.look_at_file(target))
        elif writing:
            used = (writing, reading) if reading else (writing,)
            yield from _asked(N_("rights"), used, lambda: both.look_at_target(writing, reading))

    def _look_at_locks(self, writing: Connection) -> Iterator[Finding]:
        target = self._target
        yield from _asked(
            N_("lock file"),
            (writing,),
            lambda: exclusion.look_at_files(self._lock.path(writing)),
        )
        # Behind a pooler, a run takes the lock of [lock] url alone.
        if isinstance(target, PostgresDatabase) and not (self._lock_url and pooled(writing)):
            yield from guarded(N_("session lock"), lambda: exclusion.look_at_sessions(target))
        if self._lock_url:
            yield from guarded(N_("[lock] url"), self._look_at_url)
        yield from guarded(N_("lock"), self._look_at_holder)

    def _look_at_url(self) -> Iterator[Finding]:
        # Only who uses Redis pays for loading it.
        from sync.doctor import lock_url

        yield from exclusion.look_at_url(self._lock)
        yield from lock_url.look_at_server(self._settings, self._clock)

    def _look_at_holder(self) -> Iterator[Finding]:
        conflict = self._looker.elsewhere()
        if conflict is None or conflict.holder is None:
            told = Told(N_("The lock is free: a sync can start."))
        else:
            told = Told(
                N_("The lock is held by {user}@{host} PID {pid} since {since} UTC."),
                user=conflict.holder.user,
                host=conflict.holder.host,
                pid=conflict.holder.pid,
                since=f"{conflict.holder.since:%Y-%m-%d %H:%M:%S}",
            )
        yield Finding(name=Told(N_("lock")), ok=True, told=told)


def _asked(
    name: str, connections: tuple[Connection, ...], look: Callable[[], Iterable[Finding]]
) -> Iterator[Finding]:
    """One look on open connections; an error in it must not spoil the next one's transaction."""
    yield from guarded(name, look)
    for connection in connections:
        with suppress(*DRIVER_ERRORS):
            connection.rollback()
