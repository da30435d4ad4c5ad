"""A takeover in small steps: each may be done twice, so whoever is killed between two is made good.

    raise_token ──► end_backends ──► end_process ──► close        (PostgreSQL)
    end_process ──► raise_token ──► end_backends ──► close        (SQLite)

The token comes first: from then on the run commits nothing, whatever becomes of its process. Only
an SQLite holder has to go before, for it may have the one write lock. Limit: a process elsewhere
cannot be ended from here; it is the fence that keeps it from writing.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import psutil
from sqlalchemy.exc import DBAPIError

from sync.databases.failures import DRIVER_ERRORS, Failure, asking, failure
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.errors import N_, ConnectError, LockError
from sync.locking import session as sessions
from sync.locking.holder import ProcessState, process_of, process_state
from sync.locking.lease import RAISE_TIMEOUT_MS
from sync.locking.lock import conflict_of
from sync.locking.port import held_by
from sync.model import RunStatus
from sync.told import Told

if TYPE_CHECKING:
    from sync.locking.lock import TargetLock
    from sync.model import Conflict, Holder, RunId, RunView
    from sync.settings import RunSettings

POLL_S = 0.02
KILLED_S = 5.0


class Fate(StrEnum):
    """What a takeover does to the holder's process."""

    OURS = "ours"
    ENDED = "ended"
    KILLED = "killed"
    GONE = "gone"
    UNSEEN = "unseen"
    DENIED = "denied"


