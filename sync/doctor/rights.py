"""What either role lacks, and the statements that give it the least that a run needs.

Read from the catalogue, which everybody may read: a role that may nothing yet still gets the whole
script. Nothing asks for CREATE: an administrator makes the tables, or the role makes them itself
where it may. A takeover ends sessions of the run's own role, and sees what they wait for; both need
more only where several roles sync into one schema.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.databases.shape import quoted
from sync.doctor.finding import Finding
from sync.errors import N_, SchemaError
from sync.pairing.pair import Side, pair_tables
from sync.settings import split_name
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from sync.databases.ledger import Ledger
    from sync.databases.postgres import PostgresDatabase
    from sync.databases.sqlite import SqliteDatabase
    from sync.pairing.pair import TablePair
    from sync.settings import Settings

HAS_ALL = N_("{user} has every right that a run needs in the {role}.")
NOT_FOUND = N_("{user} lacks nothing that was found in the {role}; not found there: {tables}.")
LACKS = N_("{user} lacks in the {role} {address}: {lacking}.")
RUN_THESE = N_("An administrator of that database runs:")
OURS = {
    "batch_sync_lease": ("SELECT", "INSERT", "UPDATE"),
    "batch_sync_run": ("SELECT", "INSERT", "UPDATE"),
    "batch_sync_checkpoint": ("SELECT", "INSERT", "UPDATE", "DELETE"),
}
SEVERAL_ROLES = (
    "-- Only where several roles sync there, to take over and to see what a run waits for:"
)
WHERE_WE_ARE = text("""
    SELECT current_user AS user, current_database() AS database,
           has_database_privilege(current_database(), 'TEMPORARY') AS temporary,
           has_function_privilege('pg_control_system()', 'EXECUTE') AS identity""")
SCHEMA = text("""
    SELECT has_schema_privilege(oid, 'USAGE') AS usage, has_schema_privilege(oid, 'CREATE') AS make
    FROM pg_namespace WHERE nspname = :schema""")
# Not by to_regclass: it refuses the name where USAGE on the schema lacks.
LACKING = text("""
    SELECT COALESCE(array_agg(wanted) FILTER (WHERE NOT has_table_privilege(c.oid, wanted)), '{}')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN unnest(CAST(:wanted AS text[])) AS wanted
    WHERE n.nspname = :schema AND c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    GROUP BY c.oid""")


@dataclass(frozen=True, slots=True)
class Right:
    """Something that a role needs: what it lacks of it, as SQL names it, and what grants all."""

    lacking: str
    statements: tuple[str, ...]


def look_at_file(target: SqliteDatabase) -> Iterator[Finding]:
    """Whether an SQLite target can be written: the file, and what SQLite writes beside it."""
    ok = os.access(target.path.parent, os.W_OK) and os.access(target.path, os.W_OK)
    can = Told(N_("{path} is writable."), path=target.path)
    cannot = Told(
        N_("{path} is not writable."),
        hint=N_("The sync's user must be able to write {path} and its folder."),
        path=target.path,
    )
    yield Finding(name=Told(N_("rights")), ok=ok, told=can if ok else cannot)


class Rights:
    """The rights of both roles of one installation, of whichever side is in PostgreSQL."""

    def __init__(
        self,
        settings: Settings,
        *,
        source: PostgresDatabase | SqliteDatabase,
        target: PostgresDatabase | SqliteDatabase,
        ledger: Ledger,
    ) -> None:
        self._settings = settings
        self._source = source
        self._target = target
        self._ledger = ledger

    def look_at_source(self, reading: Connection) -> Iterator[Finding]:
        """What the source's role lacks."""
        looked = {
            table.name: self._source.table(reading, *split_name(table.name))
            for table in self._settings.tables
        }
        tables = [found for found in looked.values() if found]
        missing = [name for name, found in looked.items() if not found]
        role = _Role(reading)
        rights = [
            role.database(),
            *(role.schema(schema) for schema in sorted({str(t.schema) for t in tables})),
            *(role.table(str(table.schema), table.name, ("SELECT",)) for table in tables),
            role.identity(),
        ]
        yield _finding(self._source, role.user, rights, missing=missing)

    def look_at_target(self, writing: Connection, reading: Connection | None) -> Iterator[Finding]:
        """What the target's role lacks; tables to be made are told by the source's."""
        schema, role = self._target.schema or "", _Role(writing)
        to_make = self._to_make(writing, reading) if reading else {}
        made = self._ledger.statements(writing)
        found = (table for table in self._side(self._target, writing).tables.values() if table)
        # Without them a run does all the same, save to move sequences on.
        sequences = [s.lacking for table in found for s in table.rules.sequences if s.lacking]
        rights = [
            role.database(temporary=True),
            role.schema(schema),
            *(role.table(schema, name, OURS[name], to_make=(made[name],)) for name in OURS),
            *(
                role.table(
                    schema,
                    table.target,
                    ("SELECT", "INSERT", "DELETE"),
                    to_make=to_make.get(table.target, ()),
                )
                for table in self._settings.tables
            ),
            Right("", tuple(sequences)),
            role.identity(),
        ]
        yield _finding(self._target, role.user, rights)

    def _to_make(self, writing: Connection, reading: Connection) -> dict[str, tuple[str, ...]]:
        """The DDL of each table that the target lacks and that fits."""
        # Their names for themselves may be what a right lacks for, and do not matter here.
        there = self._side(self._source, reading)
        here = self._side(self._target, writing)
        found: dict[str, tuple[str, ...]] = {}
        for table in self._settings.tables:
            try:
                pair = pair_tables(table, source=there, target=here, zone=self._settings.zone)
            except SchemaError:
                continue  # told by the look at the tables
            if not pair.exists:
                found[table.target] = self._made(pair)
        return found

    def _made(self, pair: TablePair) -> tuple[str, ...]:
        statements = self._target.create_table(pair.target, pair.target_date.name)
        return tuple(f"{statement};" for statement in statements)

    def _side(self, database: PostgresDatabase | SqliteDatabase, connection: Connection) -> Side:
        reads = database.role == "source"
        return Side(
            database=database,
            connection=connection,
            identity=database.role,
            tables={
                table.name: database.table(
                    connection, *(split_name(table.name) if reads else (None, table.target))
                )
                for table in self._settings.tables
            },
        )


