"""Look at a holder from outside.

Gather the evidence, tell the verdict, close the run of one that died.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sync.databases.audit import Audit, audit
from sync.databases.failures import DRIVER_ERRORS, asking
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.errors import N_, ConnectError
from sync.locking import session as sessions
from sync.locking.holder import ProcessState, on_this_host, process_state
from sync.locking.lease import why_closed
from sync.locking.port import held_by
from sync.locking.verdict import Evidence, verdict
from sync.model import RunStatus, Verdict
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime

    from sqlalchemy import Connection

    from sync.databases.ledger_rows import Checkpoint, LedgerRun
    from sync.locking.lock import Held, TargetLock
    from sync.model import Conflict, Holder, RunId, RunView
    from sync.settings import RunSettings


_PROCESS = {
    ProcessState.RUNNING: N_("Process {pid} on {host} is alive."),
    ProcessState.STOPPED: N_("Process {pid} on {host} is stopped (paused)."),
    ProcessState.GONE: N_("Process {pid} on {host} is gone."),
    ProcessState.UNSEEN: N_("Process {pid} on {host} cannot be seen from here."),
}


@dataclass(frozen=True, slots=True)
class Look:
    """A verdict and the evidence for it, in sentences."""

    verdict: Verdict
    evidence: tuple[Told, ...]


class Looker:
    """Looks at the holders of one target's lease."""

    def __init__(
        self, target: PostgresDatabase | SqliteDatabase, lock: TargetLock, run: RunSettings
    ) -> None:
        self._target = target
        self._lock = lock
        self._run = run
        self.ledger = lock.ledger
        self._moved: tuple[object, float] = (None, 0.0)  # how far a run was, and since when

    def look(
        self, holder: Holder, run_id: RunId, *, beat_age_s: float, progress_age_s: float
    ) -> Look:
        """The verdict on a holder. Locks are probed only when it does not look well.

        Raises ConnectError, RightsError, LockError when a lock cannot be asked.
        """
        process = process_state(holder)
        well = process is ProcessState.RUNNING and beat_age_s <= self._run.heartbeat_old_s
        locks, free, backends = (1, 0, 0) if well else self._probe(run_id, holder)
        seen = Evidence(
            locks=locks,
            locks_free=free,
            backends=backends,
            process=process,
            beat_age_s=beat_age_s,
            progress_age_s=progress_age_s,
        )
        found = verdict(
            seen, heartbeat_old_s=self._run.heartbeat_old_s, stall_after_s=self._run.stall_after_s
        )
        return Look(found, _sentences(seen, holder))

    def look_at(self, run: RunView, now: datetime) -> Look:
        """The verdict on the holder of a run that the store tells of. Raises as `look`."""
        return self.look(
            run.holder,
            run.id,
            beat_age_s=(now - run.beat_at).total_seconds(),
            progress_age_s=(now - run.progress_at).total_seconds(),
        )

    def look_from_afar(self, run: LedgerRun) -> Look:
        """The verdict on a holder that shares nothing but the target. Raises as `look`.

        Whether its rows move is told by two looks of this process.
        """
        # An SQLite target is not told that a run lives: a process that can be seen says so itself.
        untold = isinstance(self._target, SqliteDatabase) and on_this_host(run.holder)
        age_s = 0.0 if untold else run.beat_age_s
        done = (run.run_id, run.progress.rows_done, run.progress.partitions_done)
        if done != self._moved[0]:
            self._moved = (done, time.monotonic())
        still_s = 0.0 if untold else time.monotonic() - self._moved[1]
        return self.look(
            run.holder, run.run_id, beat_age_s=age_s, progress_age_s=max(age_s, still_s)
        )

    def _probe(self, run_id: RunId, holder: Holder) -> tuple[int, int, int]:
        """How many locks a run took, how many it no longer has, and how many backends it has."""
        with self._lock.open() as held, asking(self._target):
            file, *others = held.locks
            his = [held_by(lock, run_id) for lock in others]
            # A holder elsewhere has his lock file on a disk of his own: the others tell alone.
            if not others or (on_this_host(holder) and held_by(file, run_id)):
                his.append(held_by(file, run_id))
            if self._under_other_locks(held, run_id):
                his.append(True)  # what cannot be asked counts as held
            session = held.session
            backends = sessions.backends_of(session.connection, run_id) if session else 0
        return len(his), his.count(False), backends

    def _under_other_locks(self, held: Held, run_id: RunId) -> bool:
        try:
            with self._lock.reading(held) as connection:
                return self.ledger.under_other_locks(connection, run_id, held.fingerprint)
        except (*DRIVER_ERRORS, ConnectError):
            # A large transaction of SQLite lets nobody read.
            if isinstance(self._target, PostgresDatabase):
                raise
            return True

    def ledger_runs(self, limit: int = 20) -> list[LedgerRun]:
        """The newest runs that the target itself remembers. Raises ConnectError, RightsError."""
        with self._recorded() as record:
            return self.ledger.runs(record, limit=limit) if record else []

    def audit(self) -> Audit:
        """What the target's own record says of exclusion. Raises ConnectError, RightsError."""
        with self._recorded() as record:
            return audit(record, self.ledger) if record else Audit(runs=0)

    def entry(self, run_id: RunId) -> LedgerRun | None:
        """A run by the target's own record. Raises ConnectError, RightsError."""
        with self._recorded() as record:
            return self.ledger.entry(record, run_id) if record else None

    def record_of(
        self, run: RunView
    ) -> tuple[LedgerRun | None, Mapping[tuple[str, date], Checkpoint]]:
        """The target's own record of a run, and the checkpoints on its days, whoever's they are.

        Raises ConnectError, RightsError.
        """
        with self._recorded() as record:
            if record is None:
                return None, {}
            found = self.ledger.checkpoints(record, tables=run.tables, days=run.days)
            return self.ledger.entry(record, run.id), found

    @contextmanager
    def _recorded(self) -> Iterator[Connection | None]:
        """A connection to read the target's own record by; None where it has none yet."""
        with (
            asking(self._target),
            self._target.connect(reads=True) as connection,
            connection.begin(),
        ):
            yield connection if self.ledger.exists(connection) else None

    def elsewhere(self) -> Conflict | None:
        """The run of a holder that shares nothing but the locks, with the verdict on it.

        Raises ConnectError, RightsError, LockError.
        """
        with asking(self._target):
            found = self._lock.elsewhere()
        entry = self.entry(found.run_id) if found and found.run_id else None
        if found is None or entry is None or entry.outcome is not None:
            return found
        look = self.look_from_afar(entry)
        # It has just let go.
        return None if look.verdict is Verdict.DEAD else replace(found, verdict=look.verdict)

    def close_dead(
        self, run_id: RunId, holder: Holder, *, by: str
    ) -> tuple[RunStatus, Told | None, datetime | None]:
        """Close the run of a holder that is dead.

        How and why it ended, and when: by the target's own record where that has its end.
        """
        reason = why_closed(holder, verdict=Verdict.DEAD)
        try:
            with self._target.connect() as connection, connection.begin():
                ledger = self._lock.ledger
                if not ledger.exists(connection):
                    return RunStatus.INTERRUPTED, reason, None
                run = ledger.entry(connection, run_id)
                if run is None:
                    return RunStatus.INTERRUPTED, reason, None
                if run.outcome is not None:
                    return run.outcome, run.reason, run.released_at
                # A takeover that was not finished has left who began it, and why.
                reason = run.reason or reason
                ledger.close(
                    connection,
                    token=run.token,
                    run_id=run_id,
                    outcome=RunStatus.INTERRUPTED,
                    ended_by=by,
                    reason=str(reason),
                )
        except (*DRIVER_ERRORS, ConnectError):
            pass  # the next start closes it there
        return RunStatus.INTERRUPTED, reason, None


def _locks(seen: Evidence) -> str:
    if 0 < seen.locks_free < seen.locks:
        return N_("{free} of its {locks} locks are free.")
    return N_("The lock is free.") if seen.locks_free else N_("The lock is held.")


def _sentences(seen: Evidence, holder: Holder) -> tuple[Told, ...]:
    return (
        Told(_PROCESS[seen.process], pid=holder.pid, host=holder.host),
        Told(_locks(seen), free=seen.locks_free, locks=seen.locks),
        Told(
            N_("Last heartbeat {beat_age_s} s ago, progress {progress_age_s} s ago."),
            beat_age_s=round(seen.beat_age_s),
            progress_age_s=round(seen.progress_age_s),
        ),
    )
