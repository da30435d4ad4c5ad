"""Lock and token together: take the lease, beat, check, let go."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sync.databases.failures import DRIVER_ERRORS, Failure, failure, reason
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.errors import N_, ConnectError, LeaseLost, RightsError
from sync.locking import session as sessions
from sync.locking.holder import ProcessState, process_state
from sync.model import DateRange, Holder, Progress, RunId, RunStatus, Token, Verdict
from sync.told import Told

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from sync.databases.ledger import Ledger
    from sync.databases.ledger_rows import LedgerRun
    from sync.locking.lock import Held, TargetLock

RAISE_TIMEOUT_MS = 1000
GIVE_UP_S = 4.0
ITSELF = "itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A run of a former holder that was closed as interrupted, and the evidence for it."""

    run_id: RunId
    reason: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended by the target's record, where somebody else wrote that."""

    outcome: RunStatus
    reason: Told | None


class Lease:
    """A held lock with its token: the right to commit, until somebody raises the token."""

    def __init__(
        self,
        *,
        held: Held,
        ledger: Ledger,
        target: PostgresDatabase | SqliteDatabase,
        run_id: RunId,
        token: Token,
    ) -> None:
        self.run_id = run_id
        self.token = token
        self.ledger = ledger
        self._held = held
        self._target = target

    def check(self) -> None:
        """Raise LeaseLost when a lock can no longer be trusted; asks nobody."""
        self._held.check()

    def fence(self, connection: Connection) -> None:
        """The last statement of a transaction that writes rows. Raises LeaseLost."""
        self.ledger.fence(connection, token=self.token, run_id=self.run_id)

    def beat(self, progress: Progress) -> None:
        """Tell the target that this run lives. Raises LeaseLost when a lock or the row is gone.

        An SQLite target is beaten by the run's own transactions: they hold its only write lock.
        """
        self.check()
        if self._held.session is not None:
            with self._held.session.use() as session:
                self.ledger.beat(session, token=self.token, run_id=self.run_id, progress=progress)
        self._held.ask()

    def rows_in_flight(self) -> int:
        """Rows that the target has taken in uncommitted COPYs of this run.

        0 where that cannot be seen.
        """
        if self._held.session is None:
            return 0
        name = sessions.application_name(self.run_id)
        with suppress(LeaseLost), self._held.session.use() as session:
            return int(session.scalar(ROWS_IN_FLIGHT, {"name": name}) or 0)
        return 0

    def give_up_session(self, done: threading.Event) -> None:
        """Shut the locks' sessions down unless `done` comes in time: who waits on it gets an error.

        The locks come free with it; the fence keeps its promise all the same.
        """
        if not done.wait(GIVE_UP_S):
            self._held.shut_down()

    def close(self, outcome: RunStatus, *, why: str | None, progress: Progress) -> Ended | None:
        """Write the end into the target, and take our name off the lock.

        How it ended by the target, where somebody else has ended this run. Who meets the lock
        between here and `release` finds nobody's name, and asks again.
        """
        facts: dict[str, Any] = {
            "token": self.token,
            "run_id": self.run_id,
            "outcome": outcome,
            "ended_by": ITSELF,
            "reason": why,
            "progress": progress,
        }
        found: Ended | None = None
        with suppress(*DRIVER_ERRORS, ConnectError):
            found = self._write_end(facts)
        self._held.forget()
        return found

    def _write_end(self, facts: Mapping[str, Any]) -> Ended | None:
        if self._held.session is not None:
            with suppress(LeaseLost), self._held.session.use() as session:
                self.ledger.close(session, **facts)
                return self._ended_by_others(session)
        with self._target.connect(run_id=self.run_id) as connection, connection.begin():
            self.ledger.close(connection, **facts)
            return self._ended_by_others(connection)

    def _ended_by_others(self, connection: Connection) -> Ended | None:
        run = self.ledger.entry(connection, self.run_id)
        if run is None or run.outcome is None or run.ended_by in {None, ITSELF}:
            return None
        return Ended(outcome=run.outcome, reason=run.reason)

    def release(self) -> None:
        """Free the locks."""
        self._held.release()


