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
from sync.errors import N_, BatchSyncError
from sync.model import Told
from sync.pairing import look, pair_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from sync.databases.sqlite import SqliteDatabase
    from sync.locking.looking import Looker
    from sync.pairing import TablePair
    from sync.settings import Settings
    from sync.store import Store

DEMO = N_(
    "No source and target are set, so this is the demo, with sample data."
    " `python -m sync init` writes a settings file."
)
OTHERS_MAY_WRITE = 0o022
TABLE = N_("table {table}")
STATEMENTS = N_("{statements}")
KEYLESS = N_("Without a key a row that moved stands twice until both of its days are synced.")
MAY_CREATE = text(
    "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = :schema"
)
LACKING = text("""
    SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) AS privilege
    WHERE NOT has_table_privilege(to_regclass(:name), privilege)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, by name, and what is to be told of it.

    `ok` is None where it could not be found out.
    """

    name: Told
    ok: bool | None
    told: Told


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
        demo: bool,
    ) -> None:
        self._settings = settings
        self._demo = demo
        self._source = source
        self._target = target
        self._store = store
        self._looker = looker

    def examine(self) -> tuple[Finding, ...]:
        """Every finding, in the order in which one would mend them."""
        looks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
            (N_("settings"), self._look_at_settings),
            (N_("state directory"), self._look_at_state_dir),
            (N_("store"), self._look_at_store),
            (N_("source"), lambda: self._look_at_database(self._source)),
            (N_("target"), lambda: self._look_at_database(self._target)),
            (N_("tables"), self._look_at_tables),
            (N_("rights"), self._look_at_rights),
            (N_("lock"), self._look_at_lock),
        )
        return tuple(finding for name, look in looks for finding in _guarded(Told(name), look))

    def _look_at_settings(self) -> Iterator[Finding]:
        settings = self._settings
        if self._demo:
            yield Finding(name=Told(N_("settings")), ok=True, told=Told(DEMO))
        yield Finding(
            name=Told(N_("settings")),
            ok=True,
            told=Told(
                N_("Time zone {timezone}; tables {tables}."),
                timezone=settings.timezone,
                tables=", ".join(table.target for table in settings.tables),
            ),
        )
        yield Finding(
            name=Told(N_("connections")),
            ok=True,
            told=Told(
                N_("A run opens at most {count} database connections."),
                count=settings.connections,
            ),
        )

    def _look_at_state_dir(self) -> Iterator[Finding]:
        folder = self._settings.state_dir
        mode = folder.stat().st_mode
        ok = not mode & OTHERS_MAY_WRITE
        yield Finding(
            name=Told(N_("state directory")),
            ok=ok,
            told=Told(
                N_("{folder} has mode {mode}."),
                hint="" if ok else N_("Others may write there. Run: chmod 700 {folder}"),
                folder=folder,
                mode=f"{mode & 0o777:04o}",
            ),
        )

    def _look_at_store(self) -> Iterator[Finding]:
        self._store.open()
        told = Told(N_("{address} can be read and written."), address=self._store.address)
        yield Finding(name=Told(N_("store")), ok=True, told=told)

    def _look_at_database(self, database: PostgresDatabase | SqliteDatabase) -> Iterator[Finding]:
        with database.connect(reads=True) as connection:
            identity = database.identity(connection)
        told = Told(N_("{address} answers ({name})."), address=database.address, name=identity)
        yield Finding(name=Told(database.role), ok=True, told=told)

    def _look_at_tables(self) -> Iterator[Finding]:
        with self._source.connect() as reading, self._target.connect(reads=True) as writing:
            tables, zone = self._settings.tables, self._settings.zone
            there, here = look(
                tables,
                source=self._source,
                target=self._target,
                reading=reading,
                writing=writing,
            )
            for table in tables:
                try:
                    pair = pair_tables(table, source=there, target=here, zone=zone)
                    yield _table_finding(pair)
                except BatchSyncError as error:
                    yield _failed(Told(TABLE, table=table.target), error)

    def _look_at_rights(self) -> Iterator[Finding]:
        target = self._target
        if not isinstance(target, PostgresDatabase):
            ok = os.access(target.path.parent, os.W_OK) and os.access(target.path, os.W_OK)
            can = Told(N_("{path} is writable."), path=target.path)
            cannot = Told(
                N_("{path} is not writable."),
                hint=N_("The sync's user must be able to write {path} and its folder."),
                path=target.path,
            )
            yield Finding(name=Told(N_("rights")), ok=ok, told=can if ok else cannot)
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
        grant = f"GRANT USAGE, CREATE ON SCHEMA {quoted(schema)} TO {_role(connection)};"
        can, cannot = N_("Tables can be made there."), N_("Tables cannot be made there.")
        stand, lack = N_("Those of Batch Sync stand there."), N_("Those of Batch Sync are missing.")
        yield Finding(
            name=Told(N_("rights")),
            ok=may or known,
            told=Told(
                N_("Schema {schema}: {creating} {ours}"),
                hint="" if may or known else STATEMENTS,
                schema=schema,
                creating=Told(can if may else cannot),
                ours=Told(stand if known else lack),
                statements=" ".join((grant, *ledger.statements(connection))),
            ),
        )

    def _look_at_lock(self) -> Iterator[Finding]:
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


def _guarded(name: Told, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except (BatchSyncError, OSError, *DRIVER_ERRORS) as error:
        yield _failed(name, error)


def _failed(name: Told, error: BaseException) -> Finding:
    if isinstance(error, BatchSyncError):
        return Finding(name=name, ok=False, told=error.told)
    return Finding(name=name, ok=False, told=Told(N_("{reason}"), reason=reason(error)))


def _table_finding(pair: TablePair) -> Finding:
    stands = N_("It stands in the target; date column {column} ({type}), key {key}.")
    to_make = N_("It will be made in the target; date column {column} ({type}), key {key}.")
    told = Told(
        stands if pair.exists else to_make,
        hint="" if pair.key else KEYLESS,
        column=pair.date_column.name,
        type=pair.date_column.type,
        key=", ".join(pair.key) or Told(N_("none")),
    )
    return Finding(name=Told(TABLE, table=pair.name), ok=True, told=told)


def _table_rights(connection: Connection, target: PostgresDatabase, name: str) -> Iterator[Finding]:
    full = f"{quoted(target.schema or '')}.{quoted(name)}"
    lacking = list(connection.execute(LACKING, {"name": full}).scalars())
    if lacking:
        told = Told(
            N_("The sync's user lacks {rights} on {table}."),
            hint=STATEMENTS,
            rights=", ".join(lacking),
            table=full,
            statements=f"GRANT SELECT, INSERT, DELETE ON {full} TO {_role(connection)};",
        )
        yield Finding(name=Told(N_("rights on {table}"), table=name), ok=False, told=told)


def _role(connection: Connection) -> str:
    """The sync's user, as SQL: who pastes a GRANT is somebody else."""
    return quoted(str(connection.scalar(text("SELECT current_user"))))