class _Role:
    """The role of a connection: what it may, and what would grant the rest."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._here = connection.execute(WHERE_WE_ARE).one()
        self._makes: dict[str, bool] = {}
        self.user = quoted(self._here.user)

    def database(self, *, temporary: bool = False) -> Right:
        """To connect, and to make temporary tables for keys that moved to another day."""
        rights = "CONNECT, TEMPORARY" if temporary else "CONNECT"
        lacks = temporary and not self._here.temporary
        return Right(
            "TEMPORARY" if lacks else "",
            (f"GRANT {rights} ON DATABASE {quoted(self._here.database)} TO {self.user};",),
        )

    def identity(self) -> Right:
        """To ask the server's name for itself: everybody may, unless it was revoked."""
        if self._here.identity:
            return Right("", ())
        name = "FUNCTION pg_control_system()"
        return Right(f"EXECUTE ON {name}", (f"GRANT EXECUTE ON {name} TO {self.user};",))

    def schema(self, schema: str) -> Right:
        """To name what stands in a schema."""
        found = self._connection.execute(SCHEMA, {"schema": schema}).first()
        self._makes[schema] = bool(found and found.usage and found.make)
        name = f"SCHEMA {quoted(schema)}"
        grant = f"GRANT USAGE ON {name} TO {self.user};"
        if found is None:
            return Right(name, (f"CREATE {name};", grant))
        return Right("" if found.usage else f"USAGE ON {name}", (grant,))

    def table(
        self, schema: str, name: str, wanted: Iterable[str], *, to_make: tuple[str, ...] = ()
    ) -> Right:
        """To use a table; where it is missing, to find it made or to make it."""
        full, wanted = f"{quoted(schema)}.{quoted(name)}", tuple(wanted)
        found = self._connection.scalar(
            LACKING, {"schema": schema, "name": name, "wanted": list(wanted)}
        )
        grant = f"GRANT {', '.join(wanted)} ON {full} TO {self.user};"
        if found is None:
            # Whoever makes a table may do everything with it.
            lacking = "" if self._makes[schema] else f"TABLE {full}"
            return Right(lacking, (*to_make, grant) if to_make else ())
        return Right(f"{', '.join(found)} ON {full}" if found else "", (*to_make, grant))


def _comment(text: str) -> str:
    """`text` as a comment in SQL: a name with a line break in it must not end the comment."""
    return "-- " + " ".join(text.splitlines())


def _finding(
    database: PostgresDatabase | SqliteDatabase,
    user: str,
    rights: list[Right],
    *,
    missing: Sequence[str] = (),
) -> Finding:
    lacking = [right.lacking for right in rights if right.lacking]
    return Finding(
        name=Told(N_("rights")),
        # Of a table that was not found nobody can say what lacks.
        ok=False if lacking else None if missing else True,
        told=Told(
            LACKS if lacking else NOT_FOUND if missing else HAS_ALL,
            hint=RUN_THESE if lacking else "",
            user=user,
            role=database.role,
            address=database.address,
            lacking="; ".join(lacking),
            tables=", ".join(missing),
        ),
        statements=(
            *(statement for right in rights for statement in right.statements),
            SEVERAL_ROLES,
            _comment(f"GRANT pg_signal_backend, pg_read_all_stats TO {user};"),
        ),
    )
