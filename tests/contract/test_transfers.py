"""Two tables that change while they are read: what arrives is one state of both."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.installation import Both, asked, table, until
from tests.transfers import ACCOUNTS, TABLES

DAYS = [f"2025-01-{n:02}" for n in range(1, 6)]
OPENING = 1_000
TOTAL = OPENING * ACCOUNTS * len(TABLES)
SUM = " + ".join(f"(SELECT sum(amount) FROM {name})" for name in TABLES)
# Groups so small that a run reads each table in five goes.
SMALL = {"group_rows": ACCOUNTS // len(DAYS)}


@contextmanager
def transfers(both: Both) -> Iterator[None]:
    """Another process moves amounts at full speed."""
    if both.kind == "sqlite":
        both.source.execute("PRAGMA journal_mode = WAL")
    for name in TABLES:
        both.source.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, day date, amount int)")
        rows = [(n, DAYS[n % len(DAYS)], OPENING) for n in range(ACCOUNTS)]
        both.source.insert(name, rows)
    writer = subprocess.Popen([sys.executable, "-m", "tests.transfers", both.source.url])
    try:
        until(lambda: taken(both) != OPENING * ACCOUNTS)
        yield
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()


def taken(both: Both) -> int:
    """What stands in one of the two tables now."""
    return int(both.source.execute(f"SELECT sum(amount) FROM {TABLES[0]}")[0][0])


def wrong_sums(both: Both, folder: Path, *, runs: int, **settings: object) -> list[int]:
    """Sync both tables again and again; each sum over both in the target that is not the total."""
    installation = both.installation(
        folder, *(table(name, "day") for name in TABLES), run=SMALL | settings
    )
    operations, sums, moved = installation.operations(), [], set()
    with transfers(both):
        for _ in range(runs):
            moved.add(taken(both))
            run = operations.wait(operations.start(asked(DAYS[0], DAYS[-1])), timeout_s=60)
            assert run.error is None
            sums.append(int(both.target.execute(f"SELECT {SUM}")[0][0]))
    operations.close()
    assert len(moved) > runs // 2
    return [found for found in sums if found != TOTAL]


def test_the_sum_over_both_tables_is_right_after_each_run(both: Both, tmp_path: Path) -> None:
    assert wrong_sums(both, tmp_path, runs=5, max_parallel=2) == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("both", "max_parallel"),
    # From one SQLite file to another, one thread copies.
    [("postgresql", 1), ("postgresql", 2), ("sqlite", 1)],
    indirect=["both"],
)
def test_the_sum_over_both_tables_is_right_in_each_of_50_runs(
    both: Both, tmp_path: Path, max_parallel: int
) -> None:
    assert wrong_sums(both, tmp_path, runs=50, max_parallel=max_parallel) == []


@pytest.mark.matrix
def test_without_a_snapshot_the_sum_is_wrong_so_that_these_tests_can_fail(
    postgresql: Both, tmp_path: Path
) -> None:
    assert wrong_sums(postgresql, tmp_path, runs=10, snapshot=False)
