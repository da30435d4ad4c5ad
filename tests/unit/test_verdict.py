"""The verdict over its whole table: every class of evidence with every other."""

from itertools import product

import pytest

from sync.locking.holder import ProcessState
from sync.locking.verdict import Evidence, verdict
from sync.model import Verdict

YOUNG_S, OLD_S = 1.0, 100.0
LOCKS = {"all held": (2, 0), "one free": (2, 1), "all free": (2, 2)}


@pytest.mark.parametrize("beat_age_s", [YOUNG_S, OLD_S])
@pytest.mark.parametrize("progress_age_s", [YOUNG_S, OLD_S])
@pytest.mark.parametrize("process", ProcessState)
@pytest.mark.parametrize("backends", [0, 3])
@pytest.mark.parametrize("locks", LOCKS)
def test_the_verdict_is_the_first_row_of_the_table_that_fits(
    locks: str, backends: int, process: ProcessState, progress_age_s: float, beat_age_s: float
) -> None:
    table = {
        Verdict.DEAD: locks == "all free" and not backends,
        Verdict.LOST: locks != "all held"
        and (backends > 0 or process in {ProcessState.RUNNING, ProcessState.STOPPED}),
        Verdict.PAUSED: process is ProcessState.STOPPED,
        Verdict.UNKNOWN: beat_age_s == OLD_S or process is ProcessState.GONE,
        Verdict.STALLED: progress_age_s == OLD_S,
        Verdict.RUNNING: True,
    }
    expected = next(told for told, fits in table.items() if fits)
    taken, free = LOCKS[locks]
    seen = Evidence(
        locks=taken,
        locks_free=free,
        backends=backends,
        process=process,
        beat_age_s=beat_age_s,
        progress_age_s=progress_age_s,
    )
    assert verdict(seen, heartbeat_old_s=10, stall_after_s=60) is expected


def test_age_alone_never_makes_a_holder_dead() -> None:
    told = {
        verdict(
            Evidence(
                locks=1,
                locks_free=0,
                backends=backends,
                process=process,
                beat_age_s=1e9,
                progress_age_s=1e9,
            ),
            heartbeat_old_s=10,
            stall_after_s=60,
        )
        for process, backends in product(ProcessState, [0, 3])
    }
    assert told == {Verdict.PAUSED, Verdict.UNKNOWN}
