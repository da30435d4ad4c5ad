"""Days at their edges: every row with a date is in one day, in each zone, class and engine."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sync.databases.days import first_instant
from sync.model import DateRange, Only, PlanState
from tests.installation import Both, Installation, asked, table

pytestmark = pytest.mark.matrix

TICK = timedelta(microseconds=1)
CREATE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, at {})"
ALL = "SELECT id, at FROM orders"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Some days of a zone around one that is odd; how many hours that one has."""

    zone: str
    odd: date
    hours: float


KINDS = ("DATE", "TIMESTAMP", "TIMESTAMPTZ")
BERLIN = ZoneInfo("Europe/Berlin")
CASES = [
    pytest.param(Case(zone=zone, odd=odd, hours=hours), id=f"{zone}, {hours} h", marks=marks)
    for zone, odd, hours, marks in (
        ("Pacific/Apia", date(2011, 12, 30), 0, ()),  # it does not exist
        ("Asia/Beirut", date(2022, 3, 27), 23, ()),  # it has no midnight
        ("America/Sao_Paulo", date(2018, 11, 4), 23, pytest.mark.matrix),  # nor has this one
        ("Europe/Berlin", date(2025, 3, 30), 23, pytest.mark.matrix),
        ("Europe/Berlin", date(2025, 10, 26), 25, pytest.mark.matrix),
    )
]


def written(at: datetime, kind: str) -> str:
    """A value as both engines read it."""
    if kind == "DATE":
        return f"{at:%Y-%m-%d}"
    return f"{at:%Y-%m-%d %H:%M:%S.%f}" + ("+00:00" if kind == "TIMESTAMPTZ" else "")


def at_edges(days: list[date], kind: str, zone: ZoneInfo) -> list[tuple[str, date]]:
    """The first and last value of each day, with that day; of one that is empty, none."""
    found: list[tuple[str, date]] = []
    for day in days:
        if kind == "DATE":
            found.append((day.isoformat(), day))
            continue
        low, high = (
            first_instant(d, zone)
            if kind == "TIMESTAMPTZ"
            else datetime(d.year, d.month, d.day, tzinfo=UTC)
            for d in (day, day + timedelta(days=1))
        )
        edges = [low, high - TICK] if low < high else []
        found += [(written(at, kind), day) for at in edges]
    return found


def fill(both: Both, values: Mapping[str, list[tuple[str, date]]]) -> list[dict[str, object]]:
    """A table of each class of date column, named by it; their settings."""
    for kind, rows in values.items():
        name = kind.lower()
        both.source.execute(f"CREATE TABLE {name}_rows (id INTEGER PRIMARY KEY, at {kind})")
        both.source.insert(f"{name}_rows", [(n, at) for n, (at, _) in enumerate(rows)])
    return [table(f"{kind.lower()}_rows", "at") for kind in values]


@pytest.mark.parametrize("case", CASES)
def test_a_row_at_an_edge_is_in_its_day_and_in_no_other(
    both: Both, tmp_path: Path, case: Case
) -> None:
    zone = ZoneInfo(case.zone)
    low, high = (first_instant(day, zone) for day in (case.odd, case.odd + timedelta(days=1)))
    assert (high - low) / timedelta(hours=1) == case.hours
    days = [case.odd + timedelta(days=n) for n in range(-2, 3)]  # with rows beyond the range
    values = {kind: at_edges(days, kind, zone) for kind in KINDS}
    installation = both.installation(tmp_path, *fill(both, values), timezone=case.zone)
    first, odd, last = (str(case.odd + timedelta(days=n)) for n in (-1, 0, 1))
    plan = installation.operations().plan(asked(first, last))
    assert {(p.table, p.day): p.source_rows for p in plan.partitions} == {
        (f"{kind.lower()}_rows", day): sum(of == day for _, of in values[kind])
        for kind in KINDS
        for day in days[1:-1]
    }
    assert installation.run(first, last).error is None
    for kind, rows in values.items():
        source, target = both.rows(f"SELECT id, at FROM {kind.lower()}_rows")
        assert target == [row for row in source if rows[row[0]][1] in days[1:-1]]
        both.target.execute(f"UPDATE {kind.lower()}_rows SET id = id + 1000")
    # Alone, the day takes its own rows away and brings them back, and touches no other.
    assert installation.run(odd).error is None
    for kind, rows in values.items():
        ids = [n for (n,) in both.target.execute(f"SELECT id FROM {kind.lower()}_rows")]
        brought = [n for n in ids if n < 1000]
        assert sorted(brought) == [n for n, (_, day) in enumerate(rows) if day == case.odd]
        assert len(ids) == sum(day in days[1:-1] for _, day in rows)


