"""Days and keys as PostgreSQL's SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sync.databases import days as bounds
from sync.databases.shape import DateClass
from sync.dates import FIRST, LAST

if TYPE_CHECKING:
    from datetime import date, datetime

    from sync.databases.shape import Column


def literal(value: date | datetime, kind: DateClass) -> str:
    """A day's bound as SQL."""
    match kind:
        case DateClass.DATE:
            return f"'{value.isoformat()}'::date"
        case DateClass.TIMESTAMP:
            return f"'{value.isoformat()}'::timestamp"
        case DateClass.TIMESTAMPTZ:
            return f"'{value.isoformat()}'::timestamptz"
        case _:
            assert_never(kind)


def undated(name: str) -> str:
    """That the column of this quoted name is NULL, infinite, or further than can be asked for.

    With both ends of each range: of these the planner takes it that few rows are in them, even
    before it has statistics, and asks the index.
    """
    early = f"{name} >= '-infinity' AND {name} < '{FIRST}'"
    late = f"{name} >= '{bounds.after(LAST)}' AND {name} <= 'infinity'"
    return f"{name} IS NULL OR {early} OR {late}"


def typed(value: str | None, column: Column) -> str:
    """A value's text as SQL."""
    if value is None:
        return f"NULL::{column.type}"
    text = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{text}'::{column.type}"
