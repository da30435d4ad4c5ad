"""What must hold for a table to fit on both sides; whatever does not is refused with its mend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sync.databases.failures import DRIVER_ERRORS, reason
from sync.errors import N_, SchemaError

if TYPE_CHECKING:
    from sync.databases.port import Database
    from sync.databases.shape import Column, Table
    from sync.pairing.pair import Side
    from sync.settings import TableSettings


def refuse_same_table(there: Table, settings: TableSettings, *, source: Side, target: Side) -> None:
    kind, here = source.database.kind, target.database
    if kind != here.kind or source.identity != target.identity:
        return
    if kind == "sqlite":
        raise SchemaError(
            N_("Source and target are the same file {address}."),
            hint=N_("Give the target a file of its own: SQLite locks whole files."),
            address=here.address,
        )
    if there.name == settings.target and there.schema in {None, here.schema}:
        raise SchemaError(
            N_("Source and target are the same table {table} in {address}."),
            hint=N_("Check both URLs, or give the target another schema or a target_name."),
            table=settings.name,
            address=here.address,
        )


def date_column_of(table: Table, name: str, database: Database) -> Column:
    column = table.column(name)
    facts = {
        "role": database.role,
        "table": table.name,
        "column": name,
        "address": database.address,
    }
    if column is None:
        raise SchemaError(
            N_("Table {table} in the {role} {address} has no column {column}."),
            hint=N_("Set date_column to one of: {columns}."),
            columns=", ".join(c.name for c in table.columns if c.date_class) or "-",
            **facts,
        )
    if column.date_class is None:
        raise SchemaError(
            N_("Column {column} of {table} in the {role} {address} is {type}, not a date."),
            hint=N_("Set date_column to a column of type DATE, TIMESTAMP or TIMESTAMPTZ."),
            type=column.type,
            **facts,
        )
    return column


def columns_to_copy(table: Table, here: Table | None, settings: TableSettings) -> tuple[str, ...]:
    """What is copied, in the source's order; a computed value, too, where the target keeps it."""
    kept = {column.name for column in here.columns if not column.generated} if here else set()
    written = [c.name for c in table.columns if not c.generated or c.name in kept]
    named = dict.fromkeys((*settings.columns, *settings.exclude, *settings.key, *settings.convert))
    if unknown := [name for name in named if table.column(name) is None]:
        raise SchemaError(
            N_("Table {table} in the source has no column {column}, which the settings name."),
            hint=N_("Its columns are: {columns}."),
            table=settings.name,
            column=", ".join(unknown),
            columns=", ".join(written),
        )
    wanted = settings.columns or tuple(written)
    chosen = tuple(name for name in written if name in wanted and name not in settings.exclude)
    if settings.date_column not in chosen:
        raise SchemaError(
            N_("The date column {column} of {table} is not among the columns to copy."),
            hint=N_("Add it to columns, or take it out of exclude."),
            table=settings.name,
            column=settings.date_column,
        )
    if settings.date_column in settings.convert:
        raise SchemaError(
            N_("The date column {column} of {table} cannot be converted: its values tell the day."),
            hint=N_("Take it out of convert."),
            table=settings.name,
            column=settings.date_column,
        )
    return chosen


def key_of(there: Table, settings: TableSettings, columns: tuple[str, ...]) -> tuple[str, ...]:
    """What identifies a row on both sides; nothing where the source's key is not copied whole."""
    key = settings.key or there.key
    if set(key) <= set(columns):
        return key
    if settings.key:
        raise SchemaError(
            N_("The key {key} of {table} is not among the columns to copy."),
            hint=N_("Add it to columns, or take it out of exclude."),
            key=", ".join(key),
            table=settings.name,
        )
    return ()


def refuse_other_class(settings: TableSettings, there: Column, here: Column) -> None:
    if there.date_class is not here.date_class:
        raise SchemaError(
            N_(
                "Date column {column} of {table} is {source_type} in the source"
                " but {target_type} in the target."
            ),
            hint=N_(
                "Both must be DATE, TIMESTAMP or TIMESTAMPTZ alike. Change the target's column."
            ),
            column=settings.date_column,
            table=settings.name,
            source_type=there.type,
            target_type=here.type,
        )


def refuse_bad_where(there: Table, settings: TableSettings, source: Side) -> None:
    if settings.where is None:
        return
    if source.database.kind == "sqlite" and re.search(r"\bselect\b", settings.where, re.IGNORECASE):
        # Beside an attached source, the names in it would mean the target's tables.
        raise SchemaError(
            N_("The where of {table} asks another table, which an SQLite source does not allow."),
            hint=N_("Write a condition on columns of the source, such as: amount > 0"),
            table=settings.name,
        )
    try:
        source.connection.exec_driver_sql(
            f"SELECT 1 FROM {there.sql} WHERE ({settings.where}) LIMIT 0"
        )
    except DRIVER_ERRORS as error:
        raise SchemaError(
            N_("The source does not understand the where of {table}: {reason}"),
            hint=N_("Write a condition on columns of the source, such as: amount > 0"),
            table=settings.name,
            reason=reason(error),
        ) from None


def refuse_followers(table: Table, target: Database) -> None:
    """A day is deleted before its rows come anew: what follows a deleted row would be gone."""
    if followers := table.rules.followers:
        raise SchemaError(
            N_("In the target {address}, rows of {followers} go or change when {table}'s go."),
            hint=N_("Let their foreign keys be ON DELETE NO ACTION, DEFERRABLE, or drop them."),
            address=target.address,
            followers=", ".join(followers),
            table=table.name,
        )