def test_the_sum_over_all_days_is_every_row_with_a_date(both: Both, tmp_path: Path) -> None:
    days = DateRange(date(2025, 3, 20), date(2025, 4, 5))
    low, end = (first_instant(d, BERLIN) for d in (days.start, date(2025, 4, 6)))
    instants = [low + n * (end - low) / 200 for n in range(200)]
    values = {kind: [(written(at, kind), at.date()) for at in instants] for kind in KINDS}
    tables = fill(both, values)
    for kind in KINDS:
        both.source.insert(f"{kind.lower()}_rows", [(200, None)])
    installation = both.installation(tmp_path, *tables, timezone=BERLIN.key)
    before = str(days.start - timedelta(days=1))  # in UTC the first rows are of that day
    plan = installation.operations().plan(asked(before, str(days.end)))
    assert plan.totals["source_rows"] == 200 * len(KINDS)
    assert [undated.source for undated in plan.undated] == [1] * len(KINDS)
    assert installation.run(before, str(days.end)).progress.rows_done == 200 * len(KINDS)


def test_late_rows_of_a_closed_day_are_seen_and_brought(both: Both, tmp_path: Path) -> None:
    installation = days_of_may(both, tmp_path)
    installation.run("2025-05-01", "2025-05-03")
    both.source.insert("orders", [(901, "2025-05-02 23:59:59.999999")])
    plan = installation.operations().plan(asked("2025-05-01", "2025-05-03"))
    assert [p.state for p in plan.partitions] == [
        PlanState.SAME,
        PlanState.CHANGED,
        PlanState.SAME,
    ]
    run = installation.run("2025-05-01", "2025-05-03", only=Only.CHANGED)
    assert list(installation.partitions(run.id)) == [("orders", "2025-05-02")]
    assert both.rows(ALL)[1] == both.rows(ALL)[0]


def test_today_is_taken_as_it_is_and_again_tomorrow(both: Both, tmp_path: Path) -> None:
    # West of everyone: its day goes on for hours when that of the others has ended.
    today = datetime.now(ZoneInfo("Etc/GMT+12")).date()
    yesterday = str(today - timedelta(days=1))
    both.source.execute(CREATE.format("DATE"))
    both.source.insert("orders", [(1, yesterday), (2, str(today))])
    installation = both.installation(tmp_path, table("orders", "at"), timezone="Etc/GMT+12")
    assert installation.run(yesterday, str(today)).error is None
    plan = installation.operations().plan(asked(yesterday, str(today)))
    assert [p.state for p in plan.partitions] == [PlanState.SAME, PlanState.NOT_CLOSED]
    again = installation.run(yesterday, str(today), only=Only.MISSING)
    assert list(installation.partitions(again.id)) == [("orders", str(today))]


def days_of_may(both: Both, folder: Path) -> Installation:
    both.source.execute(CREATE.format("TIMESTAMP"))
    days = ("2025-05-01", "2025-05-02", "2025-05-03")
    hours = itertools.product(days, range(4))
    rows = [(n, f"{day} {hour:02}:00:00") for n, (day, hour) in enumerate(hours)]
    both.source.insert("orders", rows)
    return both.installation(folder, table("orders", "at"))
