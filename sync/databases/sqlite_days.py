"""SQLite's dates, which are texts: how they sort, and which of them are dates at all."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from sync.databases import days as bounds
from sync.databases.shape import Column, DateClass, Table, quoted
from sync.dates import FIRST, LAST
from sync.errors import N_, SchemaError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sync.model import DateRange

TIMESTAMPS = ("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")


def class_of(declared: str, *, strict: bool = False) -> DateClass | None:
    """The date class of a column that was declared so."""
    words = declared.upper()
    if strict and words == "TEXT":
        return DateClass.TIMESTAMP
    if words.startswith(TIMESTAMPS):
        return DateClass.TIMESTAMPTZ
    if words.startswith(("TIMESTAMP", "DATETIME")):
        return DateClass.TIMESTAMP
    return DateClass.DATE if words.startswith("DATE") else None


def between(column: Column, low: date | datetime, high: date | datetime) -> str:
    """That `column` is `low` or later and before `high`, as SQL on the bare column.

    A bare date sorts before each time of that day, however it is written. Of instants, which may
    have a T, a Z or an offset, the index finds those of a day more on either side, and SQLite reads
    the rest.
    """
    name = quoted(column.name)
    if column.date_class is not DateClass.TIMESTAMPTZ:
        return f"{name} >= '{edge(low)}' AND {name} < '{edge(high)}'"
    return (
        f"{_near(name, low, high)}"
        f" AND datetime({name}) >= datetime('{low}') AND datetime({name}) < datetime('{high}')"
    )


def undated(column: Column, days: DateRange, zone: ZoneInfo) -> str:
    """That `column` is NULL, a number, or a text that is no date.

    A text that only looks like an instant is found where it would be in `days`; what looks like a
    date and is none is refused when its days are counted.
    """
    name = quoted(column.name)
    far = f"{name} IS NULL OR {name} < '{FIRST}' OR {name} >= '{bounds.after(LAST)}'"
    if column.date_class is not DateClass.TIMESTAMPTZ:
        return far
    low, high = (bounds.first_instant(day, zone) for day in (days.start, bounds.after(days.end)))
    # SQLite reads the 31st of February as a day of March.
    no_date = (
        f"substr({name}, 9, 2) > '28' AND date(substr({name}, 1, 10)) <> substr({name}, 1, 10)"
    )
    no_instant = f"datetime({name}) IS NULL OR {no_date}"
    return f"{far} OR {_near(name, low, high)} AND ({no_instant})"


def _near(name: str, low: date | datetime, high: date | datetime) -> str:
    """Where the instants from `low` to `high` are among texts, whatever offsets they have."""
    first, end = low - timedelta(days=1), high + timedelta(days=2)
    return f"{name} >= '{_day(first)}' AND {name} < '{_day(end)}'"


def edge(value: date | datetime) -> str:
    """As text that sorts before each time of that day, however it is written."""
    if isinstance(value, datetime) and value.time() != time.min:
        return value.isoformat(" ")
    return _day(value)


def _day(value: date | datetime) -> str:
    # Not strftime: its years have four digits only from 1000 on.
    return value.isoformat()[:10]


def day_of(value: object, kind: DateClass | None, zone: ZoneInfo) -> date | None:
    """The day of a column's value; None of what is no date."""
    with suppress(ValueError):
        at = datetime.fromisoformat(str(value))
        if kind is not DateClass.TIMESTAMPTZ:
            return at.date()
        return bounds.day_of(at if at.tzinfo else at.replace(tzinfo=UTC), zone)
    return None


def as_day(text: str, table: Table, column: Column) -> date:
    """A day that was counted. Raises SchemaError where its text is no date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SchemaError(
            N_("Column {column} of {table} holds {value}, which is not a date."),
            hint=N_("Days are written YYYY-MM-DD. Mend these rows, or leave them out by where."),
            column=column.name,
            table=table.name,
            value=repr(text),
        ) from None
