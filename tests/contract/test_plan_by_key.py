"""What a plan tells besides states: rows by key, rows that would be gone, rows in no day, time."""

from pathlib import Path

import pytest

from sync import changes, verifying
from sync.model import Only
from sync.plan import Changes, Plan
from tests.installation import Both, Installation, asked, table

DAYS = [f"2025-01-{n:02}" for n in range(1, 7)]
RANGE = DAYS[0], DAYS[-1]
A_DAY = 40
CREATE = "CREATE TABLE orders (id INTEGER{}, day {}, note TEXT)"
KEY = " PRIMARY KEY"
BY_HAND = """
DELETE FROM orders WHERE id IN (41, 42);
UPDATE orders SET note = 'by hand' WHERE id = 43;
INSERT INTO orders VALUES (901, '2025-01-02', 'by hand'), (902, '2025-01-02', 'x'),
    (903, '2025-01-02', 'y');
DELETE FROM orders WHERE id >= 80 AND id < 120;
UPDATE orders SET note = 'all' WHERE id >= 160 AND id < 200
"""
# Of days 2, 3 and 5; the others are the same.
FOUND = {
    DAYS[1]: Changes(inserts=2, updates=1, deletes=3),
    DAYS[2]: Changes(inserts=A_DAY),
    DAYS[4]: Changes(updates=A_DAY),
}


def synced(both: Both, folder: Path, *, key: str = KEY, kind: str = "DATE") -> Installation:
    both.source.execute(CREATE.format(key, kind))
    rows = [(A_DAY * d + n, day, f"n{n}") for d, day in enumerate(DAYS) for n in range(A_DAY)]
    both.source.insert("orders", rows)
    made = both.installation(folder, table("orders", "day"))
    assert made.run(*RANGE).error is None
    return made


def plan(installation: Installation, *days: str, **request: object) -> Plan:
    return installation.operations().plan(asked(*(days or RANGE), **request))


def by_key(found: Plan) -> dict[str, Changes]:
    return {str(p.day): p.changes for p in found.partitions if p.changes and p.changes != Changes()}


@pytest.mark.parametrize(
    ("kind", "in_buckets"),
    [pytest.param("DATE", False, marks=pytest.mark.matrix), ("TIMESTAMP", True)],
)
def test_rows_are_counted_by_key_exactly(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, *, in_buckets: bool
) -> None:
    if in_buckets:
        monkeypatch.setattr(changes, "ROWS_AT_ONCE", 10)
        monkeypatch.setattr(changes, "BUCKETS_AT_ONCE", 2)
        monkeypatch.setattr(verifying, "SLICE_ROWS", 4)
    installation = synced(both, tmp_path, kind=kind)
    both.target.execute(BY_HAND)
    if kind == "TIMESTAMP":  # at another time of its day is another value, and no other row
        both.source.execute("UPDATE orders SET day = '2025-01-05 07:30:00' WHERE id = 160")
    found = plan(installation, rows=True)
    assert by_key(found) == FOUND
    totals = (found.totals["inserts"], found.totals["updates"], found.totals["deletes"])
    assert (totals, found.moved) == ((A_DAY + 2, A_DAY + 1, 3), ())
    assert installation.run(*RANGE).error is None
    assert by_key(plan(installation, rows=True)) == {}


def test_without_a_key_a_row_that_differs_is_one_less_and_one_more(
    both: Both, tmp_path: Path
) -> None:
    installation = synced(both, tmp_path, key="")
    both.source.insert("orders", [(1, DAYS[0], "n1")])  # it stands twice now
    both.target.execute("UPDATE orders SET note = 'by hand' WHERE id = 43")
    found = plan(installation, rows=True)
    assert by_key(found) == {
        DAYS[0]: Changes(inserts=1),
        DAYS[1]: Changes(inserts=1, deletes=1),
    }


