"""Values that the target cannot hold are refused before the first row moves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sync.databases import misfits
from sync.databases.misfits import Crossing, Misfit
from sync.errors import N_, SchemaError, together
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.port import Database
    from sync.planning import Group

SHOWN = 5  # columns


def refuse_unheld(
    groups: Iterable[Group],
    source: Database,
    *,
    zone: ZoneInfo,
    reading: Connection,
    writing: Connection | None,
) -> None:
    """Raise SchemaError where a target of another engine cannot hold a value of these groups."""
    found: dict[tuple[str, str], Misfit] = {}
    for group in groups:
        if group.pair.crossing:
            for misfit in _misfits(group, source, zone=zone, reading=reading, writing=writing):
                key = (group.pair.name, misfit.there.name)
                known = found.get(key)
                count = misfit.count + (known.count if known else 0)
                found[key] = replace(known or misfit, count=count)
    if found:
        raise _refusal(found)


def _misfits(
    group: Group,
    source: Database,
    *,
    zone: ZoneInfo,
    reading: Connection,
    writing: Connection | None,
) -> list[Misfit]:
    pair = group.pair
    where = group.condition(source, zone) + (f" AND ({pair.where})" if pair.where else "")
    rows = f"FROM {pair.source.sql} WHERE {where}"
    columns = [
        Crossing(there=a, here=b, convert=a.name in pair.convert, days=a == pair.date_column)
        for a, b in pair.both_columns
    ]
    if source.kind == "postgresql":
        return misfits.in_postgres(reading, rows, columns)
    return misfits.in_sqlite(reading, rows, columns, writing)


def _refusal(found: dict[tuple[str, str], Misfit]) -> SchemaError:
    told = [_told(table, misfit) for (table, _), misfit in found.items()]
    return SchemaError(N_("{reason} Nothing was copied."), reason=together(told, limit=SHOWN))


def _told(table: str, misfit: Misfit) -> Told:
    """One column's values, and how to go on."""
    mend = (
        N_('Mend them, or let them be converted: convert = ["{column}"] (docs/types.md tells how).')
        if misfit.mendable
        else N_("Mend them, give the target's column another type, or name it in exclude.")
    )
    return Told(
        N_(
            "Column {column} of {table} has values that {type} in the target cannot hold:"
            " {example} is one of {count}."
        ),
        hint=mend,
        column=misfit.there.name,
        table=table,
        type=misfit.here.type,
        example=misfit.example,
        count=misfit.count,
    )
