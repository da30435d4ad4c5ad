"""The crash matrix: which mishap befalls a run at which step, with which kind of target.

Pairwise over step x mishap x target: every step meets every mishap, and the kind of target goes in
turn, so that each kind meets every step and every mishap. What makes no sense is left out by rule.
"""

from dataclasses import dataclass
from typing import get_args

from tests.crash.mishaps import (
    BACKENDS_ENDED,
    DISK_FULL,
    EXCEPTION,
    LOCK_ENDED,
    MISHAPS,
    After,
    Mishap,
)
from tests.crash.steps import BEFORE_LOCKS, BEFORE_SESSION_LOCK, ENDED, FREE, STEPS, Kind, Step

KINDS: tuple[Kind, ...] = get_args(Kind)
# Every so many cases one is run with every other test; the others are the `matrix`.
SAMPLE_EVERY = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell."""

    step: Step
    mishap: Mishap
    kind: Kind

    def __str__(self) -> str:
        return f"{self.mishap} at {self.step}, {self.kind}"

    @property
    def elsewhere(self) -> bool:
        """Whether the one that is held up lives on another host: nobody here can end its process.

        An SQLite file has one host.
        """
        return self.kind == "postgresql" and self.mishap.after is After.HELD_UP


def senseless(step: Step, mishap: Mishap, kind: Kind) -> str | None:
    """Why a combination is left out; None when it is not."""
    rules = (
        (step.only not in {None, kind}, "this kind of target has no such step"),
        (mishap.servers and kind == "sqlite", "SQLite has no server, no sessions and no wire"),
        (
            mishap is BACKENDS_ENDED and step in (BEFORE_LOCKS[0], ENDED[-1], *FREE),
            "there are no backends yet, or any more",
        ),
        (
            mishap is LOCK_ENDED and step in (*BEFORE_SESSION_LOCK, ENDED[-1], *FREE),
            "the lock has no session then",
        ),
        (
            mishap is EXCEPTION and step is ENDED[-1],
            "it would stand in the place of the very call that frees the lock",
        ),
        (mishap is DISK_FULL and step in FREE, "nothing is written any more"),
    )
    return next((reason for left_out, reason in rules if left_out), None)


def all_cases() -> list[Case]:
    """The whole matrix, always in one order."""
    cases = []
    for i, step in enumerate(STEPS.values()):
        for j, mishap in enumerate(MISHAPS.values()):
            in_turn = KINDS if (i + j) % 2 else KINDS[::-1]
            kinds = [kind for kind in in_turn if not senseless(step, mishap, kind)]
            cases += [Case(step=step, mishap=mishap, kind=kind) for kind in kinds[:1]]
    return cases
