"""What the rest of the package asks of a database, whichever engine it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.digest import Digest, Digested, Part, Row
    from sync.databases.shape import Column, Table, UserType
    from sync.model import DateRange, RunId

Role = Literal["source", "target", "lock"]


class Database(Protocol):
    """One database in one role. Holds no connection: whoever asks for one closes it."""

    kind: Literal["postgresql", "sqlite"]
    role: Role
    address: str
    schema: str | None

    def connect(self, *, run_id: RunId | None = None, reads: bool = False) -> Connection:
        """A connection of its own, unpooled, to read only for a source or where `reads`.

        Raises ConnectError.
        """
        ...

    def identity(self, connection: Connection) -> str:
        """One name for this database however its URL is spelt."""
        ...

    def table(self, connection: Connection, schema: str | None, name: str) -> Table | None:
        """The table or view of that exact name, or None."""
        ...

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
        ...

    def undated(self, column: Column, days: DateRange, zone: ZoneInfo) -> str:
        """That `column` is in no day that can be asked for, as SQL that an index serves.

        Of what costs a look at each value, only those near `days` are looked at.
        """
        ...

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
        ...

    def digest_kinds(self, connection: Connection) -> tuple[str, ...]:
        """The kinds of digest that this database can compute, the best one first."""
        ...

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

        With their marks if `marked`, for a table that has a basis.
        """
        ...

    def basis(self, connection: Connection, table: Table) -> str | None:
        """Under which equal marks are equal rows; None where the table's rows have no marks."""
        ...

    def marks(
        self,
        connection: Connection,
        table: Table,
        column: Column,
        edges: Sequence[date | datetime],
        where: str | None,
    ) -> list[str]:
        """The mark of the rows between each two neighbours of `edges`; reads no values."""
        ...

    def bucket_digests(self, connection: Connection, part: Part) -> list[Digest]:
        """The digest of each bucket of a part."""
        ...

    def rows(self, connection: Connection, part: Part) -> list[Row]:
        """The rows of a part's chosen buckets, in any order."""
        ...

    def first_and_last(
        self, connection: Connection, table: Table, column: str
    ) -> tuple[date, date] | None:
        """The days of the least and greatest value of `column`; None when there are no rows."""
        ...

    def now(self, connection: Connection) -> datetime:
        """The database's own clock, aware."""
        ...

    def within(self, column: Column, days: DateRange, zone: ZoneInfo) -> str:
        """That `column` is in `days`, as SQL on the bare column, so that an index serves it."""
        ...

    def types(
        self, connection: Connection, names: Sequence[str]
    ) -> Mapping[str, tuple[UserType, ...] | None]:
        """Of each type, the user-defined types in it; None of one that is not known here."""
        ...

    def create_table(self, table: Table, date_column: str) -> Sequence[str]:
        """The statements that create `table` with its key and an index on its date column."""
        ...
