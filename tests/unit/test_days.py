"""Calendar days as bounds: every instant is in one day, however long that day is."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.databases.days import after, bound, closed, first_instant
from sync.databases.shape import DateClass

BERLIN = ZoneInfo("Europe/Berlin")
zones = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)
days = st.dates(min_value=date(1, 1, 3), max_value=date(9999, 12, 28))


def hours(day: date, zone: str) -> float:
    low, high = (first_instant(d, ZoneInfo(zone)) for d in (day, after(day)))
    return (high - low) / timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "zone", "expected"),
    [
        (date(2025, 3, 29), "Europe/Berlin", 24),
        (date(2025, 3, 30), "Europe/Berlin", 23),
        (date(2025, 10, 26), "Europe/Berlin", 25),
        (date(2025, 4, 6), "Australia/Lord_Howe", 24.5),
        (date(2024, 10, 20), "America/Sao_Paulo", 24),
        (date(2018, 11, 4), "America/Sao_Paulo", 23),  # it had no midnight
        (date(2011, 12, 30), "Pacific/Apia", 0),  # it did not exist
        (date(2025, 3, 30), "UTC", 24),
    ],
)
def test_a_day_is_as_long_as_its_zone_makes_it(day: date, zone: str, expected: float) -> None:
    assert hours(day, zone) == expected


@given(day=days, zone=zones)
def test_days_follow_one_another_without_gap_or_overlap(day: date, zone: ZoneInfo) -> None:
    low, high = first_instant(day, zone), first_instant(after(day), zone)
    assert low <= high
    if low < high:
        assert low.astimezone(zone).date() == day
        assert (high - timedelta(microseconds=1)).astimezone(zone).date() == day


@given(day=days, zone=zones)
def test_dates_and_naive_timestamps_know_no_zone(day: date, zone: ZoneInfo) -> None:
    assert bound(day, DateClass.DATE, zone) == day
    assert bound(day, DateClass.TIMESTAMP, zone) == datetime(day.year, day.month, day.day)


def test_a_day_is_closed_when_its_last_instant_is_past() -> None:
    day = date(2025, 10, 26)
    end = datetime(2025, 10, 26, 23, tzinfo=UTC)
    assert [closed(day, BERLIN, at) for at in (end - timedelta(seconds=1), end)] == [False, True]
