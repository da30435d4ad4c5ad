"""A table of the settings → the same table on both sides, checked to fit.

Whatever does not fit is refused here, before a run is made, with the names of what to mend.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sync.databases.crossing import in_postgres, in_sqlite
from sync.databases.digest import Digested, entries
from sync.databases.failures import DRIVER_ERRORS, Failure, failure, reason
from sync.databases.shape import Column, Table
from sync.errors import N_, ConnectError, SchemaError, UnknownTable, misfits
from sync.model import SchemaChange
from sync.pairing import changes, fit, rules, types
from sync.pairing.crossing import altering, refuse_names
from sync.settings import split_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.port import Database, Role
    from sync.model import DateRange
    from sync.settings import TableSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePair:
    """One table on both sides, checked to fit. `name` is the target table's, the one people see.

    `columns` are copied, in this order; `binary` tells that both sides write them alike. `key`
    identifies a row; `key_enforced` that the target refuses a second row of one key by itself.
    `exists` is False while the target's table is still to be made; `added` are columns that it
    lacks still. `must_have` columns may be NULL in the source alone. Tables of an earlier
    `generation` go first: a later one's rows name theirs. `crossing` tells that the two are of
    different engines; values of columns in `convert` are converted then where they must.
    """

    name: str
    source: Table
    target: Table
    date_column: Column
    target_date: Column
    columns: tuple[str, ...]
    binary: bool
    key: tuple[str, ...]
    key_enforced: bool
    where: str | None
    definition: str
    exists: bool
    digest_kind: str
    added: tuple[Column, ...] = ()
    must_have: tuple[str, ...] = ()
    generation: int = 0
    crossing: bool = False
    convert: frozenset[str] = frozenset()

    @property
    def both_columns(self) -> list[tuple[Column, Column]]:
        """What is copied: each column in the source and in the target."""
        theirs, ours = self.source.by_name, self.target.by_name
        return [(theirs[name], ours[name]) for name in self.columns]

    def digested(self, role: Role) -> Digested:
        """What a digest of its rows covers on one of the two sides: all that is copied."""
        source = role == "source"
        return Digested(
            kind=self.digest_kind,
            entries=entries(
                self.both_columns, source=source, crossing=self.crossing, convert=self.convert
            ),
            where=self.where if source else None,
        )


def chosen_tables(
    configured: Sequence[TableSettings], names: tuple[str, ...]
) -> tuple[TableSettings, ...]:
    """The configured tables of these target names.

    All when no name is given. Raises UnknownTable.
    """
    by_name = {table.target: table for table in configured}
    for name in names:
        if name not in by_name:
            raise UnknownTable(table=name, tables=", ".join(by_name))
    return tuple(table for table in configured if not names or table.target in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What stands in one of the two databases, by the name in the settings."""

    database: Database
    connection: Connection
    identity: str
    tables: Mapping[str, Table | None]


def look(
    settings: Sequence[TableSettings],
    *,
    source: Database,
    target: Database,
    reading: Connection,
    writing: Connection,
) -> tuple[Side, Side]:
    """The tables of the settings in the source and in the target, looked at side by side.

    Raises ConnectError.
    """
    there = {t.name: split_name(t.name) for t in settings}
    with ThreadPoolExecutor(1, "batch-sync-look") as beside:
        looking = beside.submit(_look, source, reading, there)
        here = _look(target, writing, {t.name: (None, t.target) for t in settings})
        return looking.result(), here


def _look(
    database: Database, connection: Connection, names: Mapping[str, tuple[str | None, str]]
) -> Side:
    try:
        return Side(
            database=database,
            connection=connection,
            identity=database.identity(connection),
            tables={key: database.table(connection, *name) for key, name in names.items()},
        )
    except DRIVER_ERRORS as error:
        if failure(error) is not Failure.DISCONNECTED:
            raise
        raise ConnectError(
            role=database.role, address=database.address, reason=reason(error)
        ) from None


def pair_all(
    settings: Sequence[TableSettings],
    days: DateRange,
    *,
    source: Side,
    target: Side,
    zone: ZoneInfo,
    adds: bool = True,
) -> list[TablePair]:
    """Every table on both sides, in the order in which they go; `adds` unless to compare only.

    Raises one SchemaError that tells of all that does not fit.
    """
    pairs, wrong = [], []
    for table in settings:
        try:
            pairs.append(pair_tables(table, source=source, target=target, zone=zone, adds=adds))
        except SchemaError as error:
            wrong.append(error.told)
    if wrong:
        raise misfits(wrong)
    if adds:
        changes.refuse_nulls(pairs, days, source=source, target=target.database, zone=zone)
    return rules.by_generation(pairs)


