"""Calendar days as half-open bounds, in the class of the date column that is compared with them.

A naive TIMESTAMP is local to the configured zone, so its day is always 24 bare hours. A TIMESTAMPTZ
has instants: a day may have 23 or 25 hours, or none at all (Samoa skipped 2011-12-30). A DATE is
itself.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, assert_never

from sync.databases.shape import DateClass

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sync.model import DateRange


def bound(day: date, kind: DateClass, zone: ZoneInfo) -> date | datetime:
    """The first value of `day`: a date, a naive datetime, or an aware one in UTC."""
    match kind:
        case DateClass.DATE:
            return day
        case DateClass.TIMESTAMP:
            return datetime.combine(day, time.min)
        case DateClass.TIMESTAMPTZ:
            return first_instant(day, zone)
        case _:
            assert_never(kind)


def edges(days: DateRange, kind: DateClass, zone: ZoneInfo) -> list[date | datetime]:
    """The first value of each day and that behind the last: one more than there are days."""
    return [bound(day, kind, zone) for day in (*days.days(), after(days.end))]


def slices(day: date, kind: DateClass, zone: ZoneInfo, parts: int) -> list[date | datetime]:
    """The first value of each of at most `parts` slices of a day, on whole seconds; first its own.

    A DATE has one slice.
    """
    low, high = bound(day, kind, zone), bound(after(day), kind, zone)
    if not isinstance(low, datetime) or not isinstance(high, datetime):
        return [low]
    seconds = int((high - low).total_seconds())
    starts = {seconds * n // parts for n in range(parts)}
    return [low + timedelta(seconds=start) for start in sorted(starts)]


def after(day: date) -> date:
    """The next calendar day."""
    return day + timedelta(days=1)


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of `day` in `zone`, in UTC; after the gap for a day without midnight.

    Of a midnight that happens twice the first is taken (`fold` 0). A midnight inside a gap is read
    with the offset before it (PEP 495), which gives the very instant of the change.
    """
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def day_of(value: date | datetime, zone: ZoneInfo) -> date:
    """The day of a column's value: an aware datetime's is that in `zone`."""
    if not isinstance(value, datetime):
        return value
    return (value.astimezone(zone) if value.tzinfo else value).date()


def closed(day: date, zone: ZoneInfo, now: datetime) -> bool:
    """Whether `day` had ended in `zone` at the instant `now` (aware)."""
    return first_instant(after(day), zone) <= now.astimezone(UTC)
