"""What becomes of a plan when its run is stopped, or refused since the databases have moved on."""

from pathlib import Path

import pytest

from sync.errors import UsageError
from sync.model import Only, RunStatus, RunView
from sync.plan import SeenPlan
from tests.installation import Both, Installation, asked, table

DAYS = [f"2025-01-{n:02}" for n in range(1, 6)]
RANGE = DAYS[0], DAYS[-1]
CHANGE = "UPDATE orders SET note = 'new' WHERE day = '{}'"


@pytest.fixture
def installation(sqlite: Both, tmp_path: Path) -> Installation:
    sqlite.source.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)")
    rows = [(10 * d + n, day, "fine") for d, day in enumerate(DAYS) for n in range(4)]
    sqlite.source.insert("orders", rows)
    made = sqlite.installation(tmp_path, table("orders", "day"))
    assert made.run(*RANGE).error is None
    return made


def stopped(installation: Installation, **request: object) -> RunView:
    """A run that was asked to stop when its plan stood and nothing was copied yet."""

    def stop() -> None:
        operations.cancel()

    operations = installation.operations(before_copying=stop)
    run = operations.wait(operations.start(asked(*RANGE, **request)), timeout_s=60)
    assert run.status is RunStatus.CANCELLED
    return run


def resumed(installation: Installation) -> list[str]:
    operations = installation.operations()
    run_id = operations.resume()
    assert run_id
    assert operations.wait(run_id, timeout_s=60).error is None
    return [day for _, day in installation.partitions(run_id)]


def test_a_resumed_run_takes_nothing_that_was_not_in_the_plan_that_was_seen(
    sqlite: Both, installation: Installation
) -> None:
    sqlite.source.execute(CHANGE.format(DAYS[1]))
    seen = installation.operations().plan(asked(*RANGE, only=Only.CHANGED))
    stopped(installation, only=Only.CHANGED, seen=SeenPlan.of(seen))
    sqlite.source.execute(CHANGE.format(DAYS[3]))
    assert resumed(installation) == [DAYS[1]]


def test_a_run_of_what_had_failed_can_be_resumed(sqlite: Both, installation: Installation) -> None:
    sqlite.source.execute(f"DELETE FROM orders WHERE day = '{DAYS[2]}'")
    installation.run(*RANGE)  # that day is held back
    stopped(installation, only=Only.FAILED, allow_shrink=True)
    assert resumed(installation) == [DAYS[2]]


def test_what_had_failed_is_not_forgotten_by_a_run_that_was_stopped(
    sqlite: Both, installation: Installation
) -> None:
    sqlite.source.execute(f"DELETE FROM orders WHERE day IN ('{DAYS[2]}', '{DAYS[3]}')")
    installation.run(*RANGE)
    stopped(installation)
    undone = installation.operations().plan(asked(*RANGE, only=Only.FAILED))
    assert [str(p.day) for p in undone.partitions] == DAYS[2:4]
    assert installation.run(DAYS[2], allow_shrink=True).error is None
    undone = installation.operations().plan(asked(*RANGE, only=Only.FAILED))
    assert [str(p.day) for p in undone.partitions] == [DAYS[3]]


def test_what_was_refused_is_not_resumed(sqlite: Both, installation: Installation) -> None:
    seen = installation.operations().plan(asked(*RANGE, digest=True))
    sqlite.source.execute(CHANGE.format(DAYS[1]))
    refused = installation.run(*RANGE, seen=SeenPlan(seen.hash))
    operations = installation.operations()
    assert (refused.status, operations.resume()) == (RunStatus.FAILED, None)
    with pytest.raises(UsageError, match="the plan that was seen held no longer"):
        operations.resume(refused.id)
