"""Runs from one engine to the other, undisturbed and disturbed: days are whole, rows stand once."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync.errors import SchemaError
from sync.model import CancelMode, Only, RunStatus
from tests.crash.children import Child, hanging, sync_days, sync_days_and_hang
from tests.installation import Both, Installation, Side, SqliteSide, asked, table, until

pytestmark = pytest.mark.matrix

FIRST, LAST = "2025-01-06", "2025-01-09"
DAYS = ["2025-01-06", "2025-01-07", "2025-01-08", "2025-01-09"]
PER_DAY = 30
MADE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day TIMESTAMPTZ, version INTEGER, note TEXT)"
# In UTC on both sides; SQLite's text ends with minutes.
ALL = "SELECT id, substr(CAST(day AS TEXT), 1, 22), version, note FROM orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """A table on both sides of two engines, and its installation with a group a day."""

    both: Both
    installation: Installation

    def write(self, version: int) -> None:
        """Give every row of the source this version."""
        self.both.source.execute(f"UPDATE orders SET version = {version}")

    def versions(self) -> list[list[int]]:
        """The versions that each day of the target has; a whole day has one."""
        rows = self.both.target.execute(ALL)
        days = {day: {row[2] for row in rows if row[1].startswith(day)} for day in DAYS}
        assert all(sum(row[1].startswith(day) for row in rows) == PER_DAY for day in DAYS)
        return [sorted(found) for found in days.values()]


@pytest.fixture(params=["into sqlite", "into postgresql"])
def crossed(
    request: pytest.FixtureRequest, postgresql: Both, sqlite: Both, tmp_path: Path
) -> Crossed:
    source, target = (
        (postgresql.source, sqlite.target)
        if request.param == "into sqlite"
        else (sqlite.source, postgresql.target)
    )
    for side in (postgresql.source, postgresql.target):
        side.execute("SET TimeZone = 'UTC'")
    fill(source)
    both = Both(kind=postgresql.kind, source=source, target=target)
    run = {"group_rows": PER_DAY, "verify": "digest"}
    return Crossed(
        both=both, installation=both.installation(tmp_path, table("orders", "day"), run=run)
    )


def fill(source: Side) -> None:
    source.execute(MADE)
    notes = ["é\\N\t", "", "x"]
    source.insert(
        "orders",
        [
            (n, f"{DAYS[n // PER_DAY]} 12:00:{n % 60:02}+00:00", 1, notes[n % 3])
            for n in range(PER_DAY * len(DAYS))
        ],
    )


def test_a_check_looks_at_the_rights_in_either_engine(crossed: Crossed) -> None:
    findings = crossed.installation.operations().check()
    rights = [found for found in findings if found.name.template == "rights"]
    assert (all(found.ok for found in findings), bool(rights)) == (True, True)


def test_a_run_brings_every_row_to_the_other_engine_and_a_second_one_finds_them_the_same(
    crossed: Crossed,
) -> None:
    run = crossed.installation.run(FIRST, LAST)
    source, target = crossed.both.rows(ALL)
    states = crossed.installation.operations().plan(asked(FIRST, LAST, only=Only.CHANGED)).states
    assert (run.error, target, sum(states.values())) == (None, source, 0)


def test_a_process_killed_between_rows_and_commit_leaves_the_day_old_and_resume_goes_on(
    crossed: Crossed,
) -> None:
    crossed.installation.run(FIRST, LAST)
    crossed.write(2)
    with Child(sync_days_and_hang, crossed.installation.settings_file, FIRST, LAST) as child:
        child.told()
        child.kill()
    before = crossed.versions()
    with Child(sync_days, crossed.installation.settings_file, FIRST, LAST) as child:
        child.told()
        child.tell("go")
        child.told()
        until(lambda: crossed.versions() != before)
        child.kill()
    between = crossed.versions()
    operations = crossed.installation.operations()
    resumed = operations.resume() or operations.start(asked(FIRST, LAST))
    assert operations.wait(resumed).status is RunStatus.SUCCEEDED
    assert (before, all(len(day) == 1 for day in between)) == ([[1]] * 4, True)
    assert crossed.versions() == [[2]] * 4


def test_cancel_now_ends_a_run_in_its_middle_and_writes_nothing_of_that_group(
    crossed: Crossed,
) -> None:
    crossed.installation.run(FIRST, LAST)
    crossed.write(2)
    hangs, go_on = threading.Event(), threading.Event()
    operations = hanging(crossed.installation.operations(), hangs, go_on)
    run_id = operations.start(asked(FIRST, LAST))
    hangs.wait(20)
    began = time.monotonic()
    operations.cancel(run_id, CancelMode.NOW)
    time.sleep(0.2)  # the stop is on its way to the mover
    go_on.set()
    run = operations.wait(run_id)
    assert (run.status, crossed.versions()) == (RunStatus.CANCELLED, [[1]] * 4)
    assert time.monotonic() - began < 10


def test_a_row_that_moved_to_another_day_stands_once(crossed: Crossed) -> None:
    crossed.installation.run(FIRST, LAST)
    crossed.both.source.execute(f"UPDATE orders SET day = '{LAST} 23:59:59+00:00' WHERE id = 0")
    run = crossed.installation.run(LAST)
    source, target = crossed.both.rows(ALL)
    assert (run.error, "rows.moved" in crossed.installation.events(run.id)) == (None, True)
    assert target == source


def test_days_that_shrank_are_held_back(crossed: Crossed) -> None:
    crossed.installation.run(FIRST, LAST)
    crossed.both.source.execute(f"DELETE FROM orders WHERE id < {PER_DAY - 3}")
    run = crossed.installation.run(FIRST, LAST)
    assert (run.status, run.held_back) == (RunStatus.FAILED, 1)
    assert len(crossed.both.target.execute(ALL)) == PER_DAY * len(DAYS)


# What the other engine cannot hold: in which table, and what is told of it.
UNHELD = {
    "postgresql": ("DOUBLE PRECISION", "'NaN'", "DOUBLE PRECISION", "NaN is one of 2"),
    "sqlite": ("INTEGER", "'ten'", "bigint", "'ten' is one of 2"),
}


@pytest.mark.parametrize("snapshot", [True, False])
def test_what_cannot_be_held_is_refused_before_the_first_row_and_converted_where_allowed(
    crossed: Crossed, tmp_path: Path, *, snapshot: bool
) -> None:
    source = crossed.both.source
    type_, value, made, words = UNHELD["sqlite" if isinstance(source, SqliteSide) else "postgresql"]
    source.execute(f"ALTER TABLE orders ADD COLUMN odd {type_}")
    source.execute(f"UPDATE orders SET odd = {value} WHERE id IN (3, 90)")
    run = {"group_rows": PER_DAY, "snapshot": snapshot}
    refused, converted, absent, days = (
        crossed.both.installation(
            tmp_path / str(n), table("orders", "day", convert=names), run=run | {"verify": "digest"}
        )
        for n, names in enumerate(([], ["odd"], ["none"], ["day"]))
    )
    first = refused.run(FIRST, LAST)
    told = f"Column odd of orders has values that {made} in the target cannot hold: {words}. "
    assert (first.status, told in str(first.error)) == (RunStatus.FAILED, True)
    assert 'convert = ["odd"]' in str(first.error)
    with pytest.raises(Exception, match="orders"):
        crossed.both.target.execute(ALL)
    assert converted.run(FIRST, LAST).error is None
    odd = crossed.both.target.execute("SELECT count(*), count(odd) FROM orders")
    assert odd == [(PER_DAY * len(DAYS), 0)]
    for installation, why in ((absent, "no column none"), (days, "cannot be converted")):
        with pytest.raises(SchemaError, match=why):
            installation.run(FIRST)
