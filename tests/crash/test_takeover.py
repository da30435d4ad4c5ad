"""Holders that are ended by somebody else: what becomes of their runs, and of whoever ends them."""

import io
import json
import signal
import subprocess
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from sync.cli import main
from sync.errors import HeldElsewhere, LeaseHeld, LockError, TakeoverRefused, UsageError
from sync.locking.holder import current_holder, process_start
from sync.locking.takeover import Taking
from sync.model import Holder, RunStatus, Verdict
from sync.operations import Operations
from sync.told import Told
from tests.crash.children import (
    Child,
    hanging,
    sync_days,
    sync_days_and_hang,
    sync_on_another_host,
    take_locks_and_hang,
)
from tests.crash.days import FIRST_DAY, Days
from tests.crash.takeovers import (
    QUICK,
    assert_next_start_completes,
    assert_taken_over,
    held,
    in_target,
    versions,
)
from tests.installation import Installation, table, until
from tests.redis_server import RedisServer
from tests.servers import Databases, PostgresServer

OF_RUN = "pg_stat_activity WHERE application_name LIKE 'batch_sync 2%'"
# A COPY that has written and waits for its client.
MID_COPY = f"""
    SELECT 1 FROM {OF_RUN} AND state = 'active' AND query LIKE '%FROM STDIN%'
    AND wait_event = 'ClientRead'"""


def test_a_holder_stopped_in_the_middle_of_a_copy_is_taken_over_and_the_next_start_goes_through(
    postgres_days: Days, postgres: PostgresServer, databases: Databases
) -> None:
    days = postgres_days
    reader = (
        f"SELECT pid FROM {OF_RUN} AND datname = '{databases.source}'"
        " AND query LIKE 'COPY%>= ''2025-01-02''%' AND state = 'idle in transaction'"
    )
    with (
        closing(postgres.connect(databases.target)) as blocker,
        Child(sync_days, days.installation.settings_file, FIRST_DAY, days.last_day) as child,
        ExitStack() as waking,
    ):
        blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        child.told()
        child.tell("go")
        run_id = child.told()
        until(lambda: postgres.execute(reader))
        # Nothing comes for the third day, whose COPY has begun.
        source = psutil.Process(postgres.execute(reader)[0][0])
        source.suspend()
        waking.callback(source.resume)
        blocker.rollback()
        until(lambda: postgres.execute(MID_COPY))
        until(lambda: days.installation.operations().run(run_id).current == "orders 2025-01-03")
        child.stop()
        operations = days.installation.operations()
        plan = operations.plan_takeover(run_id)
        assert (plan.verdict, plan.needs_force) == (Verdict.PAUSED, False)
        told = " ".join(map(str, (*plan.evidence, *plan.breaks)))
        assert f"Process {child.pid} on" in told
        assert "(orders 2025-01-03) is rolled back; 2 of 3 partitions stay" in told
        assert "sessions that are ended: " in told
        run = operations.take_over(run_id, reason="it hangs", user="ada")
        assert_taken_over(days, run, by="ada", reason="it hangs")
        assert "run.taken_over" in days.installation.events(run_id)
        assert operations.take_over(run_id, reason="again", user="bob") == run
        assert [version for version, _ in days.standing().values()] == [2, 2, 1]
        assert_next_start_completes(days)
        child.process.join(5)
        assert child.process.exitcode == -signal.SIGKILL


def test_a_holder_on_another_host_is_taken_over_and_when_it_wakes_it_writes_nothing_and_exits_6(
    postgres_days: Days, postgres: PostgresServer, databases: Databases, tmp_path: Path
) -> None:
    days = postgres_days
    elsewhere = Installation(
        tmp_path / "elsewhere",
        source_url=databases.source_url,
        target_url=databases.target_url,
        tables=[table("orders", "day")],
        run=QUICK,
    )
    with (
        closing(postgres.connect(databases.target)) as blocker,
        Child(sync_on_another_host, elsewhere.settings_file, FIRST_DAY, days.last_day) as child,
    ):
        blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        until(lambda: postgres.execute(f"SELECT 1 FROM {OF_RUN} AND wait_event_type = 'Lock'"))
        child.stop()
        blocker.rollback()
        operations = days.installation.operations()

        def verdict() -> Verdict:
            with pytest.raises(LeaseHeld) as refusal:
                operations.start(days.request)
            assert not refusal.value.conflict.reached
            return refusal.value.conflict.verdict

        until(lambda: verdict() is Verdict.UNKNOWN)
        [run_id] = [run.id for run in operations.history() if not run.status.final]
        for whom in (None, run_id):
            with pytest.raises(HeldElsewhere, match=f"Run {run_id} is held by"):
                operations.cancel(whom)
        plan = operations.plan_takeover(run_id)
        assert plan.verdict is Verdict.UNKNOWN
        assert any("cannot be ended from here" in str(what) for what in plan.breaks)
        seen = operations.snapshot()
        assert (seen.run and seen.run.id, seen.verdict) == (run_id, Verdict.UNKNOWN)
        run = operations.take_over(run_id, reason="cut off", user="ada")
        assert operations.snapshot().run is None
        assert operations.cancel(run_id) is operations.cancel() is None
        assert_taken_over(days, run, by="ada", reason="cut off")
        assert_next_start_completes(days)
        days.write(3)  # what it would write now, were it let
        child.wake()
        assert child.told() == 6
        assert versions(days) == {2}
        assert_taken_over(days, elsewhere.operations().run(run_id), by="ada", reason="cut off")
        audit = operations.audit()
        assert (audit.overlaps, audit.faults) == (0, ())


