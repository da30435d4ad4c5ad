"""Look at a holder from outside.

Gather the evidence, tell the verdict, close the run of one that died.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sync.databases.failures import DRIVER_ERRORS
from sync.databases.postgres import PostgresDatabase
from sync.errors import N_, ConnectError
from sync.locking import session as sessions
from sync.locking.file import is_free
from sync.locking.holder import ProcessState, on_this_host, process_state
from sync.locking.lease import why_closed
from sync.locking.lock import conflict_of, record_conflict
from sync.locking.verdict import Evidence, verdict
from sync.model import RunStatus, Told, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from sync.databases.ledger import LedgerRun
    from sync.databases.sqlite import SqliteDatabase
    from sync.locking.lock import TargetLock
    from sync.model import Conflict, Holder, RunId
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
        self._path: Path | None = None

    def look(
        self, holder: Holder, run_id: RunId, *, beat_age_s: float, progress_age_s: float
    ) -> Look:
        """The verdict on a holder. Locks are probed only when it does not look well.

        Raises ConnectError, LockError when a lock cannot be asked.
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

    def _probe(self, run_id: RunId, holder: Holder) -> tuple[int, int, int]:
        """How many locks a run took, how many it no longer has, and how many backends it has."""
        if not isinstance(self._target, PostgresDatabase):
            return 1, int(not _holds_file(self._lock.path(None), run_id)), 0
        with self._target.session() as session:
            holding = sessions.session_holder(session, self._target.schema or "")
            lost = holding is None or holding.run_id not in {None, run_id}
            # A holder elsewhere has his lock file on a disk of his own: the session tells alone.
            file = on_this_host(holder) and _holds_file(self._lock.path(session), run_id)
            return 1 + file, int(lost), sessions.backends_of(session, run_id)

    def present(self) -> Conflict | None:
        """Who holds this machine's lock file by its record, if that process can be seen alive.

        No connection.
        """
        path = self._known_path()
        conflict = record_conflict(path) if path else None
        if conflict is None or conflict.holder is None:
            return None
        return conflict if process_state(conflict.holder) is not ProcessState.GONE else None

    def _known_path(self) -> Path | None:
        if self._path is None and not isinstance(self._target, PostgresDatabase):
            self._path = self._lock.path(None)
        return self._path

    def ledger_runs(self, limit: int = 20) -> list[LedgerRun]:
        """The newest runs that the target itself remembers. Raises ConnectError."""
        with self._target.connect(reads=True) as connection, connection.begin():
            if not self._lock.ledger.exists(connection):
                return []
            return self._lock.ledger.runs(connection, limit=limit)

    def elsewhere(self) -> Conflict | None:
        """The run of a holder that shares nothing but the target. Raises ConnectError."""
        if not isinstance(self._target, PostgresDatabase):
            return self.present()
        with self._target.session() as session:
            holding = sessions.session_holder(session, self._target.schema or "")
            if holding is None or not self._lock.ledger.exists(session):
                return None
            runs = self._lock.ledger.runs(session, limit=5, open_only=True)
        return next(
            (conflict_of(run) for run in runs if run.backend and run.backend[0] == holding.pid),
            None,
        )

    def close_dead(
        self, run_id: RunId, holder: Holder, *, by: str
    ) -> tuple[RunStatus, Told | None]:
        """Close the run of a holder that is dead.

        How it ended, by the target's own record where it has one.
        """
        reason = why_closed(holder, verdict=Verdict.DEAD)
        try:
            with self._target.connect() as connection, connection.begin():
                ledger = self._lock.ledger
                if not ledger.exists(connection):
                    return RunStatus.INTERRUPTED, reason
                run = next(
                    (r for r in ledger.runs(connection, limit=100) if r.run_id == run_id), None
                )
                if run is None:
                    return RunStatus.INTERRUPTED, reason
                if run.outcome is not None:
                    return run.outcome, run.reason
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
        return RunStatus.INTERRUPTED, reason


def _holds_file(path: Path, run_id: RunId) -> bool:
    """Whether the lock file is held, by this very run."""
    record = record_conflict(path)
    return record is not None and record.run_id == run_id and not is_free(path)


def _sentences(seen: Evidence, holder: Holder) -> tuple[Told, ...]:
    return (
        Told(_PROCESS[seen.process], pid=holder.pid, host=holder.host),
        Told(N_("The lock is free.") if seen.locks_free else N_("The lock is held.")),
        Told(
            N_("Last heartbeat {beat_age_s} s ago, progress {progress_age_s} s ago."),
            beat_age_s=round(seen.beat_age_s),
            progress_age_s=round(seen.progress_age_s),
        ),
    )