ROWS_IN_FLIGHT = text("""
    SELECT COALESCE(sum(p.tuples_processed), 0)
    FROM pg_stat_progress_copy p JOIN pg_stat_activity a USING (pid)
    WHERE a.application_name = :name AND p.command = 'COPY FROM'""")


def take_lease(
    held: Held,
    connection: Connection,
    *,
    lock: TargetLock,
    target: PostgresDatabase | SqliteDatabase,
    run_id: RunId,
    holder: Holder,
    days: DateRange,
    tables: tuple[str, ...],
) -> tuple[Lease, list[Closed]]:
    """Raise the token, end what is left of former holders, and close their runs as interrupted.

    Whoever calls this holds every lock, so the holder of an open run has died or has lost its lock.
    Raises RightsError, SchemaError, LocksDiffer; the locks stay held, the caller lets go of them.
    """
    ledger = lock.ledger
    _ensure_ledger(connection, ledger, target)
    with connection.begin():
        former = ledger.runs(connection, limit=100, open_only=True)
    facts: dict[str, Any] = {"run_id": run_id, "holder": holder, "days": days, "tables": tables}
    try:
        token = _raise_token(connection, lock, held, facts)
    except DBAPIError as error:
        if failure(error) is not Failure.TRANSIENT or held.session is None:
            raise
        # A writer stands between its fence and its commit, perhaps for ever: end it first.
        for run in former:
            _end_backends(held, run, own=run_id)
        token = _raise_token(connection, lock, held, facts)
    closed = []
    for run in former:
        zombies = _end_backends(held, run, own=run_id)
        closed.append(_close_former(connection, ledger, run, zombies, by=holder))
    return Lease(held=held, ledger=ledger, target=target, run_id=run_id, token=token), closed


def _ensure_ledger(
    connection: Connection, ledger: Ledger, target: PostgresDatabase | SqliteDatabase
) -> None:
    try:
        with connection.begin():
            if not ledger.exists(connection):
                ledger.create(connection)
    except DBAPIError as error:
        if failure(error) is not Failure.RIGHTS:
            raise
        raise RightsError(
            role=target.role,
            address=target.address,
            reason=reason(error),
            statements=" ".join(ledger.statements(connection).values()),
        ) from None


def _raise_token(
    connection: Connection, lock: TargetLock, held: Held, facts: dict[str, Any]
) -> Token:
    with connection.begin():
        if held.session is not None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {RAISE_TIMEOUT_MS}")
        return lock.ledger.take(
            connection, fingerprint=held.fingerprint, backend=held.backend(), **facts
        )


def _end_backends(held: Held, run: LedgerRun, *, own: RunId) -> int:
    """End what is left of a former holder; how many backends that were."""
    # A queued run that was to be started before has our own id, and never got as far as to write.
    if held.session is None or run.run_id == own:
        return 0
    session = held.session.connection
    if zombies := sessions.backends_of(session, run.run_id):
        sessions.end_backends(session, run.run_id, timeout_s=sessions.BACKENDS_GONE_S)
    return zombies


def _close_former(
    connection: Connection, ledger: Ledger, run: LedgerRun, zombies: int, *, by: Holder
) -> Closed:
    # A takeover that was not finished has left who began it, and why.
    why = run.reason or why_closed(
        run.holder, verdict=Verdict.LOST if zombies else Verdict.DEAD, backends=zombies
    )
    with connection.begin():
        ledger.close(
            connection,
            token=run.token,
            run_id=run.run_id,
            outcome=RunStatus.INTERRUPTED,
            ended_by=f"{by.user}@{by.host}",
            reason=str(why),
        )
    return Closed(run_id=run.run_id, reason=why)


def why_closed(holder: Holder, *, verdict: Verdict, backends: int = 0) -> Told:
    """Why a run was closed as interrupted, in one sentence."""
    if verdict is Verdict.LOST:
        text = N_(
            "Its lease was lost: the lock was free,"
            " but {backends} sessions of process {pid} on {host} still lived."
        )
    elif process_state(holder) is ProcessState.GONE:
        text = N_("Its holder died: process {pid} on {host} is gone and the lock was free.")
    else:
        text = N_(
            "Its holder let go without saying goodbye:"
            " the lock of process {pid} on {host} was free."
        )
    return Told(text, pid=holder.pid, host=holder.host, backends=backends)
