"""Whatever befalls a run at whatever step: days stay whole, one writes at a time, all is mended.

A sample runs with all other tests; the whole matrix by `pytest -m matrix`.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sync.errors import LeaseHeld
from sync.model import RunId, RunStatus
from sync.operations import Operations
from tests.crash.matrix import SAMPLE_EVERY, Case, all_cases
from tests.crash.mishaps import BACKENDS_ENDED, CUT_OFF, LOCK_ENDED, RESTART, SIGSTOP, After
from tests.crash.steps import BEFORE_TOKEN, HOLDING
from tests.crash.world import HEARTBEAT_OLD_S, Servers, World, world
from tests.installation import busy, until
from tests.wires import BlackHole

NEXT_START_S = 2.0
GONE_S = 10.0
SESSIONS = "pg_stat_activity WHERE application_name LIKE 'batch_sync 2%'"
LOCK_SESSION = f"{SESSIONS} AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"


def parameters() -> list[Any]:
    """Every case; all but a sample are marked."""
    return [
        pytest.param(case, id=str(case), marks=[pytest.mark.matrix] if n % SAMPLE_EVERY else [])
        for n, case in enumerate(all_cases())
    ]


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    postgres = request.getfixturevalue("postgres")
    with BlackHole(postgres.port) as wire:
        yield Servers(postgres=postgres, databases=request.getfixturevalue("databases"), wire=wire)


@pytest.mark.parametrize("case", parameters())
def test_a_mishap_leaves_days_whole_one_writer_and_a_target_that_the_next_start_mends(
    case: Case, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    has_server = case.kind == "postgresql"
    servers = request.getfixturevalue("servers") if has_server else None
    with world(case, tmp_path, servers) as its:
        if case.mishap.after is After.HELD_UP:
            end = held_up(its)
        else:
            end = brought_to_its_end(its)
            days_are_old_or_new(its)
        mended_by_the_next_start(its, end)


def brought_to_its_end(its: World) -> str | None:
    """Let the mishap happen; how the child ended, by its own word."""
    servers, mishap = its.servers, its.case.mishap
    if mishap.after is After.DEAD:
        its.child.process.join()
        return None
    if servers and mishap in {LOCK_ENDED, BACKENDS_ENDED}:
        servers.end(LOCK_SESSION if mishap is LOCK_ENDED else SESSIONS)
    elif servers and mishap is RESTART:
        servers.restart(its.days)
    if mishap.servers:
        its.child.tell("done")
    return str(its.child.told())


def days_are_old_or_new(its: World) -> None:
    """BEFORE or AFTER, and a checkpoint tells which."""
    before, run_id, after = its.before, its.child_run(), its.days.standing()
    assert after.keys() == before.keys()
    assert all(now in {before[day], (2, run_id)} for day, now in after.items())
    if run_id and its.outcomes()[run_id] == RunStatus.SUCCEEDED:
        assert set(after.values()) == {(2, run_id)}


def held_up(its: World) -> str | None:
    """Others take over and finish; then it is let go, and must not write; how it ended."""
    if its.case.mishap is SIGSTOP:
        until(lambda: psutil.Process(its.child.pid).status() == psutil.STATUS_STOPPED)
    else:
        assert its.servers is not None
        its.servers.wire.cut()
        its.child.tell("done")
    taken_over = others_finish(its)
    kept = its.everything()
    if its.case.mishap is CUT_OFF and its.case.step in BEFORE_TOKEN:
        # It gives up by itself: as long as it has no run, nobody could take it over.
        end = told_or_gone(its)
        let_go(its)
        return end
    let_go(its)
    end = told_or_gone(its)
    if taken_over:
        assert its.everything() == kept
    return end


def let_go(its: World) -> None:
    """End what holds it up."""
    if its.case.mishap is not SIGSTOP:
        assert its.servers is not None
        its.servers.wire.mend()
    elif its.child.process.is_alive():
        its.child.wake()


def others_finish(its: World) -> bool:
    """Another holder syncs all days; whether the lease had to be taken away for it."""
    operations = its.days.installation.operations()
    its.days.write(3)  # so that rows which the first writes now would be seen
    held = kept_out_by(operations, its)
    if held is not None:
        if its.case.step not in HOLDING:
            # Before its run is in the ledger and after it has ended there, there is nothing to take
            # over: whoever stands between that and a lock keeps others out until it wakes or dies.
            return False
        time.sleep(HEARTBEAT_OLD_S)  # past every timeout
        operations.take_over(held, reason="it hangs", force=True)
        assert operations.wait(started(operations, its)).status is RunStatus.SUCCEEDED
    return held is not None


def kept_out_by(operations: Operations, its: World) -> RunId | None:
    """The run that is in the way of a start, by the refusal; None: it ran, and to the end."""
    try:
        run_id = operations.start(its.days.request)
    except LeaseHeld as refusal:
        return refusal.conflict.run_id or RunId("")
    assert operations.wait(run_id).status is RunStatus.SUCCEEDED
    return None


def started(operations: Operations, its: World) -> RunId:
    """The next start, which must not be kept waiting."""
    began = time.monotonic()
    run_id = operations.resume() or operations.start(its.days.request)
    assert time.monotonic() - began < NEXT_START_S * busy()
    return run_id


def told_or_gone(its: World) -> str | None:
    """How it ended, by its own word; None when it was ended."""
    try:
        return str(its.child.told())
    except EOFError:
        its.child.process.join(GONE_S)
        return None


def mended_by_the_next_start(its: World, end: str | None) -> None:
    """One start, and all rows are equal, no run is open, and history tells what was."""
    operations = its.days.installation.operations()
    # A holder that could not write its end anywhere looks well as long as its heartbeat is young.
    until(lambda: operations.snapshot().state == "idle", seconds=HEARTBEAT_OLD_S + NEXT_START_S)
    assert operations.wait(started(operations, its)).status is RunStatus.SUCCEEDED
    source, target = its.days.rows()
    assert source == target
    its.assert_one_wrote_at_a_time()
    assert operations.audit().faults == ()
    outcomes = its.outcomes()
    told = {run.id: run.status.value for run in operations.history()}
    assert told == outcomes
    run_id = its.child_run()
    if run_id and end in {status for status in RunStatus if status.final}:
        assert outcomes[run_id] == end
    if its.case.mishap.after is After.DEAD and run_id:
        assert outcomes[run_id] in {RunStatus.INTERRUPTED, RunStatus.SUCCEEDED}
