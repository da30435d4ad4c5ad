"""Dates as people write them: 2025-10-01, today, yesterday, -7d (seven days before today)."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

from sync.errors import N_, DateError, RangeError
from sync.model import DateRange

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

# Ten years: a longer range is a slip of the finger, and every partition of it would be planned.
DAYS_MAX = 3660
# A day has a next one, and its bounds are instants: what computers call dates ends soon after.
FIRST, LAST = date(2, 1, 1), date(9998, 12, 31)

_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAYS_AGO = re.compile(r"-([0-9]{1,6})d")


def parse_day(text: str, *, now: datetime, zone: tzinfo) -> date:
    """The calendar day that `text` means in `zone` when it is `now` (aware). Raises DateError."""
    given = text.strip()
    today = now.astimezone(zone).date()
    ago = {"today": 0, "yesterday": 1}.get(given.lower())
    if match := _DAYS_AGO.fullmatch(given):
        ago = int(match[1])
    try:
        if ago is not None:
            return today - timedelta(days=ago)
        # fromisoformat knows 20251001 and 2025-W40-3 too; one way to write a day is enough.
        if _ISO.fullmatch(given):
            return date.fromisoformat(given)
    except (ValueError, OverflowError):
        pass
    raise DateError(given=given)


def parse_range(start: str, end: str, *, now: datetime, zone: tzinfo) -> DateRange:
    """The days from `start` to `end`, both included. Raises DateError, RangeError."""
    return checked(
        DateRange(parse_day(start, now=now, zone=zone), parse_day(end, now=now, zone=zone))
    )


def checked(days: DateRange) -> DateRange:
    """`days`, which do not end before they start and are not too many. Raises RangeError."""
    if days.end < days.start:
        raise RangeError(start=days.start, end=days.end, days_max=DAYS_MAX)
    if days.start < FIRST or days.end > LAST:
        raise RangeError(
            N_("The range from {start} to {end} is not between {first} and {last}."),
            hint=N_("Look for a year that was mistyped."),
            start=days.start,
            end=days.end,
            first=FIRST,
            last=LAST,
        )
    if len(days) > DAYS_MAX:
        raise RangeError(
            N_("The range from {start} to {end} has {days} days; at most {days_max} go at once."),
            hint=N_("Split it into shorter ranges."),
            start=days.start,
            end=days.end,
            days=len(days),
            days_max=DAYS_MAX,
        )
    return days
