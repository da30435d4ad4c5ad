"""The doctor.

Looks at settings, databases, rights, store and lock, and says what stands in the way of a run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.databases.failures import DRIVER_ERRORS, reason
from sync.databases.postgres import PostgresDatabase
from sync.databases.shape import quoted
from sync.errors import BatchSyncError
from sync.planning import pair_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from sync.databases.sqlite import SqliteDatabase
    from sync.locking.looking import Looker
    from sync.planning import TablePair
    from sync.settings import Settings
    from sync.store import Store

OTHERS_MAY_WRITE = 0o022
KEYLESS = "Without a key a row that moved stands twice until both of its days are synced."
MAY_CREATE = text(
    "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = :schema"
)
LACKING = text("""
    SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) AS privilege
    WHERE NOT has_table_privilege(to_regclass(:name), privilege)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    `ok` is None where it could not be told. English text and hint.
    """

    name: str
    ok: bool | None
    text: str
    hint: str = ""


class Doctor:
    """Examines one installation; writes nothing."""

    def __init__(
        self,
        settings: Settings,
        *,
        source: PostgresDatabase | SqliteDatabase,
        target: PostgresDatabase | SqliteDatabase,
        store: Store,
        looker: Looker,
    ) -> None:
        self._settings = settings
        self._source = source
        self._target = target
        self._store = store
        self._looker = looker

    def examine(self) -> tuple[Finding, ...]:
        """Every finding, in the order in which one would mend them."""
        looks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
            ("settings", self._look_at_settings),
            ("state directory", self._look_at_state_dir),
            ("store", self._look_at_store),
            ("source", lambda: self._look_at_database(self._source)),
            ("target", lambda: self._look_at_database(self._target)),
            ("tables", self._look_at_tables),
            ("rights", self._look_at_rights),
            ("lock", self._look_at_lock),
        )
        return tuple(finding for name, look in looks for finding in _guarded(name, look))

    def _look_at_settings(self) -> Iterator[Finding]:
        settings = self._settings
        tables = ", ".join(table.target for table in settings.tables)
        yield Finding(
            name="settings", ok=True, text=f"Time zone {settings.timezone}; tables {tables}."
        )
        yield Finding(
            name="connections",
            ok=True,
            text=f"A run opens at most {settings.run.connections} database connections.",
        )

    def _look_at_state_dir(self) -> Iterator[Finding]:
        folder = self._settings.state_dir
        mode = folder.stat().st_mode
        ok = not mode & OTHERS_MAY_WRITE
        yield Finding(
            name="state directory",
            ok=ok,
            text=f"{folder} has mode {mode & 0o777:04o}.",
            hint="" if ok else f"Others may write there. Run: chmod 700 {folder}",
        )

    def _look_at_store(self) -> Iterator[Finding]:
        self._store.open()
        yield Finding(name="store", ok=True, text=f"{self._store.address} can be read and written.")

    def _look_at_database(self, database: PostgresDatabase | SqliteDatabase) -> Iterator[Finding]:
        with database.connect(reads=True) as connection:
            name = database.identity(connection)
        yield Finding(name=database.role, ok=True, text=f"{database.address} answers ({name}).")

    def _look_at_tables(self) -> Iterator[Finding]:
        with self._source.connect() as reading, self._target.connect(reads=True) as writing:
            for table in self._settings.tables:
                try:
                    pair = pair_tables(
                        table,
                        source=self._source,
                        target=self._target,
                        reading=reading,
                        writing=writing,
                        zone=self._settings.zone,
                    )
                    yield _table_finding(pair)
                except BatchSyncError as error:
                    yield _failed("table " + table.target, error)

    def _look_at_rights(self) -> Iterator[Finding]:
        target = self._target
        if not isinstance(target, PostgresDatabase):
            ok = os.access(target.path.parent, os.W_OK) and os.access(target.path, os.W_OK)
            hint = (
                "" if ok else f"The sync's user must be able to write {target.path} and its folder."
            )
            yield Finding(
                name="rights",
                ok=ok,
                text=f"{target.path} is {'' if ok else 'not '}writable.",
                hint=hint,
            )
            return
        with target.connect(reads=True) as connection:
            yield from self._create_rights(connection, target)
            for table in self._settings.tables:
                yield from _table_rights(connection, target, table.target)

    def _create_rights(self, connection: Connection, target: PostgresDatabase) -> Iterator[Finding]:
        schema = target.schema or ""
        ledger = self._looker.ledger
        may = bool(connection.scalar(MAY_CREATE, {"schema": schema}))
        known = ledger.exists(connection)
        grant = f"GRANT USAGE, CREATE ON SCHEMA {quoted(schema)} TO CURRENT_USER;"
        can, ours = "can" if may else "cannot", "stand there" if known else "do not stand there yet"
        yield Finding(
            name="rights",
            ok=may or known,
            text=f"Tables {can} be made in schema {schema}; ours {ours}.",
            hint="" if may or known else " ".join((grant, *ledger.statements(connection))),
        )

    def _look_at_lock(self) -> Iterator[Finding]:
        conflict = self._looker.elsewhere()
        if conflict is None or conflict.holder is None:
            yield Finding(name="lock", ok=True, text="The lock is free: a sync can start.")
            return
        who = conflict.holder
        since = f"{who.since:%Y-%m-%d %H:%M:%S} UTC"
        held = f"The lock is held by {who.user}@{who.host} PID {who.pid} since {since}."
        yield Finding(name="lock", ok=True, text=held)


def _guarded(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except (BatchSyncError, OSError, *DRIVER_ERRORS) as error:
        yield _failed(name, error)


def _failed(name: str, error: BaseException) -> Finding:
    if isinstance(error, BatchSyncError):
        return Finding(name=name, ok=False, text=error.sentence, hint=error.advice)
    return Finding(name=name, ok=False, text=reason(error))


def _table_finding(pair: TablePair) -> Finding:
    there = "stands in the target" if pair.exists else "will be made in the target"
    date_column = f"{pair.date_column.name} ({pair.date_column.type})"
    key = ", ".join(pair.key) or "none"
    text = f"{pair.name} {there}; date column {date_column}, key {key}."
    return Finding(name="table " + pair.name, ok=True, text=text, hint="" if pair.key else KEYLESS)


def _table_rights(connection: Connection, target: PostgresDatabase, name: str) -> Iterator[Finding]:
    full = f"{quoted(target.schema or '')}.{quoted(name)}"
    lacking = list(connection.execute(LACKING, {"name": full}).scalars())
    if lacking:
        yield Finding(
            name="rights on " + name,
            ok=False,
            text=f"The sync's user lacks {', '.join(lacking)} on {full}.",
            hint=f"GRANT SELECT, INSERT, DELETE ON {full} TO CURRENT_USER;",
        )
