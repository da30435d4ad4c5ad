"""Tables as values: columns, key, and what class of date a column holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sync.databases.rules import NONE_KNOWN, Rules
from sync.errors import N_


class DateClass(StrEnum):
    """How a date column counts days (the zone matters to TIMESTAMPTZ alone)."""

    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"


class TableKind(StrEnum):
    """What stands under a table's name."""

    TABLE = N_("table")
    PARTITIONED = N_("partitioned table")
    VIEW = N_("view")
    MATERIALIZED = N_("materialized view")
    FOREIGN = N_("foreign table")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserType:
    """A type that somebody made: `ddl` makes it anew, `parts` are what its values rest on.

    Those of an enum are its labels; those of a domain, range or composite are types.
    """

    name: str
    kind: str
    parts: tuple[str, ...]
    ddl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; `type` as the server spells it, with its modifiers.

    `portable` tells that the type has the same binary form on every server: a built-in base type.
    `generated` columns are computed by the database and are never written; `identity` ones are
    filled by it where nothing is given. `rests_on` are the types that somebody made of which this
    one consists, each behind those that it consists of itself.
    """

    name: str
    type: str
    not_null: bool = False
    portable: bool = True
    generated: bool = False
    identity: bool = False
    date_class: DateClass | None = None
    rests_on: tuple[UserType, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as it stands in a database. `schema` is None where the engine has none.

    `key` is the primary key, in order; `unique` are the column sets of all unique indexes,
    `indexed` the first columns of all indexes; `rules` what else its database demands of its rows.
    `kind` is FOREIGN also where a partition is. `strict`: SQLite refuses values of other types.
    """

    schema: str | None
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    unique: tuple[frozenset[str], ...] = ()
    indexed: frozenset[str] = frozenset()
    rules: Rules = NONE_KNOWN
    kind: TableKind = TableKind.TABLE
    strict: bool = False

    def column(self, name: str) -> Column | None:
        """The column of that exact name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def by_name(self) -> dict[str, Column]:
        """The columns by their exact names."""
        return {column.name: column for column in self.columns}

    @property
    def sql(self) -> str:
        """The table's quoted name."""
        return f"{quoted(self.schema)}.{quoted(self.name)}" if self.schema else quoted(self.name)

    @property
    def create_sql(self) -> str:
        """The statement that creates the table: columns, types, NOT NULL and primary key."""
        lines = [
            f"{quoted(column.name)} {column.type}" + (" NOT NULL" if column.not_null else "")
            for column in self.columns
        ]
        if self.key:
            lines.append(f"PRIMARY KEY ({', '.join(map(quoted, self.key))})")
        return f"CREATE TABLE {self.sql} ({', '.join(lines)})"


def quoted(identifier: str) -> str:
    """`identifier` in SQL's double quotes, which both engines read alike."""
    return '"' + identifier.replace('"', '""') + '"'


def date_class(column: Column) -> DateClass:
    """The date class of a column that was checked to have one."""
    assert column.date_class is not None, column
    return column.date_class