def test_a_thread_of_this_process_that_hangs_is_taken_over_and_the_process_goes_on(
    days: Days,
) -> None:
    hangs, go_on = threading.Event(), threading.Event()
    operations = hanging(days.installation.operations(), hangs, go_on)
    run_id = operations.start(days.request)
    hangs.wait()
    [thread] = [one for one in threading.enumerate() if one.name == f"batch-sync-{run_id}"]
    plan = operations.plan_takeover(run_id)
    assert any("in this process" in str(what) for what in plan.breaks)
    run = operations.take_over(run_id, reason="it hangs", user="ada", force=True)
    assert_taken_over(days, run, by="ada", reason="it hangs")
    assert_next_start_completes(days)
    days.write(3)
    before = (days.standing(), operations.run(run_id), in_target(days, run_id))
    with held(days.installation, days.request) as holder:
        assert thread.is_alive()
        go_on.set()
        thread.join(20)
        assert not thread.is_alive()
        with pytest.raises(LeaseHeld) as refusal:
            days.installation.operations().start(days.request)
        assert refusal.value.conflict.run_id == holder
        assert (days.standing(), operations.run(run_id), in_target(days, run_id)) == before


def test_a_holder_that_hangs_before_its_run_stands_anywhere_is_ended_by_its_id(days: Days) -> None:
    operations = days.installation.operations()
    arguments = (days.installation.settings_file, FIRST_DAY, days.last_day)
    with Child(take_locks_and_hang, *arguments) as child:
        run_id = child.told()
        with pytest.raises(LeaseHeld) as refusal:
            operations.start(days.request)
        assert refusal.value.conflict.run_id == run_id
        until(lambda: operations.plan_takeover(run_id).verdict is Verdict.UNKNOWN)
        run = operations.take_over(run_id, reason="it hangs", user="ada")
        assert (run.id, run.status) == (run_id, RunStatus.INTERRUPTED)
        child.process.join(5)
        assert_next_start_completes(days)


def test_a_process_whose_run_has_just_ended_by_itself_is_left_alone(days: Days) -> None:
    parts = days.installation.operations()._parts  # noqa: SLF001 - a port is wrapped
    arguments = (days.installation.settings_file, FIRST_DAY, days.last_day)
    with Child(sync_days_and_hang, *arguments) as child:
        run_id, look = child.told(), parts.looker.look_at

        def end_after_the_look(*facts: Any) -> Any:
            seen = look(*facts)
            child.tell("go")
            assert child.told() is RunStatus.SUCCEEDED
            return seen

        parts.looker.look_at = end_after_the_look  # type: ignore[method-assign]  # a port
        run = Operations(parts).take_over(run_id, reason="it hangs", force=True)
        assert run.status is RunStatus.SUCCEEDED
        child.process.join(0.5)
        assert child.process.exitcode is None


def test_a_takeover_that_leaves_a_session_is_not_done(postgres_days: Days) -> None:
    days, operations = postgres_days, postgres_days.installation.operations()
    arguments = (days.installation.settings_file, FIRST_DAY, days.last_day)
    with Child(sync_days_and_hang, *arguments) as child:
        run_id = child.told()
        child.stop()
        held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        [(pid,)] = days.both.target.execute(held)
        backend = psutil.Process(pid)
        backend.suspend()
        try:
            with pytest.raises(LockError, match=r"1 sessions of the run .* do not end"):
                operations.take_over(run_id, reason="it hangs", user="ada")
        finally:
            backend.resume()
        run = operations.take_over(run_id, reason="it hangs", user="ada")
        assert_taken_over(days, run, by="ada", reason="it hangs")
        assert_next_start_completes(days)


def test_an_sqlite_holder_stopped_within_a_write_transaction_is_ended_first(
    sqlite_days: Days,
) -> None:
    days = sqlite_days
    with Child(
        sync_days_and_hang, days.installation.settings_file, FIRST_DAY, days.last_day
    ) as child:
        run_id = child.told()
        child.stop()
        operations = days.installation.operations()
        assert operations.plan_takeover(run_id).verdict is Verdict.PAUSED
        run = operations.take_over(run_id, reason="it hangs", user="ada")
        assert_taken_over(days, run, by="ada", reason="it hangs")
        assert versions(days) == {1}
        assert_next_start_completes(days)