_FATES = {
    Fate.OURS: N_(
        "The run's thread in this process loses its connections and locks; the process goes on."
    ),
    Fate.ENDED: N_(
        "Process {pid} on {host} gets SIGTERM, after {grace_s} s SIGKILL;"
        " if it is a dashboard, that dashboard ends."
    ),
    Fate.KILLED: N_(
        "Process {pid} on {host} is stopped and cannot obey, so it gets SIGKILL;"
        " if it is a dashboard, that dashboard ends."
    ),
    Fate.GONE: N_("Process {pid} on {host} has ended already."),
    Fate.UNSEEN: N_(
        "Process {pid} on {host} cannot be ended from here;"
        " should it go on, it can commit nothing any more."
    ),
    Fate.DENIED: N_(
        "You may not signal process {pid} on {host};"
        " should it go on, it can commit nothing any more."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """One takeover: the run that is ended, by whom (`user@host`) and why."""

    run: RunView
    by: str
    why: Told


class Taker:
    """The steps of a takeover at one target; each raises ConnectError, RightsError, LockError."""

    def __init__(
        self, target: PostgresDatabase | SqliteDatabase, lock: TargetLock, run: RunSettings
    ) -> None:
        self._target = target
        self._lock = lock
        self._ledger = lock.ledger
        self._grace_s = run.takeover_grace_s

    @property
    def ends_sessions(self) -> bool:
        """Whether the target's server can end what a run has open there."""
        return isinstance(self._target, PostgresDatabase)

    def sessions(self, run_id: RunId) -> int:
        """How many sessions a run has in the target."""
        if not isinstance(self._target, PostgresDatabase):
            return 0
        with asking(self._target), self._target.session() as session:
            return sessions.backends_of(session, run_id)

    def raise_token(self, taking: Taking) -> None:
        """Raise the token above the run's, and note in the target who takes it over and why."""
        with asking(self._target):
            try:
                self._take_away(taking)
            except DBAPIError as error:
                if failure(error) is not Failure.TRANSIENT:
                    raise
                if self.successor(taking):
                    return  # what there is to raise is his
                if not self.ends_sessions:
                    raise self._being_written(taking) from None
                # A writer stands between its fence and its commit, perhaps for ever.
                self.end_backends(taking)
                self._take_away(taking)

    def _take_away(self, taking: Taking) -> None:
        with self._target.connect() as connection:
            if isinstance(self._target, SqliteDatabase):
                driver: Any = connection.connection.driver_connection
                driver.execute(f"PRAGMA busy_timeout = {RAISE_TIMEOUT_MS}")
            with connection.begin():
                if not isinstance(self._target, SqliteDatabase):
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {RAISE_TIMEOUT_MS}")
                if taking.run.token is not None and self._ledger.exists(connection):
                    self._ledger.take_away(
                        connection,
                        token=taking.run.token,
                        run_id=taking.run.id,
                        ended_by=taking.by,
                        reason=str(taking.why),
                    )

    def _being_written(self, taking: Taking) -> LockError:
        holder = taking.run.holder
        text = N_("Run {run_id} cannot be taken over now: {lock} is being written, likely by it.")
        hint = N_("End process {pid} on {host}, or try again in a moment.")
        return LockError(
            text,
            hint=hint,
            run_id=taking.run.id,
            lock=self._target.address,
            pid=holder.pid,
            host=holder.host,
        )

    def end_backends(self, taking: Taking) -> None:
        """End the run's sessions in the target, and what it holds at `[lock] url`.

        Returns when they are gone: those of a process that is stopped keep their row locks.
        """
        if isinstance(self._target, PostgresDatabase):
            with asking(self._target), self._target.session() as session:
                left = sessions.end_backends(
                    session, taking.run.id, timeout_s=sessions.BACKENDS_GONE_S
                )
            if left:
                raise sessions.not_ended(self._target.address, left)
        self._lock.revoke(taking.run.id)

    def has_let_go(self, taking: Taking) -> bool:
        """Whether the run has ended by itself meanwhile, and holds nothing any more.

        One that has lost its sessions, and whose process can obey, gets some time for it.
        """
        obeys = self.ends_sessions and self.fate(taking.run.holder) is Fate.ENDED
        deadline = time.monotonic() + (self._grace_s if obeys else 0)
        while not self._has_ended(taking):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return self._lock.beginning(taking.run.id) is None

    def _has_ended(self, taking: Taking) -> bool:
        if taking.run.token is None:
            return True  # its locks alone tell
        # A file that is being written cannot be read: then its writer has not let go.
        with (
            suppress(ConnectError, *DRIVER_ERRORS),
            self._target.connect(reads=True) as connection,
        ):
            with connection.begin():
                entry = self._ledger.entry(connection, taking.run.id)
            return entry is not None and entry.released_at is not None
        return False

    def has_file(self, run_id: RunId) -> bool:
        """Whether the lock file of this machine names the run."""
        with self._lock.open() as held:
            return held_by(held.locks[0], run_id)

    def end_process(self, taking: Taking) -> None:
        """End the holder's process where that can be done from here; never this very one."""
        holder, fate = taking.run.holder, self.fate(taking.run.holder)
        if fate is Fate.ENDED:
            _signal(holder, signal.SIGTERM)
            if not _gone_within(holder, self._grace_s):
                fate = Fate.KILLED
        if fate is Fate.KILLED:
            _signal(holder, signal.SIGKILL)
            _gone_within(holder, KILLED_S)

    def fate(self, holder: Holder) -> Fate:
        """What `end_process` does to the holder's process, and why not more."""
        state = process_state(holder)
        if state in {ProcessState.GONE, ProcessState.UNSEEN}:
            return Fate(state.value)
        if holder.pid == os.getpid():
            return Fate.OURS
        if not _signal(holder, 0):
            return Fate.DENIED
        # One that is stopped would not hear a polite signal.
        return Fate.KILLED if state is ProcessState.STOPPED else Fate.ENDED

    def consequence(self, holder: Holder) -> Told:
        """The same in a sentence."""
        text = _FATES[self.fate(holder)]
        return Told(text, pid=holder.pid, host=holder.host, grace_s=f"{self._grace_s:g}")

    def close(self, taking: Taking) -> None:
        """Write the end of the run into the target, if nobody has."""
        with (
            asking(self._target),
            self._target.connect() as connection,
            connection.begin(),
        ):
            if taking.run.token is not None and self._ledger.exists(connection):
                self._ledger.close(
                    connection,
                    token=taking.run.token,
                    run_id=taking.run.id,
                    outcome=RunStatus.INTERRUPTED,
                    ended_by=taking.by,
                    reason=str(taking.why),
                )

    def successor(self, taking: Taking) -> Conflict | None:
        """The run of a third one that has the lease by now; a run without a token had none."""
        if taking.run.token is None:
            return None
        with (
            asking(self._target),
            self._target.connect(reads=True) as connection,
            connection.begin(),
        ):
            if not self._ledger.exists(connection):
                return None
            newest = next(iter(self._ledger.runs(connection, limit=1, open_only=True)), None)
        # After a restore, older runs may stand there as open.
        later = newest and newest.run_id != taking.run.id and newest.token > taking.run.token
        return conflict_of(newest) if newest and later else None


def _signal(holder: Holder, number: int) -> bool:
    """Send a signal to the holder's very process, never to another with its PID.

    False where that is not allowed.
    """
    try:
        if process := process_of(holder):
            process.send_signal(number)
    except psutil.AccessDenied:
        return False
    except psutil.NoSuchProcess:
        pass  # it has ended
    return True


def _gone_within(holder: Holder, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process_state(holder) is not ProcessState.GONE:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
