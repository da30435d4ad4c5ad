"""Holders that die, are paused, lose their lease or their disk; and what others make of it."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from sync.errors import LeaseHeld
from sync.model import RunId, RunStatus, Verdict
from tests.crash.children import Child, sync_days, sync_days_and_hang, sync_days_on_full_disk
from tests.crash.days import FIRST_DAY, Days, days_in_postgres
from tests.installation import Installation, table, until
from tests.servers import Databases, PostgresServer

LOCK_SESSION = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
OF_RUN = "pg_stat_activity WHERE application_name LIKE 'batch_sync 2%'"


@pytest.fixture
def days(postgres: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[Days]:
    """Five days that were synced in version 1 and are in version 2 in the source now."""
    with days_in_postgres(postgres, databases, tmp_path, 5, heartbeat_s=0.1) as days:
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days


class Begun(NamedTuple):
    """A run in a process of its own, and what lets it go on."""

    child: Child
    run_id: str
    let_go: Callable[[], None]


@contextmanager
def writes_wait(postgres: PostgresServer, databases: Databases) -> Iterator[Callable[[], None]]:
    """Whoever wants to write `orders` in the target waits, until what is given here is called."""
    with closing(postgres.connect(databases.target)) as blocker:
        blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        yield blocker.rollback


def wait_for_writer(days: Days) -> None:
    """Return once a run is held up inside its transaction."""
    waiting = (
        f"SELECT 1 FROM {OF_RUN} AND datname = current_database() AND wait_event_type = 'Lock'"
    )
    until(lambda: days.both.target.execute(waiting))


@pytest.fixture
def begun(days: Days, postgres: PostgresServer, databases: Databases) -> Iterator[Begun]:
    """A process whose run is held up inside its first transaction."""
    with (
        writes_wait(postgres, databases) as let_go,
        Child(sync_days, days.installation.settings_file, FIRST_DAY, days.last_day) as child,
    ):
        assert child.told() == "ready"
        child.tell("go")
        run_id = child.told()
        wait_for_writer(days)
        yield Begun(child, run_id, let_go)


def versions(days: Days) -> set[int]:
    return {version for version, _ in days.standing().values()}


def test_a_killed_holders_run_is_closed_with_evidence_by_whoever_looks(
    days: Days, begun: Begun
) -> None:
    begun.child.kill()
    operations = days.installation.operations()
    until(lambda: operations.history()[0].status.final, seconds=2)
    assert operations.snapshot().state == "idle"
    run = operations.run(RunId(begun.run_id))
    assert (run.status, run.progress.rows_done) == (RunStatus.INTERRUPTED, 0)
    assert f"process {begun.child.pid} " in str(run.error)
    assert days.both.target.execute(
        f"SELECT outcome, reason FROM batch_sync_run WHERE run_id = '{begun.run_id}'"
    ) == [("interrupted", str(run.error))]
    assert versions(days) == {1}


def test_a_dead_run_that_another_installation_closed_ended_when_the_target_says(
    days: Days, tmp_path: Path
) -> None:
    elsewhere = days.both.installation(tmp_path / "elsewhere", table("orders", "day"))
    with Child(sync_days_and_hang, elsewhere.settings_file, FIRST_DAY, days.last_day) as child:
        run_id = child.told()
    assert days.installation.run(FIRST_DAY, days.last_day).status is RunStatus.SUCCEEDED
    ended = f"SELECT released_at FROM batch_sync_run WHERE run_id = '{run_id}'"
    [(released_at,)] = days.both.target.execute(ended)
    run = elsewhere.operations().history()[1]
    assert (run.id, run.status, run.progress.rows_done) == (run_id, RunStatus.INTERRUPTED, 0)
    assert run.finished_at == released_at


def test_a_paused_holder_is_called_paused_and_its_lease_is_not_given_away(
    days: Days, begun: Begun
) -> None:
    begun.child.stop()
    operations = days.installation.operations()
    assert operations.snapshot().verdict is Verdict.PAUSED
    with pytest.raises(LeaseHeld) as refusal:
        operations.start(days.request)
    conflict = refusal.value.conflict
    assert (conflict.run_id, conflict.verdict) == (begun.run_id, Verdict.PAUSED)
    begun.let_go()
    begun.child.wake()
    assert begun.child.told() is RunStatus.SUCCEEDED


def test_a_paused_holder_without_any_database_session_is_not_called_dead(
    days: Days, postgres: PostgresServer, begun: Begun
) -> None:
    begun.child.stop()
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM {OF_RUN}")
    until(lambda: not postgres.execute(f"SELECT 1 FROM {OF_RUN}"))
    assert days.installation.operations().snapshot().verdict is Verdict.LOST
    begun.let_go()
    begun.child.wake()
    assert begun.child.told() is RunStatus.INTERRUPTED


def test_a_paused_holder_whose_token_was_raised_writes_nothing_when_it_wakes(
    days: Days, begun: Begun
) -> None:
    begun.child.stop()
    begun.let_go()
    days.both.target.execute("UPDATE batch_sync_lease SET token = token + 1, run_id = 'another'")
    begun.child.wake()
    assert begun.child.told() is RunStatus.INTERRUPTED
    assert versions(days) == {1}
    run = days.installation.operations().run(RunId(begun.run_id))
    assert "no longer holds the lease" in str(run.error)


def test_a_holder_that_was_cut_off_is_succeeded_by_another_host_and_writes_nothing_any_more(
    days: Days, postgres: PostgresServer, databases: Databases, begun: Begun, tmp_path: Path
) -> None:
    other_host = Installation(
        tmp_path / "other host",
        source_url=databases.source_url,
        target_url=databases.target_url,
        tables=[table("orders", "day")],
    )
    begun.child.stop()
    begun.let_go()
    with pytest.raises(LeaseHeld) as refusal:
        other_host.run(FIRST_DAY, days.last_day)
    assert refusal.value.conflict.run_id == begun.run_id
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM ({LOCK_SESSION}) AS lock")
    successor = other_host.run(FIRST_DAY, days.last_day)
    assert successor.status is RunStatus.SUCCEEDED
    days.write(3)  # what the first would write now, were it let
    begun.child.wake()
    assert begun.child.told() is RunStatus.INTERRUPTED
    assert set(days.standing().values()) == {(2, successor.id)}
    assert "lease was lost" in str(other_host.operations().run(RunId(begun.run_id)).error)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_rolls_the_open_transaction_back_and_frees_the_lease(
    days: Days, postgres: PostgresServer, databases: Databases, number: int, code: int
) -> None:
    with (
        writes_wait(postgres, databases),
        subprocess.Popen(
            days.installation.command("run", FIRST_DAY, days.last_day),
            env=days.installation.environment,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        wait_for_writer(days)
        process.send_signal(number)
        patience = threading.Timer(10, process.kill)
        patience.start()
        assert process.wait() == code
        patience.cancel()
        until(lambda: not postgres.execute(f"SELECT 1 FROM {OF_RUN}"), seconds=2)
    operations = days.installation.operations()
    assert operations.history()[0].status is RunStatus.CANCELLED
    assert versions(days) == {1}
    assert days.installation.run(FIRST_DAY, days.last_day).status is RunStatus.SUCCEEDED


def test_a_full_disk_before_a_start_makes_no_run_and_leaves_the_lock_free(days: Days) -> None:
    arguments = (days.installation.settings_file, FIRST_DAY, days.last_day, "before")
    with Child(sync_days_on_full_disk, *arguments) as child:
        name, _ = child.told()
        operations = days.installation.operations()
        state = operations.snapshot().state
        run = operations.wait(operations.start(days.request))
    assert (name, state, run.status) == ("StoreError", "idle", RunStatus.SUCCEEDED)


def test_a_disk_that_fills_up_stops_no_run_and_history_is_right_by_the_target(
    days: Days, postgres: PostgresServer, databases: Databases
) -> None:
    arguments = (days.installation.settings_file, FIRST_DAY, days.last_day, "after")
    with (
        writes_wait(postgres, databases) as let_go,
        Child(sync_days_on_full_disk, *arguments) as child,
    ):
        run_id = child.told()
        wait_for_writer(days)
        time.sleep(0.3)  # some reports to the store fail
        let_go()
        child.tell("go on")
        assert child.told() == "ended"
    source, target = days.rows()
    assert source == target
    operations = days.installation.operations()
    assert operations.snapshot().state == "idle"
    run = operations.run(run_id)
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, None)