def test_an_sqlite_holder_that_cannot_be_ended_from_here_is_taken_over_unless_it_writes(
    sqlite_days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    days, taker = sqlite_days, sqlite_days.installation.operations()

    def elsewhere(user: str | None) -> Holder:
        return replace(current_holder(user), boot_id="another boot")

    monkeypatch.setattr("sync.starting.current_holder", elsewhere)
    hangs, go_on = threading.Event(), threading.Event()
    writing = hanging(days.installation.operations(), hangs, go_on)
    run_id = writing.start(days.request)
    hangs.wait()
    with pytest.raises(LockError, match="is being written"):
        taker.take_over(run_id, reason="it hangs", force=True)
    go_on.set()
    assert writing.wait(run_id).status is RunStatus.SUCCEEDED

    days.write(3)
    planned = threading.Event()
    idle = days.installation.operations(before_copying=planned.wait)
    run_id = idle.start(days.request)
    until(lambda: "run.planned" in days.installation.events(run_id))
    breaks = taker.plan_takeover(run_id).breaks
    assert any("file lock stays held" in str(what) for what in breaks)
    run = taker.take_over(run_id, reason="it hangs", user="ada", force=True)
    assert_taken_over(days, run, by="ada", reason="it hangs")
    with pytest.raises(LeaseHeld):
        taker.start(days.request)
    planned.set()
    assert idle.wait(run_id) == run
    assert versions(days) == {2}


def test_a_holders_key_in_redis_goes_with_a_takeover_long_before_its_time_is_over(
    sqlite_days: Days, redis: RedisServer, tmp_path: Path
) -> None:
    locked = sqlite_days.both.installation(
        tmp_path / "locked", table("orders", "day"), run=QUICK, lock={"url": redis.url, "ttl_s": 60}
    )
    with Child(sync_days_and_hang, locked.settings_file, FIRST_DAY, sqlite_days.last_day) as child:
        run_id = child.told()
        child.stop()
        operations = locked.operations()
        assert operations.plan_takeover(run_id).verdict is Verdict.PAUSED
        operations.take_over(run_id, reason="it hangs")
        assert locked.run(FIRST_DAY, sqlite_days.last_day).status is RunStatus.SUCCEEDED


def test_a_holder_that_runs_well_is_refused_and_by_force_it_exits_6(
    postgres_days: Days,
    postgres: PostgresServer,
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    days = postgres_days
    monkeypatch.setenv("BATCH_SYNC_CONFIG", str(days.installation.settings_file))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with (
        closing(postgres.connect(databases.target)) as blocker,
        subprocess.Popen(
            days.installation.command("run", FIRST_DAY, days.last_day),
            env=days.installation.environment,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        until(lambda: postgres.execute(f"SELECT 1 FROM {OF_RUN} AND wait_event_type = 'Lock'"))
        operations = days.installation.operations()
        run_id = operations.history()[0].id
        with pytest.raises(TakeoverRefused):
            operations.take_over(run_id, reason="impatience")
        with pytest.raises(UsageError, match="wants a reason"):
            operations.take_over(run_id, reason=" \n", force=True)
        taking = ["takeover", run_id, "--reason", "impatience"]
        refused = [main([*taking, "--yes"]), main([*taking, "--force"]), main(taking[:2])]
        refused.append(main(["takeover", "no such run", "--reason", "x", "--yes"]))
        assert refused == [2, 2, 2, 2]
        said = capfd.readouterr().err
        assert f"PID {process.pid} since" in said
        assert f"Process {process.pid} on" in said
        assert process.poll() is None
        assert main([*taking, "--yes", "--force", "--json"]) == 0
        ended = json.loads(capfd.readouterr().out)
        assert (ended["id"], ended["status"]) == (run_id, "interrupted")
        assert process.wait(20) in {6, -signal.SIGKILL}
    run = operations.run(run_id)
    assert_taken_over(days, run, by=run.holder.user, reason="impatience")


def test_a_process_that_has_the_holders_pid_by_now_is_not_signalled(sqlite_days: Days) -> None:
    operations = sqlite_days.installation.operations()
    run, taker = operations.history()[0], operations._parts.taker  # noqa: SLF001 - a step alone
    with Child(sync_days, sqlite_days.installation.settings_file, FIRST_DAY, FIRST_DAY) as child:
        child.told()
        start = process_start(psutil.Process(child.pid))
        former = replace(current_holder(None), pid=child.pid, process_start=start - 100)
        taker.end_process(Taking(run=replace(run, holder=former), by="ada", why=Told("")))
        child.process.join(0.2)
        assert child.process.exitcode is None
        present = replace(former, process_start=start)
        taker.end_process(Taking(run=replace(run, holder=present), by="ada", why=Told("")))
        child.process.join(5)
        assert child.process.exitcode == -signal.SIGTERM
