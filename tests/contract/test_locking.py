"""The lock of a target: its file, its session, whom it names, and starts that come twice."""

import fcntl
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from sync.errors import LeaseHeld
from sync.locking.file import FileLease, is_free, read_record
from sync.model import RunId, RunStatus
from sync.operations import Operations
from sync.settings import load
from tests.crash.children import Child, sync_days
from tests.crash.days import FIRST_DAY, Days, days_in_postgres, days_in_sqlite
from tests.installation import until
from tests.servers import Databases, PostgresServer

LOCK_SESSION = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture
def sqlite_days(tmp_path: Path) -> Iterator[Days]:
    """Three days that were synced in version 1 and are in version 2 in the source now."""
    with days_in_sqlite(tmp_path, 3, start_wait_s=0.2) as days:
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days


@pytest.fixture
def postgres_days(postgres: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[Days]:
    """The same in PostgreSQL."""
    with days_in_postgres(postgres, databases, tmp_path, 3, heartbeat_s=0.1) as days:
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days


@pytest.fixture(params=["postgres_days", "sqlite_days"])
def days(request: pytest.FixtureRequest) -> Days:
    """The same in either."""
    found: Days = request.getfixturevalue(request.param)
    return found


class Begun:
    """A run of this process that has its lease and its plan, and copies once it is let go."""

    def __init__(self, days: Days) -> None:
        self._gate = threading.Event()
        self.operations: Operations = days.installation.operations(before_copying=self._gate.wait)
        self.id: RunId = self.operations.start(days.request)

    def ended(self) -> RunStatus:
        """Let it go on; how it ended."""
        self._gate.set()
        return self.operations.wait(self.id).status


@pytest.fixture
def begun(days: Days) -> Iterator[Begun]:
    run = Begun(days)
    yield run
    run.ended()


def lock_file(days: Days) -> Path:
    """The one lock file of the target."""
    if days.both.kind == "sqlite":
        return Path(days.both.target.url.removeprefix("sqlite:///") + ".batch_sync.lock")
    [path] = load(days.installation.settings_file).state_dir.glob("target-*.lock")
    return path


def test_a_lock_file_is_granted_once_in_a_process_and_freed_by_any_thread(tmp_path: Path) -> None:
    first, second = FileLease(tmp_path / "lock"), FileLease(tmp_path / "lock")
    assert (first.acquire("{}"), second.acquire("{}")) == (True, False)
    thread = threading.Thread(target=first.release)
    thread.start()
    thread.join()
    assert second.acquire("{}")
    second.release()


def test_a_lock_is_granted_once_in_a_process_and_its_holder_is_named(
    days: Days, begun: Begun
) -> None:
    for operations in (begun.operations, days.installation.operations()):
        with pytest.raises(LeaseHeld) as refusal:
            operations.start(days.request)
        conflict = refusal.value.conflict
        assert conflict.holder is not None
        assert (conflict.run_id, conflict.holder.pid) == (begun.id, os.getpid())
    assert begun.ended() is RunStatus.SUCCEEDED


def test_the_lock_file_names_its_present_holder_and_nobody_after_the_release(
    days: Days, begun: Begun
) -> None:
    record = read_record(lock_file(days))
    assert record is not None
    assert record.holder is not None
    assert (record.run_id, record.holder.pid) == (begun.id, os.getpid())
    begun.ended()
    assert read_record(lock_file(days)) is None
    assert is_free(lock_file(days))


def test_the_record_of_a_holder_that_was_killed_is_not_taken_for_the_present_ones(
    sqlite_days: Days,
) -> None:
    days = sqlite_days
    with Child(sync_days, days.installation.settings_file, FIRST_DAY, days.last_day) as child:
        days.both.target.execute("BEGIN IMMEDIATE")  # a writer keeps the run from ending
        child.tell("go")
        until(lambda: read_record(lock_file(days)))
    days.both.target.execute("ROLLBACK")
    assert read_record(lock_file(days)) is not None
    with lock_file(days).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # somebody who has not said yet who he is
        with pytest.raises(LeaseHeld) as refusal:
            days.installation.operations().start(days.request)
    assert (refusal.value.conflict.holder, refusal.value.conflict.run_id) == (None, None)
    assert days.installation.run(FIRST_DAY, days.last_day).status is RunStatus.SUCCEEDED


def test_a_removed_lock_file_is_found_out_before_the_next_group(days: Days, begun: Begun) -> None:
    lock_file(days).unlink()
    assert begun.ended() is RunStatus.INTERRUPTED
    assert "lock file" in str(begun.operations.run(begun.id).error)
    assert {version for version, _ in days.standing().values()} == {1}


@pytest.mark.parametrize("days", ["sqlite_days"], indirect=True)  # it has no session lock
def test_a_second_holder_by_a_removed_lock_file_is_the_only_one_that_writes(
    days: Days, begun: Begun
) -> None:
    lock_file(days).unlink()
    second = days.installation.run(FIRST_DAY, days.last_day)
    assert (second.status, begun.ended()) == (RunStatus.SUCCEEDED, RunStatus.INTERRUPTED)
    assert set(days.standing().values()) == {(2, second.id)}


def test_a_run_whose_lock_session_ended_stops_even_while_its_statement_waits(
    postgres_days: Days, postgres: PostgresServer, databases: Databases
) -> None:
    operations = postgres_days.installation.operations()
    with closing(postgres.connect(databases.target)) as blocker:
        blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        run_id = operations.start(postgres_days.request)
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM ({LOCK_SESSION}) AS lock")
        run = operations.wait(run_id, timeout_s=10)
    assert run.status is RunStatus.INTERRUPTED
    assert postgres_days.installation.run(FIRST_DAY).status is RunStatus.SUCCEEDED


def test_a_start_that_comes_again_under_its_key_is_the_same_run(days: Days, begun: Begun) -> None:
    begun.ended()
    operations = days.installation.operations()
    first = operations.start(days.request, key="click")
    while_it_runs = operations.start(days.request, key="click")
    operations.wait(first)
    afterwards = days.installation.operations().start(days.request, key="click")
    assert {first, while_it_runs, afterwards} == {first}


def test_starts_that_come_at_once_under_one_key_are_one_run(days: Days) -> None:
    here, elsewhere = (days.installation.operations() for _ in range(2))
    with ThreadPoolExecutor(8) as pool:
        started = list(
            pool.map(lambda o: o.start(days.request, key="click"), [here, elsewhere] * 4)
        )
    for operations in (here, elsewhere):
        operations.wait(started[0])
    assert len(set(started)) == 1
    assert len(here.history()) == 2