def test_rows_that_are_to_get_a_column_are_updates(both: Both, tmp_path: Path) -> None:
    both.source.execute(CREATE.format(KEY, "DATE"))
    both.source.insert("orders", [(n, DAYS[0], "") for n in range(5)])
    orders = table("orders", "day", on_schema_change="add_columns")
    installation = both.installation(tmp_path, orders)
    installation.run(DAYS[0])
    both.source.execute("ALTER TABLE orders ADD COLUMN more INTEGER")
    both.source.execute("DELETE FROM orders WHERE id = 4")
    both.source.insert("orders", [(5, DAYS[0], "", 1), (6, DAYS[1], "", 1)])
    assert by_key(plan(installation, rows=True)) == {
        DAYS[0]: Changes(inserts=1, updates=4, deletes=1),
        DAYS[1]: Changes(inserts=1),
    }


def test_a_plan_of_the_old_day_alone_tells_where_its_rows_have_gone(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = synced(both, tmp_path, kind="TIMESTAMP")
    both.source.execute("UPDATE orders SET day = '2025-01-06 23:59:59' WHERE id IN (1, 2)")
    both.source.execute("UPDATE orders SET day = '2025-01-03 09:00:00' WHERE id IN (3, 44)")
    both.source.execute("UPDATE orders SET day = NULL WHERE id = 45")
    both.source.execute("DELETE FROM orders WHERE id = 4")
    found = plan(installation, DAYS[0], DAYS[2], rows=True)
    moved = [(str(m.day), m.rows, m.more) for m in found.moved]
    assert moved == [("2025-01-06", 2, False), ("None", 1, False)]
    elsewhere, nowhere = (str(m.told) for m in found.moved)
    assert elsewhere.startswith("Rows of orders that moved to 2025-01-06, outside this range, and")
    assert elsewhere.endswith("will be gone until that day is synced: 2.")
    assert nowhere == "Rows of orders that have no day any more, and will be gone: 1."
    assert plan(installation, rows=True).moved == found.moved[1:]
    # All of a day have gone, and there is room to look up some.
    monkeypatch.setattr(changes, "LOOKED_UP_MAX", 10)
    both.source.execute("UPDATE orders SET day = '2025-01-06' WHERE day < '2025-01-02'")
    (away,) = plan(installation, DAYS[0], rows=True).moved
    assert (0 < away.rows <= 10, away.more, "at least" in str(away.told)) == (True, True, True)


def test_rows_in_no_day_are_told_by_plan_run_and_check(both: Both, tmp_path: Path) -> None:
    installation = synced(both, tmp_path, kind="TIMESTAMP")
    assert plan(installation).undated == ()
    odd = "infinity" if both.kind == "postgresql" else "abc"
    both.source.insert("orders", [(901, None, ""), (902, None, ""), (903, odd, "")])
    both.target.insert("orders", [(904, None, "")])
    (lost,) = plan(installation, DAYS[0]).undated
    assert [str(told) for told in lost.told] == [
        "Rows of orders in no day by day, which are never copied: 3.",
        "Rows of orders in the target in no day by day; they stay: 1.",
    ]
    run = installation.run(DAYS[0])
    assert installation.events(run.id).count("rows.undated") == 2
    said = [str(f.told) for f in installation.operations().check()]
    assert set(map(str, lost.told)) <= set(said)


def test_an_instant_of_sqlite_that_is_none_is_told_where_it_would_be(
    sqlite: Both, tmp_path: Path
) -> None:
    installation = synced(sqlite, tmp_path, kind="TIMESTAMPTZ")
    odd = ("2025-01-03 soon", "2025-01-05T25:00Z", 20250103)
    sqlite.source.insert("orders", [(900 + n, at, "") for n, at in enumerate(odd)])
    found = [plan(installation, *days).undated[0].source for days in (RANGE, ("2025-03-01",))]
    assert found == [3, 1]


def test_the_time_is_a_range_once_there_is_something_to_go_by(sqlite: Both, tmp_path: Path) -> None:
    installation = synced(sqlite, tmp_path)
    known = plan(installation).estimate_s
    assert known
    assert 0 < known[0] < known[1] < 600
    sqlite.source.execute(CREATE.format(KEY, "DATE").replace("orders", "items"))
    sqlite.source.insert("items", [(1, DAYS[0], "")])
    wider = sqlite.installation(tmp_path, table("orders", "day"), table("items", "day"))
    # Nothing is known of items; of what is the same, nothing would be copied.
    assert plan(wider).estimate_s is None
    nothing = plan(wider, only=Only.MISSING, tables=("orders",)).estimate_s
    assert nothing
    assert nothing[0] <= known[0]
