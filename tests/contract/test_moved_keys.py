"""Rows whose key stands in the target on another day: each is there once, where the source says."""

from pathlib import Path

import pytest

from sync.model import Only, PlanState, RunStatus
from tests.installation import Both, Side, asked, table

MONDAY, TUESDAY, WEDNESDAY = DAYS = "2025-01-06", "2025-01-07", "2025-01-08"
KEYED = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
UNKEYED = KEYED.replace(" PRIMARY KEY", "")
ALL = "SELECT * FROM orders"


def orders(side: Side, *, rows_per_day: int = 3) -> None:
    """Several rows a day, so that one less is no shrinking."""
    side.execute(KEYED)
    days = [day for day in DAYS for _ in range(rows_per_day)]
    side.insert("orders", [(number, day, "") for number, day in enumerate(days)])


@pytest.mark.parametrize(
    ("target", "old", "new", "group_rows"),
    [
        (KEYED, MONDAY, WEDNESDAY, 12),
        (KEYED, WEDNESDAY, MONDAY, 12),
        (KEYED, MONDAY, WEDNESDAY, 1000),
        (UNKEYED, MONDAY, WEDNESDAY, 12),
    ],
    ids=["later", "earlier", "one group", "unkeyed"],
)
def test_a_row_that_moved_stands_where_the_source_has_it(
    both: Both, tmp_path: Path, target: str, old: str, new: str, group_rows: int
) -> None:
    orders(both.source, rows_per_day=12)
    both.target.execute(target)
    installation = both.installation(
        tmp_path, table("orders", "day"), run={"group_rows": group_rows}
    )
    whole = (MONDAY, WEDNESDAY)
    assert installation.run(*whole).error is None
    lacking = {}
    for ranges in ([(new,)], [(new,), (old,)], [(old,), (new,)], [whole], [(old,)]):
        both.source.execute(
            f"UPDATE orders SET day = '{new}'"
            f" WHERE id = (SELECT min(id) FROM orders WHERE day = '{old}')"
        )
        if ranges == [(old,)]:
            (gone,) = installation.operations().plan(asked(old, rows=True)).moved
            assert (str(gone.day), gone.rows) == (new, 1)
        for days in ranges:
            assert installation.run(*days).error is None
        source, there = both.rows("SELECT id, day FROM orders")
        lacking[str(ranges)] = len(set(source) - set(there)), len(set(there) - set(source))
    # With its old day alone it is gone until its new day comes.
    assert (lacking.pop(str([(old,)])), set(lacking.values())) == ((1, 0), {(0, 0)})


def test_the_day_that_lost_a_row_is_missing_then_and_no_other(both: Both, tmp_path: Path) -> None:
    orders(both.source)
    installation = both.installation(tmp_path, table("orders", "day"))
    installation.run(MONDAY, WEDNESDAY)
    both.source.execute(f"UPDATE orders SET day = '{WEDNESDAY}' WHERE id = 0")
    both.target.execute("UPDATE orders SET note = 'altered' WHERE id IN (1, 4)")
    moved = installation.run(WEDNESDAY)
    plan = installation.operations().plan(asked(MONDAY, WEDNESDAY))
    altered = both.target.execute("SELECT id FROM orders WHERE note = 'altered' ORDER BY id")
    again = installation.run(MONDAY, WEDNESDAY, only=Only.MISSING)
    assert (
        moved.error,
        "rows.moved" in installation.events(moved.id),
        [p.state for p in plan.partitions],
        altered,
        list(installation.partitions(again.id)),
    ) == (
        None,
        True,
        [PlanState.MISSING, PlanState.SAME, PlanState.SAME],
        [(1,), (4,)],
        [("orders", MONDAY)],
    )


def test_rows_may_change_places(both: Both, tmp_path: Path) -> None:
    orders(both.source)
    installation = both.installation(tmp_path, table("orders", "day"), run={"group_rows": 3})
    installation.run(MONDAY, WEDNESDAY)
    both.source.execute("UPDATE orders SET id = 99 WHERE id = 0")
    both.source.execute("UPDATE orders SET id = 0 WHERE id = 8")
    both.source.execute("UPDATE orders SET id = 8 WHERE id = 99")
    run = installation.run(MONDAY, WEDNESDAY)
    source, target = both.rows(ALL)
    assert (run.error, target) == (None, source)


def test_a_key_that_the_target_numbers_itself_moves_too(postgresql: Both, tmp_path: Path) -> None:
    orders(postgresql.source)
    always = "id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    postgresql.target.execute(KEYED.replace("id INTEGER PRIMARY KEY", always))
    installation = postgresql.installation(tmp_path, table("orders", "day"))
    installation.run(MONDAY, WEDNESDAY)
    postgresql.source.execute(f"UPDATE orders SET day = '{WEDNESDAY}' WHERE id = 0")
    run = installation.run(WEDNESDAY)
    source, target = postgresql.rows(ALL)
    assert (run.error, target) == (None, source)


def test_a_unique_value_of_another_row_fails_the_day_and_says_so(
    both: Both, tmp_path: Path
) -> None:
    orders(both.source)
    both.source.execute("UPDATE orders SET note = id")
    both.target.execute(KEYED.replace("note TEXT", "note TEXT UNIQUE"))
    both.target.insert("orders", [(50, "2024-01-01", "7")])
    run = both.installation(tmp_path, table("orders", "day")).run(MONDAY, WEDNESDAY)
    assert (
        run.status,
        run.progress.rows_done,
        f"orders on {WEDNESDAY}" in str(run.error),
        "Another row of the target or the source has the same unique values" in str(run.error),
    ) == (RunStatus.FAILED, 6, True, True)
