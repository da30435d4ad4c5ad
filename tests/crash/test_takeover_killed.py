"""Whoever takes over may be killed after any step, or be overtaken by a third one."""

import signal
from contextlib import ExitStack

import pytest

from sync.errors import LeaseHeld
from sync.locking.takeover import Taking
from sync.model import RunId
from sync.operations import Operations
from tests.crash.children import Child, sync_days_and_hang, take_over_and_die
from tests.crash.days import FIRST_DAY, Days
from tests.crash.takeovers import assert_next_start_completes, assert_taken_over, held

STEPS = {
    "postgresql": [
        ("taker", "raise_token"),
        ("store", "take_over"),
        ("taker", "end_backends"),
        ("taker", "end_process"),
        ("taker", "close"),
        ("store", "finish"),
    ],
    "sqlite": [
        ("store", "take_over"),
        ("taker", "end_process"),
        ("taker", "raise_token"),
        ("taker", "end_backends"),
        ("taker", "close"),
        ("store", "finish"),
    ],
}
ALWAYS_TRIED = {"raise_token", "end_process"}


@pytest.mark.parametrize(
    ("days", "part", "step"),
    [
        pytest.param(*(kind, *step), marks=[] if step[1] in ALWAYS_TRIED else [pytest.mark.matrix])
        for kind, steps in STEPS.items()
        for step in steps
    ],
    indirect=["days"],
)
def test_a_taker_that_is_killed_after_any_step_is_made_good_by_the_next_one(
    days: Days, stopped: tuple[Child, RunId], part: str, step: str
) -> None:
    _, run_id = stopped
    with Child(take_over_and_die, days.installation.settings_file, run_id, part, step) as taker:
        taker.process.join(20)
        assert taker.process.exitcode == -signal.SIGKILL
    run = days.installation.operations().take_over(run_id, reason="it hangs", user="first")
    assert_taken_over(days, run, by="first", reason="it hangs")
    assert_next_start_completes(days)


def test_a_start_after_a_taker_that_was_killed_tells_who_began_the_takeover(
    postgres_days: Days,
) -> None:
    days = postgres_days
    arguments = (days.installation.settings_file, FIRST_DAY, days.last_day)
    with Child(sync_days_and_hang, *arguments) as child:
        run_id = child.told()
        child.stop()
        killed = (days.installation.settings_file, run_id, "taker", "end_process")
        with Child(take_over_and_die, *killed) as taker:
            taker.process.join(20)
        assert_next_start_completes(days)
        run = days.installation.operations().run(run_id)
        assert_taken_over(days, run, by="first", reason="it hangs")


def test_a_third_one_that_takes_the_lease_meanwhile_is_named_to_the_taker(
    days: Days, stopped: tuple[Child, RunId]
) -> None:
    _, run_id = stopped
    parts = days.installation.operations()._parts  # noqa: SLF001 - a port is wrapped
    third = ExitStack()
    end_process = parts.taker.end_process

    def lose_the_race(taking: Taking) -> None:
        end_process(taking)
        if not parts.taker.ends_sessions:
            parts.taker.raise_token(taking)
        winner.append(third.enter_context(held(days.installation, days.request)))

    winner: list[RunId] = []
    parts.taker.end_process = lose_the_race  # type: ignore[method-assign]  # a port is wrapped
    with third, pytest.raises(LeaseHeld) as refusal:
        Operations(parts).take_over(run_id, reason="it hangs", user="ada")
    assert refusal.value.conflict.run_id == winner[0]
    assert_taken_over(days, Operations(parts).run(run_id), by="ada", reason="it hangs")
