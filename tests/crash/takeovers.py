"""What must hold after a takeover, in store and target alike."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sync.model import RunId, RunRequest, RunStatus, RunView
from tests.crash.children import hanging
from tests.crash.days import FIRST_DAY, Days
from tests.installation import Installation

QUICK = {"heartbeat_s": 0.1, "heartbeat_old_s": 0.5, "takeover_grace_s": 0.2}


def versions(days: Days) -> set[int]:
    return {version for version, _ in days.standing().values()}


def in_target(days: Days, run_id: RunId) -> tuple[Any, ...]:
    """How a run ended, by whom and why, as the target tells."""
    [found] = days.both.target.execute(
        f"SELECT outcome, ended_by, reason FROM batch_sync_run WHERE run_id = '{run_id}'"
    )
    return found


def assert_taken_over(days: Days, run: RunView, *, by: str, reason: str) -> None:
    """The same in the store as in the target."""
    outcome, ended_by, told = in_target(days, run.id)
    assert (run.status, outcome) == (RunStatus.INTERRUPTED, "interrupted")
    assert ended_by.startswith(f"{by}@")
    assert str(run.error) == told == f"Taken over by {ended_by}: {reason}"


def assert_next_start_completes(days: Days) -> None:
    run = days.installation.run(FIRST_DAY, days.last_day)
    assert run.status is RunStatus.SUCCEEDED
    source, target = days.rows()
    assert source == target


@contextmanager
def held(installation: Installation, request: RunRequest) -> Iterator[RunId]:
    """A run that holds the lease, and goes to its end afterwards."""
    hangs, go_on = threading.Event(), threading.Event()
    operations = hanging(installation.operations(), hangs, go_on)
    run_id = operations.start(request)
    hangs.wait()
    try:
        yield run_id
    finally:
        go_on.set()
        assert operations.wait(run_id).status is RunStatus.SUCCEEDED
