"""PostgreSQL: how we connect, what its catalogue says, how its days are counted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import NullPool, create_engine, event, text

from sync.databases import days as bounds
from sync.databases import postgres_catalog as catalog
from sync.databases import postgres_marks
from sync.databases.digest import MD5, NOTHING, RECORD, summed
from sync.databases.failures import DRIVER_ERRORS, reason
from sync.databases.postgres_days import literal, typed, undated
from sync.databases.postgres_digest import FIRST_VERSION, bucket, row_hash, sums, texts
from sync.databases.postgres_marks import MARK
from sync.databases.postgres_types import named
from sync.databases.shape import Column, Table, date_class, quoted
from sync.errors import N_, ConnectError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import URL, Connection
    from sqlalchemy.engine import ExecutionContext

    from sync.databases.digest import Digest, Digested, Part, Row
    from sync.databases.port import Role
    from sync.model import DateRange, RunId
    from sync.settings import RunSettings

# Text forms that every server reads back unchanged (pg_dump's own choice, in setup_connection, and
# what else an administrator may have set); and an error where row security would hide rows.
EXACT_TEXT = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "client_encoding": "UTF8",
    "bytea_output": "hex",
    "row_security": "off",
    "lc_monetary": "C",
    "xmloption": "content",
    "array_nulls": "on",
}
# Compiling a digest over many columns would take longer than the digest.
PLAIN = {"jit": "off"}
# Found out within half a minute that the other side is gone; by default the server waits two hours.
SOON_DEAD = {
    "client_connection_check_interval": "500",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
LIBPQ = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
IDLE_IN_TRANSACTION_MS = 600_000

POOLER = N_(
    "These are a connection pooler's words (PgBouncer): it refuses settings without which rows"
    " would not be copied exactly. Give [{role}] url the server's own address."
)
# In these, a database keeps a text as the bytes in which it is copied.
SAME_BYTES = {"UTF8", "SQL_ASCII"}
SET_NAME = text("SELECT set_config('application_name', :name, false)")
STEP = "batch_sync_step"  # not the name of anybody's table


class PostgresDatabase:
    """A PostgreSQL database in one role."""

    kind: Literal["postgresql", "sqlite"] = "postgresql"

    def __init__(self, url: URL, *, role: Role, schema: str | None, run: RunSettings) -> None:
        self.role: Role = role
        self.schema = schema
        self.address = _address(url)
        settings = EXACT_TEXT | PLAIN | SOON_DEAD
        settings["lock_timeout"] = str(int(run.lock_timeout_s * 1000))
        # The source's snapshot idles in its transaction as long as the run goes.
        idle_ms = 0 if role == "source" else IDLE_IN_TRANSACTION_MS
        settings["idle_in_transaction_session_timeout"] = str(idle_ms)
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            connect_args=LIBPQ | {"connect_timeout": run.connect_timeout_s, "options": options},
        )
        event.listen(self._engine, "before_cursor_execute", _keep_percents, retval=True)

    def connect(self, *, run_id: RunId | None = None, reads: bool = False) -> Connection:
        """A connection of its own, to read only for a source or where asked. Raises ConnectError.

        What is read in one transaction of a source is one snapshot of it.
        """
        options: dict[str, Any] = {"postgresql_readonly": reads or self.role == "source"}
        if self.role == "source":
            options["isolation_level"] = "REPEATABLE READ"
        return self._open(run_id, options)

    def session(self, *, run_id: RunId | None = None) -> Connection:
        """A connection in autocommit: for the session lock and for looking. Raises ConnectError."""
        return self._open(run_id, {"isolation_level": "AUTOCOMMIT"})

    def _open(self, run_id: RunId | None, options: dict[str, Any]) -> Connection:
        try:
            connection = self._engine.connect()
            name = f"batch_sync {run_id}" if run_id else "batch_sync"
            connection.execute(SET_NAME, {"name": name})
            connection.commit()
            return connection.execution_options(**options)
        except DRIVER_ERRORS as error:
            why = reason(error)
            hint = POOLER if "unsupported startup parameter" in why else None
            raise ConnectError(
                hint=hint, role=self.role, address=self.address, reason=why
            ) from None

    def identity(self, connection: Connection) -> str:
        """Cluster, database and schema as the server names them."""
        return str(
            connection.scalar(
                text(
                    "SELECT system_identifier || '/' || current_database() FROM pg_control_system()"
                )
            )
        )

    def table(self, connection: Connection, schema: str | None, name: str) -> Table | None:
        """The table or view of that exact name, or None."""
        written = self.role == "target"
        return catalog.table(connection, schema or self.schema, name, written=written)

    def count_by_day(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        days: DateRange,
        zone: ZoneInfo,
        where: str | None,
    ) -> dict[date, int]:
        """Rows of each day of the range that has any."""
        if column.name in table.indexed:
            return self._count_by_scans(connection, table, column, days, zone, where)
        kind = date_class(column)
        every = list(days.days())
        name = quoted(column.name)
        # Our own bounds, not the server's idea of the zone: its time zones may be others.
        steps = ", ".join(literal(bounds.bound(day, kind, zone), kind) for day in every)
        counted = connection.exec_driver_sql(
            f"SELECT width_bucket({name}, ARRAY[{steps}]), count(*) FROM {table.sql}"
            f" WHERE {self.within(column, days, zone)}{_and(where)} GROUP BY 1"
        )
        return {every[row[0] - 1]: row[1] for row in counted}

    def _count_by_scans(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        days: DateRange,
        zone: ZoneInfo,
        where: str | None,
    ) -> dict[date, int]:
        """One index scan a day: a third of the time that grouping takes."""
        kind = date_class(column)
        every = list(days.days())
        edges = [
            literal(bounds.bound(day, kind, zone), kind) for day in [*every, bounds.after(days.end)]
        ]
        steps = ", ".join(f"({n}, {low}, {high})" for n, (low, high) in enumerate(pairwise(edges)))
        name = quoted(column.name)
        counted = connection.exec_driver_sql(
            f"SELECT {STEP}.n, (SELECT count(*) FROM {table.sql}"
            f" WHERE {name} >= {STEP}.low AND {name} < {STEP}.high{_and(where)})"
            f" FROM (VALUES {steps}) AS {STEP}(n, low, high)"
        )
        return {every[n]: rows for n, rows in counted if rows}

    def undated(self, column: Column, days: DateRange, zone: ZoneInfo) -> str:
        """That `column` is NULL, infinite, or further away than can be asked for."""
        del days, zone
        return undated(quoted(column.name))

    def days_of(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        key: Sequence[Column],
        values: Sequence[Sequence[str | None]],
        zone: ZoneInfo,
        where: str | None,
    ) -> list[date | None]:
        """The day of each row whose key is among `values` (as text); None of one without a day."""
        names, name = ", ".join(quoted(one.name) for one in key), quoted(column.name)
        rows = ", ".join(f"({', '.join(map(typed, one, key))})" for one in values)
        found = connection.exec_driver_sql(
            f"SELECT CASE WHEN NOT ({undated(name)}) THEN {name} END FROM {table.sql}"
            f" WHERE ({names}) IN (VALUES {rows}){_and(where)}"
        )
        return [at if at is None else bounds.day_of(at, zone) for (at,) in found]

    def digest_kinds(self, connection: Connection) -> tuple[str, ...]:
        """The server's own hash where it has it and texts are the same bytes, else MD5."""
        version = connection.dialect.server_version_info or ()
        driver: Any = connection.connection.driver_connection
        alike = driver.info.parameter_status("server_encoding") in SAME_BYTES
        return (RECORD, MD5) if alike and version >= FIRST_VERSION else (MD5,)

    def digests(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        edges: Sequence[date | datetime],
        digested: Digested,
        *,
        marked: bool = False,
    ) -> list[Digest]:
        """The digest of the rows between each two neighbours of `edges`, which only grow.

        With their marks if `marked`.
        """
        terms, totals = f"{row_hash(digested)} AS h", sums(digested.kind)
        if marked:
            terms, totals = f"{terms}, {MARK} AS m", f"{totals}, {postgres_marks.sums('m')}"
        sliced = self._sliced(connection, table, column, edges, digested.where, terms, totals)
        return [summed(*found) if found else NOTHING for found in sliced]

    def basis(self, connection: Connection, table: Table) -> str | None:
        """Under which equal marks are equal rows; None where the table's rows have no marks."""
        return postgres_marks.basis(connection, table)

    def marks(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        edges: Sequence[date | datetime],
        where: str | None,
    ) -> list[str]:
        """The mark of the rows between each two neighbours of `edges`; reads no values."""
        totals = f"count(*), {postgres_marks.sums('m')}"
        sliced = self._sliced(connection, table, column, edges, where, f"{MARK} AS m", totals)
        return [(summed(*found) if found else NOTHING).value or "" for found in sliced]

    def _sliced(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        edges: Sequence[date | datetime],
        where: str | None,
        terms: str,
        totals: str,
    ) -> list[Sequence[Any]]:
        """`totals` over the `terms` of the rows between each two neighbours of `edges`.

        By one index scan each where there is an index, else in one pass. Empty for no rows.
        """
        kind, name = date_class(column), quoted(column.name)
        low, *more = literals = [literal(edge, kind) for edge in edges]
        # OFFSET 0, so that a term is computed once and not for each total.
        rows = f"{terms} FROM {table.sql} WHERE"
        if column.name in table.indexed:
            steps = ", ".join(f"({n}, {a}, {b})" for n, (a, b) in enumerate(pairwise(literals)))
            found = connection.exec_driver_sql(
                f"SELECT {STEP}.n, d.* FROM (VALUES {steps}) AS {STEP}(n, low, high),"
                f" LATERAL (SELECT {totals} FROM (SELECT {rows} {name} >= {STEP}.low"
                f" AND {name} < {STEP}.high{_and(where)} OFFSET 0) AS r) AS d"
            )
        else:
            steps = ", ".join(literals[:-1])
            found = connection.exec_driver_sql(
                f"SELECT n - 1, {totals} FROM ("
                f"SELECT width_bucket({name}, ARRAY[{steps}]) AS n, {rows}"
                f" {name} >= {low} AND {name} < {more[-1]}{_and(where)} OFFSET 0"
                f") AS r GROUP BY n"
            )
        by_step = {n: of_rows for n, *of_rows in found}
        return [by_step.get(n, ()) for n in range(len(more))]

    def bucket_digests(self, connection: Connection, part: Part) -> list[Digest]:
        """The digest of each bucket of a part."""
        rows = f"SELECT {bucket(part)} AS n, {row_hash(part.digested)} AS h {self._from(part)}"
        found = connection.exec_driver_sql(
            f"SELECT n, {sums(part.digested.kind)} FROM ({rows} OFFSET 0) AS r GROUP BY n"
        )
        digests = {n: summed(*of_rows) for n, *of_rows in found}
        return [digests.get(n, NOTHING) for n in range(part.buckets)]

    def rows(self, connection: Connection, part: Part) -> list[Row]:
        """The rows of a part's chosen buckets."""
        chosen = f" AND {bucket(part)} IN ({', '.join(map(str, part.chosen))})"
        found = connection.exec_driver_sql(
            f"SELECT {', '.join([f'({row_hash(part.digested)})::text', *texts(part.shown)])}"
            f" {self._from(part)}{chosen if part.buckets > 1 else ''}"
        )
        assert found.cursor is not None
        return list(found.cursor.fetchall())  # the driver's own rows, for they may be many

    def _from(self, part: Part) -> str:
        kind, name = date_class(part.column), quoted(part.column.name)
        low, high = literal(part.low, kind), literal(part.high, kind)
        where = f"{name} >= {low} AND {name} < {high}{_and(part.digested.where)}"
        return f"FROM {part.table.sql} WHERE {where}"

    def first_and_last(
        self, connection: Connection, table: Table, column: str
    ) -> tuple[date, date] | None:
        """The days of the least and greatest value of `column`; None when there are no rows."""
        name = quoted(column)
        found = connection.exec_driver_sql(
            f"SELECT min({name})::date, max({name})::date FROM {table.sql}"
            f" WHERE {name} >= '0001-01-02' AND {name} < '9999-12-31'"
        ).one()
        return (found[0], found[1]) if found[0] else None

    def now(self, connection: Connection) -> datetime:
        """The server's own clock, aware."""
        found: datetime = connection.scalar(text("SELECT clock_timestamp()"))
        return found

    def within(self, column: Column, days: DateRange, zone: ZoneInfo) -> str:
        """That `column` is in `days`, as SQL on the bare column."""
        kind, name = date_class(column), quoted(column.name)
        low, high = (
            literal(bounds.bound(day, kind, zone), kind)
            for day in (days.start, bounds.after(days.end))
        )
        return f"{name} >= {low} AND {name} < {high}"

    types = staticmethod(named)

    def create_table(self, table: Table, date_column: str) -> Sequence[str]:
        """The statements that create `table` with its key and an index on its date column."""
        return (
            table.create_sql,
            f"CREATE INDEX ON {table.sql} ({quoted(date_column)})",
        )


def _keep_percents(  # SQLAlchemy's signature
    _connection: Connection,
    _cursor: object,
    statement: str,
    parameters: Any,
    context: ExecutionContext,
    _many: bool,  # noqa: FBT001 - as SQLAlchemy calls it
) -> tuple[str, Any]:
    """Double each % in SQL of our own making (a `where`), for the driver reads it as a placeholder.

    Such SQL carries no parameters; SQLAlchemy's own has its % doubled already.
    """
    return (statement if context.compiled else statement.replace("%", "%%")), parameters


def _and(where: str | None) -> str:
    return f" AND ({where})" if where else ""


def _address(url: URL) -> str:
    """Where a URL points, without user and password; libpq also takes host and port as a query."""
    host = url.host or url.query.get("host") or "localhost"
    port = url.port or url.query.get("port") or 5432
    return f"{_flat(host)}:{_flat(port)}/{url.database or url.username or ''}"


def _flat(part: str | int | tuple[str, ...]) -> str:
    return ",".join(part) if isinstance(part, tuple) else str(part)
