"""Runs that are killed at any instant."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.model import RunId, RunStatus
from sync.operations import Operations
from sync.settings import load
from sync.wiring import open_operations
from tests.crash.children import Child, sync_days
from tests.crash.days import FIRST_DAY, Days, days_in_postgres, days_in_sqlite
from tests.installation import busy
from tests.servers import Databases, PostgresServer

SEED = 4711
NEXT_START_S = 1.0
TRIES_PER_KILL = 8  # a kill that comes after the end is none
# A transaction that has written, of any session of a run.
WRITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name LIKE 'batch_sync 2%' AND backend_xid IS NOT NULL"""

# Its transactions stay open for most of a run's time.
SLOW_TARGET = """
    CREATE TABLE orders (id integer PRIMARY KEY, day date, version integer);
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(0.008); RETURN NULL; END';
    CREATE TRIGGER slow AFTER INSERT OR DELETE ON orders EXECUTE FUNCTION slow()"""


@pytest.fixture
def postgres_days(postgres: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[Days]:
    with days_in_postgres(postgres, databases, tmp_path, 12) as days:
        days.both.target.execute(SLOW_TARGET)
        yield days


@pytest.fixture
def sqlite_days(tmp_path: Path) -> Iterator[Days]:
    with days_in_sqlite(tmp_path, 25) as days:
        yield days


@pytest.mark.parametrize("kills", [15, pytest.param(50, marks=pytest.mark.matrix)])
def test_kills_leave_every_day_of_a_postgresql_target_whole_and_the_next_start_mends_it(
    postgres_days: Days, kills: int
) -> None:
    target = postgres_days.both.target
    met = kill_and_resume(postgres_days, kills=kills, look=lambda: target.execute(WRITING)[0][0])
    assert sum(met) >= 0.4 * kills, "too few of them met an open transaction of the target"


def test_kills_leave_every_day_of_an_sqlite_target_whole_and_the_next_start_mends_it(
    sqlite_days: Days,
) -> None:
    kill_and_resume(sqlite_days, kills=8, look=lambda: 0)


def kill_and_resume(days: Days, *, kills: int, look: Callable[[], int]) -> list[int]:
    """Kill runs at instants all over a run's length, each followed by a start that must mend all.

    What `look` saw at each kill.
    """
    instants = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    operations = in_one_group(days)
    child_s = [seconds_of_a_child(days) for _ in range(2)]
    seen: list[int] = []
    for version in range(2, kills * TRIES_PER_KILL):
        if len(seen) == kills:
            break
        days.write(version)
        before, newest_before = days.standing(), newest_run(days)
        child = started_child(days)
        time.sleep(instants.uniform(0, child_s[-1]))
        child.stop()  # so that what is seen now is what the kill meets
        met = look()
        child.kill()
        killed_at = time.monotonic()
        after, killed = days.standing(), newest_run(days)
        allowed = {(version, killed)} if killed != newest_before else set()
        assert after.keys() == before.keys()
        assert all(now == before[day] or now in allowed for day, now in after.items())
        next_run = operations.resume() or operations.start(days.request)
        assert time.monotonic() - killed_at < NEXT_START_S * busy()
        assert operations.wait(next_run).status is RunStatus.SUCCEEDED
        source, target = days.rows()
        assert source == target
        if killed == newest_before:
            seen.append(met)
        elif (run := operations.run(killed)).status is not RunStatus.SUCCEEDED:
            seen.append(met)
            assert run.status is RunStatus.INTERRUPTED
            assert f"process {child.pid} " in str(run.error)
    assert len(seen) == kills
    return seen


def in_one_group(days: Days) -> Operations:
    """Operations whose own runs are short: one transaction."""
    settings = load(days.installation.settings_file)
    run = settings.run.model_copy(update={"group_rows": 1_000_000})
    return open_operations(settings.model_copy(update={"run": run}))


def newest_run(days: Days) -> RunId:
    """The run that took the lease last."""
    found = days.both.target.execute("SELECT run_id FROM batch_sync_run ORDER BY token DESC")
    return RunId(found[0][0])


def started_child(days: Days) -> Child:
    """A process that begins to sync all days this very moment."""
    child = Child(sync_days, days.installation.settings_file, FIRST_DAY, days.last_day)
    assert child.told() == "ready"
    child.tell("go")
    return child


def seconds_of_a_child(days: Days) -> float:
    """How long a run takes that nobody kills."""
    child, began = started_child(days), time.monotonic()
    child.told()
    assert child.told() is RunStatus.SUCCEEDED
    spent_s = time.monotonic() - began
    child.kill()
    return spent_s