def pair_tables(
    settings: TableSettings, *, source: Side, target: Side, zone: ZoneInfo, adds: bool = True
) -> TablePair:
    """One table on both sides. Raises SchemaError where it is missing or does not fit."""
    there, here = source.tables[settings.name], target.tables[settings.name]
    if there is None:
        raise SchemaError(
            N_("The source {address} has no table {table}."),
            hint=N_(
                "Names are exact and case-sensitive; a dot separates schema and table"
                " unless quoted."
            ),
            address=source.database.address,
            table=settings.name,
        )
    fit.refuse_same_table(there, settings, source=source, target=target)
    date_column = fit.date_column_of(there, settings.date_column, source.database)
    columns = fit.columns_to_copy(there, here, settings)
    key = fit.key_of(there, settings, columns)
    if here:
        fit.refuse_no_table(here, target.database)
    if here and here.column(settings.date_column):
        # Days of another class are no matter of what a type holds, and no convert mends them.
        standing = fit.date_column_of(here, settings.date_column, target.database)
        fit.refuse_other_class(settings, date_column, standing)
    made, added = (
        (_table_to_make(there, settings, columns, key, source.database, target), ())
        if here is None
        else _with_all(there, here, settings, columns, source.database, target, adds=adds)
    )
    target_date = fit.date_column_of(made, settings.date_column, target.database)
    fit.refuse_bad_where(there, settings, source)
    fit.refuse_followers(made, target.database)
    rules.refuse_policed(there, source.database)
    rules.refuse_policed(made, target.database)
    # How a difference was mended says nothing of the rows.
    silent = {"on_schema_change"} | (set() if settings.convert else {"convert"})
    definition = {
        "source": source.identity,
        "table": settings.model_dump(mode="json", exclude=silent),
        "zone": zone.key,
        "columns": columns,
    }
    return TablePair(
        name=settings.target,
        source=there,
        target=made,
        date_column=date_column,
        target_date=target_date,
        columns=columns,
        binary=source.database.kind == target.database.kind == "postgresql"
        and _alike(there, made, columns),
        key=key,
        key_enforced=bool(key) and any(unique <= set(key) for unique in made.unique if unique),
        where=settings.where,
        definition=hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest(),
        exists=here is not None,
        digest_kind=_digest_kind(source, target),
        added=added,
        must_have=changes.must_have(there, made, columns, settings.date_column) if here else (),
        crossing=source.database.kind != target.database.kind,
        convert=frozenset(settings.convert),
    )


def _with_all(
    there: Table,
    here: Table,
    settings: TableSettings,
    columns: tuple[str, ...],
    source: Database,
    target: Side,
    *,
    adds: bool,
) -> tuple[Table, tuple[Column, ...]]:
    """The target's table as it will be once it has all columns, and those that it lacks still."""
    lacking = tuple(name for name in columns if here.column(name) is None)
    wanted = _table_to_make(there, settings, lacking, (), source, target).columns if lacking else ()
    # Rows that stand there would have no date.
    adds &= settings.on_schema_change is SchemaChange.ADD_COLUMNS
    adds &= settings.date_column not in lacking
    wrong = changes.differences(
        there, here, columns, lacking=() if adds else wanted, target=target.database
    )
    if source.kind == target.database.kind:
        wrong += types.lossy(there, here, columns, settings, target.database)
    else:
        wrong += altering(there, here, columns, target.database)
    if wrong:
        raise misfits(wrong)
    return changes.with_added(here, wanted), wanted


def _digest_kind(source: Side, target: Side) -> str:
    """The best kind of digest that both sides can compute."""
    here = target.database.digest_kinds(target.connection)
    there = source.database.digest_kinds(source.connection)
    return next(kind for kind in there if kind in here)


def _table_to_make(
    there: Table,
    settings: TableSettings,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    source: Database,
    target: Side,
) -> Table:
    copied = [column for column in there.columns if column.name in columns]
    crossing = source.kind != target.database.kind
    if crossing:
        make = in_sqlite if target.database.kind == "sqlite" else in_postgres
        copied = [replace(make(column), rests_on=()) for column in copied]
    makes = {made.name: made.ddl for column in copied for made in column.rests_on}
    known = target.database.types(target.connection, [*makes, *(c.type for c in copied)])
    if lacking := [column for column in copied if known[column.type] is None]:
        statements = [ddl for name, ddl in makes.items() if known[name] is None]
        raise SchemaError(
            N_("Table {table} cannot be made in the target {address}: it lacks the types {types}."),
            hint=N_("Make them there: {statements}; or name their columns in exclude: {columns}.")
            if statements
            else N_("Create them there, or name their columns in exclude: {columns}."),
            table=settings.target,
            address=target.database.address,
            types=", ".join(dict.fromkeys(column.type for column in lacking)),
            statements="; ".join(statements),
            columns=", ".join(column.name for column in lacking),
        )
    made = Table(
        schema=target.database.schema,
        name=settings.target,
        columns=tuple(
            replace(column, identity=False, generated=False, rests_on=known[column.type] or ())
            for column in copied
        ),
        key=key,
        unique=(frozenset(key),) if key else (),
        strict=there.strict and source.kind == target.database.kind,
    )
    if crossing:
        refuse_names(made, target.database)
    # Types of one name may consist of other things in the target.
    elif wrong := types.lossy(there, made, columns, settings, target.database):
        raise misfits(wrong)
    return made


def _alike(there: Table, here: Table, columns: tuple[str, ...]) -> bool:
    theirs, ours = there.by_name, here.by_name
    pairs = ((theirs[name], ours[name]) for name in columns)
    return all(a.portable and b.portable and a.type == b.type for a, b in pairs)
