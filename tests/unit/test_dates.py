"""Days as people write them, in the configured zone."""

import contextlib
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.dates import DAYS_MAX, parse_day, parse_range
from sync.errors import DateError, RangeError
from sync.model import DateRange

NOW = datetime(2026, 11, 24, 20, 30, tzinfo=UTC)


def day(text: str, zone: str = "UTC") -> date:
    return parse_day(text, now=NOW, zone=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-10-01", date(2025, 10, 1)),
        (" 2025-10-01 ", date(2025, 10, 1)),
        ("2024-02-29", date(2024, 2, 29)),
        ("today", date(2026, 11, 24)),
        ("Yesterday", date(2026, 11, 23)),
        ("-0d", date(2026, 11, 24)),
        ("-7d", date(2026, 11, 17)),
    ],
)
def test_a_day_is_iso_or_a_word_or_days_ago(text: str, meant: date) -> None:
    assert day(text) == meant


def test_today_is_told_by_the_configured_zone() -> None:
    assert day("today", "Asia/Shanghai") == date(2026, 11, 25)
    assert day("-1d", "Asia/Shanghai") == date(2026, 11, 24)
    assert day("today", "America/New_York") == date(2026, 11, 24)


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-30",
        "2025-13-01",
        "0000-01-01",
        "20251001",
        "2025-W40-3",
        "2025-1-1",
        "01.10.2025",
        "tomorrow",
        "7d",
        "+7d",
        "-7",
        "-999999d",
        "-d",
        "２０２５-10-01",
        "",
        "2025-10-01T00:00",
    ],
)
def test_everything_else_is_no_date_and_the_error_says_what_was_given(text: str) -> None:
    with pytest.raises(DateError) as caught:
        day(text)
    assert caught.value.told.facts == {"given": text}
    assert f"“{text}” is not a date. Write a day as YYYY-MM-DD" in str(caught.value)


@given(st.text())
def test_any_text_is_a_date_or_a_date_error(text: str) -> None:
    with contextlib.suppress(DateError):
        assert isinstance(day(text), date)


@given(st.dates(min_value=date(1, 1, 1)))
def test_every_iso_day_is_read_back(meant: date) -> None:
    assert day(meant.isoformat()) == meant


def test_a_range_has_both_its_days_and_may_be_one_day() -> None:
    assert parse_range("-7d", "today", now=NOW, zone=UTC) == DateRange(
        date(2026, 11, 17), date(2026, 11, 24)
    )
    assert len(parse_range("today", "today", now=NOW, zone=UTC)) == 1


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(RangeError, match="ends on 2025-10-01, before it starts on 2025-10-02"):
        parse_range("2025-10-02", "2025-10-01", now=NOW, zone=UTC)


def test_a_range_of_centuries_is_refused_with_the_limit() -> None:
    longest = date(2020, 1, 1) + timedelta(days=DAYS_MAX - 1)
    assert len(parse_range("2020-01-01", longest.isoformat(), now=NOW, zone=UTC)) == DAYS_MAX
    with pytest.raises(RangeError, match="has 109574 days; at most 3660 go at once"):
        parse_range("1725-01-01", "2025-01-01", now=NOW, zone=UTC)
