"""About how long a run would take: what past runs are believed to tell."""

from datetime import date

from sync.estimating import SPREAD, estimate_s
from sync.model import PlanState
from sync.plan import Plan, PlannedPartition
from sync.store import PastRun


def planned(rows: int, state: PlanState = PlanState.MISSING, table: str = "a") -> Plan:
    day = date(2025, 1, 1)
    one = PlannedPartition(
        table=table, day=day, source_rows=rows, target_rows=9, state=state, day_closed=True
    )
    return Plan((one,))


def run(rows: int, seconds: float, besides: float = 1.0) -> PastRun:
    return PastRun(seconds=seconds + besides, tables={"a": (rows, seconds)})


def told(plan: Plan, *past: PastRun, at_once: int = 1) -> tuple[float, float] | None:
    found = estimate_s(plan, past, at_once=at_once, allow_shrink=False)
    return found and (round(found[0] * SPREAD, 6), round(found[1] / SPREAD, 6))


def test_the_fastest_and_the_slowest_run_bound_it() -> None:
    past = run(1000, 1, besides=2), run(1000, 4, besides=3)
    assert told(planned(10_000), *past) == (12, 43)


def test_runs_of_few_rows_tell_nothing_of_many_unless_there_are_no_others() -> None:
    assert told(planned(10_000), run(10, 1), run(5000, 5)) == (11, 11)
    assert told(planned(10_000), run(10, 1), run(20, 1)) == (501, 501)


def test_groups_side_by_side_take_less_at_the_best() -> None:
    assert told(planned(1000), run(1000, 4, besides=-1), at_once=2) == (3, 5)


def test_what_would_not_be_copied_takes_no_time() -> None:
    assert told(planned(10**9, PlanState.HELD_BACK), run(1000, 1)) == (1, 1)


def test_where_nothing_tells_nothing_is_told() -> None:
    assert told(planned(1)) is None
    assert told(planned(1, table="b"), run(1, 1)) is None
    assert told(planned(1), PastRun(seconds=1)) is None
