"""What the evidence says of a holder: one total function, the first row that fits.

dead     every lock it took is free and its backends are gone
lost     a lock is free, but a backend of its run lives, or its process does
paused   its process is stopped, the locks are held
unknown  locks held, but the heartbeat is old or no such process (Redis outlives it)
stalled  heartbeat young, but no rows move
running  heartbeat and progress are young
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.locking.holder import ProcessState
from sync.model import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of a holder: how many locks it took, and how many of them are free.

    Ages are seconds: of the heartbeat by the database's clock (the store's for an SQLite target),
    of the last progress by the run's own words.
    """

    locks: int
    locks_free: int
    backends: int
    process: ProcessState
    beat_age_s: float
    progress_age_s: float


def verdict(evidence: Evidence, *, heartbeat_old_s: float, stall_after_s: float) -> Verdict:
    """The verdict; age alone never makes a holder dead."""
    if evidence.locks_free == evidence.locks and evidence.backends == 0:
        return Verdict.DEAD
    lives = evidence.process in {ProcessState.RUNNING, ProcessState.STOPPED}
    if evidence.locks_free > 0 and (evidence.backends > 0 or lives):
        return Verdict.LOST
    if evidence.process is ProcessState.STOPPED:
        return Verdict.PAUSED
    if evidence.beat_age_s > heartbeat_old_s or evidence.process is ProcessState.GONE:
        return Verdict.UNKNOWN
    if evidence.progress_age_s > stall_after_s:
        return Verdict.STALLED
    return Verdict.RUNNING
