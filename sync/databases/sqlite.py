"""SQLite: how we connect, what its schema says, how its days are counted."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from sync.databases import days as bounds
from sync.databases import sqlite_days as texts
from sync.databases import sqlite_types as kinds
from sync.databases.digest import MD5, Md5Sums, row_md5
from sync.databases.failures import reason
from sync.databases.rules import Rules
from sync.databases.shape import Column, DateClass, Table, TableKind, date_class, quoted
from sync.databases.values import rows_reader
from sync.errors import ConnectError
from sync.model import DateRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import URL, Connection

    from sync.databases.digest import Digest, Digested, Part, Row
    from sync.databases.port import Role
    from sync.databases.shape import UserType
    from sync.databases.values import Value
    from sync.model import RunId
    from sync.settings import RunSettings

SECONDS = len("2025-01-06 12:00:00")


class SqliteDatabase:
    """An SQLite file in one role."""

    kind: Literal["postgresql", "sqlite"] = "sqlite"
    schema: str | None = None

    def __init__(self, url: URL, *, role: Role, run: RunSettings) -> None:
        self.role: Role = role
        self.path = Path(url.database or "")
        self.address = str(self.path)
        self._run = run
        self._engine = create_engine(
            "sqlite://", creator=self._driver_connection, poolclass=NullPool
        )
        event.listen(self._engine, "begin", self._begin)

    @property
    def uri(self) -> str:
        """The file as SQLite's URI; a source is opened read only, a target is made when missing."""
        mode = "ro" if self.role == "source" else "rwc"
        return f"file:{quote(str(self.path.resolve()))}?mode={mode}"

    def _driver_connection(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.uri,
            uri=True,
            timeout=self._run.lock_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )

    def _begin(self, connection: Connection) -> None:
        # A writer asks for the write lock at once: a read that turns into a write can only fail.
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    def connect(self, *, run_id: RunId | None = None, reads: bool = False) -> Connection:
        """A connection of its own, to read only for a source or where asked. Raises ConnectError.

        Who only reads does not wait for the one who writes.
        """
        del run_id  # SQLite has no sessions to name
        try:
            connection = self._engine.connect()
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.execute("PRAGMA schema_version").fetchone()
        except (DBAPIError, sqlite3.Error) as error:
            raise ConnectError(role=self.role, address=self.address, reason=reason(error)) from None
        return connection.execution_options(reads=reads or self.role == "source")

    def identity(self, connection: Connection) -> str:
        """The real path of the file."""
        del connection
        return str(self.path.resolve())

    def table(self, connection: Connection, schema: str | None, name: str) -> Table | None:
        """The table or view of that exact name, or None.

        SQLite has one schema; a prefix must be `main`.
        """
        known = connection.exec_driver_sql(
            "SELECT m.type, m.sql, l.strict, l.wr FROM sqlite_master m"
            " LEFT JOIN pragma_table_list l ON l.name = m.name AND l.schema = 'main'"
            " WHERE m.type IN ('table', 'view') AND m.name = ?",
            (name,),
        ).first()
        if known is None or schema not in {None, "main"}:
            return None
        info = connection.exec_driver_sql(f"PRAGMA table_xinfo({quoted(name)})").all()
        keyed = sorted((row.pk, row.name) for row in info if row.pk)
        key = tuple(column for _, column in keyed)
        indexes = connection.exec_driver_sql(f"PRAGMA index_list({quoted(name)})").all()
        alias = not known.wr and all(index.origin != "pk" for index in indexes)
        return Table(
            schema=None,
            name=name,
            columns=tuple(
                Column(
                    name=row.name,
                    type=kinds.meant(row.type, known, alias=alias or row.name not in key),
                    not_null=bool(row.notnull),
                    generated=bool(row.hidden),
                    date_class=texts.class_of(row.type, strict=bool(known.strict)),
                )
                for row in info
            ),
            key=key,
            unique=(
                *([frozenset(key)] if key else []),
                *(
                    frozenset(
                        part.name
                        for part in connection.exec_driver_sql(
                            f"PRAGMA index_info({quoted(index.name)})"
                        )
                    )
                    for index in indexes
                    if index.unique and not index.partial
                ),
            ),
            rules=Rules(
                filled=frozenset(
                    row.name
                    for row in info
                    if row.dflt_value is not None or (row.pk and row.type.upper() == "INTEGER")
                ),
                triggers=tuple(
                    connection.exec_driver_sql(
                        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?",
                        (name,),
                    ).scalars()
                ),
            ),
            kind=TableKind(known.type),
            strict=bool(known.strict),
        )

    def count_by_day(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        days: DateRange,
        zone: ZoneInfo,
        where: str | None,
    ) -> dict[date, int]:
        """Rows of each day of the range that has any.

        Instants cost one index range scan a day; local days are counted in one pass.
        """
        more = f" AND ({where})" if where else ""
        if column.date_class is not DateClass.TIMESTAMPTZ:
            counted = connection.exec_driver_sql(
                f"SELECT substr({quoted(column.name)}, 1, 10), count(*) FROM {table.sql}"
                f" WHERE {self.within(column, days, zone)}{more} GROUP BY 1"
            )
            return {texts.as_day(day, table, column): rows for day, rows in counted}
        counts = {
            day: connection.exec_driver_sql(
                f"SELECT count(*) FROM {table.sql}"
                f" WHERE {self.within(column, DateRange(day, day), zone)}{more}"
            ).scalar_one()
            for day in days.days()
        }
        return {day: rows for day, rows in counts.items() if rows}

    def undated(self, column: Column, days: DateRange, zone: ZoneInfo) -> str:
        """That `column` is NULL, a number, or a text that is no date."""
        return texts.undated(column, days, zone)

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
        name, more = quoted(column.name), f" AND ({where})" if where else ""
        same = " AND ".join(f"{quoted(one.name)} = ?" for one in key)
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        found = (
            at
            for one in values
            for (at,) in driver.execute(f"SELECT {name} FROM {table.sql} WHERE {same}{more}", one)
        )
        return [texts.day_of(at, column.date_class, zone) for at in found]

    def digest_kinds(self, connection: Connection) -> tuple[str, ...]:
        """MD5: SQLite has no hash of its own."""
        del connection
        return (MD5,)

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

        In one pass through this process, a few rows at a time.
        """
        assert not marked
        name, local = quoted(column.name), column.date_class is not DateClass.TIMESTAMPTZ
        steps = [texts.edge(edge) if local else str(edge)[:SECONDS] for edge in edges]
        more = f" AND ({digested.where})" if digested.where else ""
        columns = ", ".join(map(kinds.as_stored, digested.entries))
        sums = [Md5Sums() for _ in steps[1:]]
        read = self._reader(digested)
        with text_as(connection, decoded_text) as driver:
            for at, *values in driver.execute(
                f"SELECT {name if local else f'datetime({name})'}, {columns} FROM {table.sql}"
                f" WHERE {texts.between(column, edges[0], edges[-1])}{more}"
            ):
                sums[bisect_right(steps, at) - 1].add(read(values))
        return [found.digest() for found in sums]

    def basis(self, connection: Connection, table: Table) -> str | None:
        """None: SQLite does not tell which transaction wrote a row."""
        del connection, table
        return None

    def marks(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        edges: Sequence[date | datetime],
        where: str | None,
    ) -> list[str]:
        """Never asked: there is no basis."""
        raise NotImplementedError

    def bucket_digests(self, connection: Connection, part: Part) -> list[Digest]:
        """The digest of each bucket of a part."""
        sums = [Md5Sums() for _ in range(part.buckets)]
        for n, values in self._rows(connection, part):
            sums[n].add(values)
        return [found.digest() for found in sums]

    def rows(self, connection: Connection, part: Part) -> list[Row]:
        """The rows of a part's chosen buckets."""
        names = [entry.column.name for entry in part.digested.entries]
        shown = [names.index(entry.column.name) for entry in part.shown.entries]
        chosen = frozenset(part.chosen)
        return [
            (row_md5(values).hex(), *(_text(values[k]) for k in shown))
            for n, values in self._rows(connection, part)
            if n in chosen
        ]

    def _rows(self, connection: Connection, part: Part) -> Iterator[tuple[int, Sequence[Value]]]:
        """Each row of a part, and its bucket."""
        names = [entry.column.name for entry in part.digested.entries]
        key = [names.index(entry.column.name) for entry in part.key.entries]
        more = f" AND ({part.digested.where})" if part.digested.where else ""
        read = self._reader(part.digested)
        with text_as(connection, decoded_text) as driver:
            for found in driver.execute(
                f"SELECT {', '.join(map(kinds.as_stored, part.digested.entries))}"
                f" FROM {part.table.sql}"
                f" WHERE {texts.between(part.column, part.low, part.high)}{more}"
            ):
                values = read(found)
                hashed = int.from_bytes(row_md5([values[n] for n in key])[:4])
                yield hashed & (part.buckets - 1), values

    def _reader(self, digested: Digested) -> Callable[[Sequence[Value]], Sequence[Value]]:
        """A source's values as the target holds them; a target's as they stand."""
        return rows_reader(digested.entries if self.role == "source" else ())

    def first_and_last(
        self, connection: Connection, table: Table, column: str
    ) -> tuple[date, date] | None:
        """The days of the least and greatest text value of `column`; None when there are none."""
        name = quoted(column)
        found = [
            connection.exec_driver_sql(
                f"SELECT date({name}) FROM {table.sql} WHERE {name} >= '0001' AND {name} < ':'"
                f" AND date({name}) IS NOT NULL ORDER BY {name} {order} LIMIT 1"
            ).scalar()
            for order in ("ASC", "DESC")
        ]
        if found[0] is None or found[1] is None:
            return None
        return datetime.fromisoformat(found[0]).date(), datetime.fromisoformat(found[1]).date()

    def now(self, connection: Connection) -> datetime:
        """The machine's clock: an SQLite file has no other."""
        del connection
        return datetime.now(UTC)

    def within(self, column: Column, days: DateRange, zone: ZoneInfo) -> str:
        """That `column` is in `days`, as SQL on the bare column."""
        kind = date_class(column)
        low, high = (bounds.bound(day, kind, zone) for day in (days.start, bounds.after(days.end)))
        return texts.between(column, low, high)

    def types(
        self, connection: Connection, names: Sequence[str]
    ) -> dict[str, tuple[UserType, ...] | None]:
        """All are known: any word is a type to SQLite."""
        del connection
        return dict.fromkeys(names, ())

    def create_table(self, table: Table, date_column: str) -> Sequence[str]:
        """The statements that create `table` with its key and an index on its date column."""
        index = quoted(f"{table.name}_{date_column}_idx")
        columns = tuple(
            replace(column, type=kinds.declared(column.type, strict=table.strict))
            for column in table.columns
        )
        create = replace(table, columns=columns).create_sql
        return (
            f"{create} STRICT" if table.strict else create,
            f"CREATE INDEX {index} ON {table.sql} ({quoted(date_column)})",
        )


@contextmanager
def text_as(
    connection: Connection, decoded: Callable[[bytes], object]
) -> Iterator[sqlite3.Connection]:
    """The driver's connection, which hands text over as `decoded` gives it."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    former, driver.text_factory = driver.text_factory, decoded
    try:
        yield driver
    finally:
        driver.text_factory = former


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")  # as PostgreSQL writes it
    return None if value is None else str(value)


def decoded_text(text: bytes) -> str:
    """Text that is no UTF-8 has surrogates."""
    return text.decode(errors="surrogateescape")
