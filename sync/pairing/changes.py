"""How a table's columns differ between source and target, each with the DDL that would mend it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sync.databases.failures import asking
from sync.databases.shape import Column, Table, quoted
from sync.errors import N_, misfits
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from zoneinfo import ZoneInfo

    from sync.databases.port import Database
    from sync.model import DateRange
    from sync.pairing.pair import Side, TablePair

LACKS = N_("{table} of the target has no column {column} ({type}), which the source has.")
MEND = N_("In the target: {statement}")
ANEW = N_(
    "In the target, as SQLite changes no column: {statement} Then a run makes the table anew."
)
OR_RENAME = N_("In the target: {statement} Or, if it is a new name of {former}: {renaming}")
NO_VALUE = N_(
    "{table} of the target has a column {column} that must not be NULL, and the source has no"
    " values for it."
)
COMPUTED = N_("Column {column} of {table} is computed in the target, and cannot be written.")
NULLS = N_(
    "Column {column} of {table} must not be NULL in the target, and is NULL in rows of the source."
)
OR_EXCLUDE = N_("In the target: {statement} Or name it in exclude.")
ADDS = N_('With on_schema_change = "add_columns", a run adds what the target lacks.')
LEFT_ALONE = N_(
    "{table} of the target has a column {column} that the source has not: rows that come anew have"
    " its default there, or NULL."
)

WILL_ADD = N_(
    "{table} of the target lacks the column {column} ({type}): a run adds it, and all days of the"
    " table count as missing until they are copied anew."
)


def add_column(table: Table, column: Column) -> str:
    """The statement that adds a column, as NULL in the rows that stand there."""
    return f"ALTER TABLE {table.sql} ADD COLUMN {quoted(column.name)} {column.type}"


def differences(
    there: Table,
    here: Table,
    columns: Sequence[str],
    *,
    lacking: Sequence[Column],
    target: Database,
) -> list[Told]:
    """All that keeps these columns from being copied; `lacking` are those that are not there."""
    return [
        *(_lacks(there, here, column) for column in lacking),
        *([Told(ADDS)] if lacking else []),
        *(
            _loosened(NO_VALUE, here, column.name, target)
            for column in _without_value(here, columns)
        ),
        *(
            Told(
                COMPUTED,
                hint=OR_EXCLUDE,
                table=here.name,
                column=column.name,
                statement=f"{_alter(here, column.name)} DROP EXPRESSION;"
                if target.kind == "postgresql"
                else f"ALTER TABLE {here.sql} DROP COLUMN {quoted(column.name)};",
            )
            for column in here.columns
            if column.generated and column.name in columns
        ),
    ]


def will_add(pair: TablePair) -> list[Told]:
    """That a run adds columns, if it does."""
    facts = [{"column": column.name, "type": column.type} for column in pair.added]
    return [Told(WILL_ADD, table=pair.name, **of_column) for of_column in facts]


def left_alone(pair: TablePair) -> list[Told]:
    """Columns of the target that the source has not, and that could be written."""
    return [
        Told(LEFT_ALONE, table=pair.name, column=column.name)
        for column in pair.target.columns
        if pair.source.column(column.name) is None and not column.generated
    ]


def must_have(
    there: Table, here: Table, columns: Sequence[str], date_column: str
) -> tuple[str, ...]:
    """The columns that must not be NULL in the target, and may be in rows of the source."""
    never = {*there.key, date_column}  # a row without a date is not copied
    pairs = ((name, there.column(name), here.column(name)) for name in columns)
    return tuple(
        name
        for name, source, target in pairs
        if source and target and target.not_null and not source.not_null and name not in never
    )


def refuse_nulls(
    pairs: Iterable[TablePair],
    days: DateRange,
    *,
    source: Side,
    target: Database,
    zone: ZoneInfo,
) -> None:
    """Raise SchemaError where rows of these days are NULL in what must not be in the target."""
    wrong = []
    for pair in pairs:
        if not pair.must_have:
            continue
        where = source.database.within(pair.date_column, days, zone) + (
            f" AND ({pair.where})" if pair.where else ""
        )
        some = ", ".join(f"max(CASE WHEN {quoted(n)} IS NULL THEN 1 END)" for n in pair.must_have)
        sql = f"SELECT {some} FROM {pair.source.sql} WHERE {where}"
        with asking(source.database):
            found = source.connection.exec_driver_sql(sql).one()
        wrong += [
            _loosened(NULLS, pair.target, name, target)
            for name, is_null in zip(pair.must_have, found, strict=True)
            if is_null
        ]
    if wrong:
        raise misfits(wrong)


def _lacks(there: Table, here: Table, column: Column) -> Told:
    facts = {
        "table": here.name,
        "column": column.name,
        "type": column.type,
        "statement": add_column(here, column) + ";",
    }
    place = [c.name for c in there.columns].index(column.name)
    former = here.columns[place] if place < len(here.columns) else None
    if former is None or there.column(former.name) or former.type != column.type:
        return Told(LACKS, hint=MEND, **facts)
    renaming = f"RENAME COLUMN {quoted(former.name)} TO {quoted(column.name)};"
    renaming = f"ALTER TABLE {here.sql} {renaming}"
    return Told(LACKS, hint=OR_RENAME, former=former.name, renaming=renaming, **facts)


def _without_value(here: Table, columns: Sequence[str]) -> list[Column]:
    return [
        column
        for column in here.columns
        if column.not_null
        and not column.generated
        and column.name not in columns
        and column.name not in here.rules.filled
    ]


def _loosened(what: str, here: Table, column: str, target: Database) -> Told:
    """That a column must be able to be NULL, or else have a default; and how."""
    hint, statement = MEND, f"{_alter(here, column)} DROP NOT NULL;"
    if target.kind == "sqlite":
        hint, statement = ANEW, f"ALTER TABLE {here.sql} RENAME TO {quoted(here.name + '_old')};"
    elif column in here.key:
        statement = f"{_alter(here, column)} SET DEFAULT …;"
    return Told(what, hint=hint, table=here.name, column=column, statement=statement)


def _alter(here: Table, column: str) -> str:
    return f"ALTER TABLE {here.sql} ALTER COLUMN {quoted(column)}"


def with_added(here: Table, added: Iterable[Column]) -> Table:
    """The table as it will be with these columns at its end; they may be NULL."""
    new = (replace(column, not_null=False, generated=False) for column in added)
    return replace(here, columns=(*here.columns, *new))
