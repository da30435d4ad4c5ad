"""Each state of a plan, made by hand in the databases: the plan says it, the run does it."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync.cli import main
from sync.model import Only, PlanState, RunStatus
from sync.plan import SeenPlan
from tests.installation import Both, Installation, asked, table

ORDERS = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
ALL = "SELECT * FROM orders"


CHANGE = "UPDATE orders SET note = '{}' WHERE id = {{id}}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is done in the databases to one day that was synced, and what the plan says of it."""

    state: PlanState
    source: str | None = None
    target: str | None = None


CASES = {
    "nothing happened": Case(state=PlanState.SAME),
    "a row of the source has another value": Case(
        state=PlanState.CHANGED, source=CHANGE.format("new")
    ),
    "a row came to the source": Case(
        state=PlanState.CHANGED, source="INSERT INTO orders VALUES ({id} + 9, '{day}', 'late')"
    ),
    "a row went from the source": Case(
        state=PlanState.CHANGED, source="DELETE FROM orders WHERE id = {id}"
    ),
    "one row went and one came": Case(
        state=PlanState.CHANGED, source="UPDATE orders SET id = {id} + 9 WHERE id = {id}"
    ),
    "a value of the target was corrected by hand": Case(
        state=PlanState.DRIFTED, target=CHANGE.format("by hand")
    ),
    "a row of the target is gone": Case(
        state=PlanState.DRIFTED, target="DELETE FROM orders WHERE id = {id}"
    ),
    "a row stands in the target alone": Case(
        state=PlanState.DRIFTED, target="INSERT INTO orders VALUES ({id} + 9, '{day}', 'by hand')"
    ),
    "both have changed": Case(
        state=PlanState.DRIFTED, source=CHANGE.format("a"), target=CHANGE.format("b")
    ),
    "both have changed alike": Case(
        state=PlanState.SAME, source=CHANGE.format("a"), target=CHANGE.format("a")
    ),
    "the source was emptied": Case(
        state=PlanState.HELD_BACK, source="DELETE FROM orders WHERE day = '{day}'"
    ),
    "its checkpoint is gone": Case(
        state=PlanState.MISSING, target="DELETE FROM batch_sync_checkpoint WHERE day = '{day}'"
    ),
    "the day was not over when it was read": Case(
        state=PlanState.NOT_CLOSED,
        target="UPDATE batch_sync_checkpoint SET day_closed = false WHERE day = '{day}'",
    ),
}
DAYS = [f"2025-01-{n:02}" for n in range(1, len(CASES) + 1)]
RANGE = DAYS[0], DAYS[-1]
DAY, OTHER = DAYS[:2]


@pytest.fixture
def installation(both: Both, tmp_path: Path) -> Installation:
    """A day of four rows for each case, synced and proven."""
    both.source.execute(ORDERS)
    both.source.insert(
        "orders", [(10 * n + m, day, "fine") for n, day in enumerate(DAYS) for m in range(4)]
    )
    made = both.installation(tmp_path, table("orders", "day"), run={"verify": "digest"})
    assert made.run(*RANGE).error is None
    # What is not touched from here on need not be read again.
    assert set(states(made, digest=True)) == {PlanState.SAME}
    return made


def states(installation: Installation, **request: object) -> list[PlanState]:
    plan = installation.operations().plan(asked(*RANGE, **request))
    return [p.state for p in plan.partitions]


def test_the_plan_says_what_happened_the_run_mends_it_and_then_all_is_the_same(
    both: Both, installation: Installation
) -> None:
    for n, (day, case) in enumerate(zip(DAYS, CASES.values(), strict=True)):
        for side, statement in ((both.source, case.source), (both.target, case.target)):
            if statement:
                side.execute(statement.format(day=day, id=10 * n))
    expected = {what: case.state for what, case in CASES.items()}
    told = states(installation, digest=True)
    assert dict(zip(CASES, told, strict=True)) == expected

    run = installation.run(*RANGE, only=Only.CHANGED)
    became = {day: str(status) for (_, day), status in installation.partitions(run.id).items()}
    assert (run.status, became) == (
        RunStatus.FAILED,
        {
            day: "held_back" if state is PlanState.HELD_BACK else "done"
            for day, state in zip(DAYS, told, strict=True)
            if state is not PlanState.SAME
        },
    )
    assert installation.run(*RANGE, only=Only.CHANGED, allow_shrink=True).error is None
    assert set(states(installation, digest=True)) == {PlanState.SAME}
    assert both.rows(ALL)[0] == both.rows(ALL)[1]


def test_without_a_digest_in_the_checkpoint_the_source_is_believed(
    both: Both, installation: Installation
) -> None:
    both.target.execute("UPDATE batch_sync_checkpoint SET digest = NULL, digest_kind = NULL")
    both.target.execute(CHANGE.format("by hand").format(id=0))
    assert set(states(installation)) == {PlanState.SAME}  # by counts
    assert states(installation, digest=True)[:2] == [PlanState.CHANGED, PlanState.SAME]


def test_a_run_takes_the_plan_that_was_seen_or_says_what_changed_and_stops(
    both: Both, installation: Installation
) -> None:
    seen = installation.operations().plan(asked(*RANGE, digest=True))
    both.source.execute(CHANGE.format("new").format(id=10))
    refused = [installation.run(*RANGE, seen=s) for s in (SeenPlan.of(seen), SeenPlan(seen.hash))]
    assert [run.status for run in refused] == [RunStatus.FAILED] * 2
    assert both.rows(ALL)[1] != both.rows(ALL)[0]
    now = installation.operations().plan(asked(*RANGE, digest=True)).hash
    assert f"The plan {seen.hash} no longer holds (differing are orders {OTHER}; 1 in all)" in str(
        refused[0].error
    )
    assert "now the same: 12, missing: 0, changed: 1, drifted: 0," in str(refused[1].error)
    assert f"--plan {now}" in str(refused[1].error)
    assert installation.run(*RANGE, seen=SeenPlan(now)).error is None
    assert both.rows(ALL)[1] == both.rows(ALL)[0]


def test_the_command_line_takes_a_plans_hash_or_its_file(
    sqlite: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    sqlite.source.execute(ORDERS)
    sqlite.source.insert("orders", [(1, DAY, "fine")])
    installation = sqlite.installation(tmp_path, table("orders", "day"))
    monkeypatch.setenv("BATCH_SYNC_CONFIG", str(installation.settings_file))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")

    def run(plan: str) -> int:
        return main(["run", DAY, DAY, "--plan", plan])

    assert main(["plan", DAY, DAY, "--digest", "--json"]) == 0
    seen = Path("seen.json")
    seen.write_text(capsys.readouterr().out)
    sqlite.source.execute("UPDATE orders SET note = 'new'")
    codes = [run("seen.json"), run("yesterday's")]
    assert f"differing are orders {DAY}; 1 in all" in capsys.readouterr().err
    assert main(["plan", DAY, DAY, "--json"]) == 0
    codes.append(run(json.loads(capsys.readouterr().out)["plan_hash"]))
    assert (codes, sqlite.rows(ALL)[1]) == ([1, 2, 0], sqlite.rows(ALL)[0])
