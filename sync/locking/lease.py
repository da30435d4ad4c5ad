"""Lock and token together: take the lease, beat, check, let go."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sync.databases.failures import DRIVER_ERRORS, Failure, failure, reason
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.errors import N_, ConnectError, LeaseHeld, LeaseLost, LockError, RightsError
from sync.locking import session as sessions
from sync.locking.file import FileLease, read_record
from sync.locking.holder import ProcessState, process_state
from sync.model import (
    Conflict,
    DateRange,
    Holder,
    Progress,
    RunId,
    RunStatus,
    Token,
    Told,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from sync.databases.ledger import Ledger, LedgerRun
    from sync.settings import RunSettings

ASK_AGAIN_S = 0.02
RAISE_TIMEOUT_MS = 1000
BACKENDS_GONE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A run of a former holder that was closed as interrupted, and the evidence for it."""

    run_id: RunId
    reason: Told


class TargetLock:
    """The lock of one target.

    Always a file on this machine, and a session lock where the target has them.
    """

    def __init__(
        self,
        target: PostgresDatabase | SqliteDatabase,
        ledger: Ledger,
        *,
        state_dir: Path,
        run: RunSettings,
    ) -> None:
        self._target = target
        self.ledger = ledger
        self._state_dir = state_dir
        self._run = run

    @property
    def fingerprint(self) -> str:
        """Which locks make up the lease.

        A start under other ones than an unreleased lease's is refused.
        """
        return "file" if isinstance(self._target, SqliteDatabase) else "file+postgresql-session"

    def path(self, session: Connection | None) -> Path:
        """The lock file: beside an SQLite target's real file, else in the state directory."""
        if isinstance(self._target, SqliteDatabase):
            real = self._target.path.resolve()
            return real.with_name(real.name + ".batch_sync.lock")
        assert session is not None
        name = f"{self._target.identity(session)}/{self._target.schema}"
        return self._state_dir / f"target-{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"

    def acquire(
        self, *, run_id: RunId, holder: Holder, days: DateRange, tables: tuple[str, ...]
    ) -> Held:
        """Take every lock, or none; ask again for `start_wait_s` while no name stands at it.

        Raises LeaseHeld naming the present holder, LockError, ConnectError.
        """
        session = (
            self._target.session(run_id=run_id)
            if isinstance(self._target, PostgresDatabase)
            else None
        )
        record = {
            "run_id": run_id,
            "holder": holder.to_json(),
            "start_date": days.start.isoformat(),
            "end_date": days.end.isoformat(),
            "tables": list(tables),
        }
        try:
            return self._acquire(record, session)
        except DBAPIError as error:
            _close(session)
            raise LockError(lock=self._target.address, reason=reason(error)) from None
        except BaseException:
            _close(session)
            raise

    def _acquire(self, record: dict[str, Any], session: Connection | None) -> Held:
        path = self.path(session)
        deadline = time.monotonic() + self._run.start_wait_s
        before: Conflict | None = None
        while True:
            file = FileLease(path)
            try:
                if not file.acquire():
                    conflict, settled = _file_conflict(path, before)
                elif session is None or sessions.try_lock(session, self._schema):
                    file.write(record)
                    return Held(file=file, session=session, schema=self._schema)
                else:
                    file.release()
                    conflict, settled = self._session_conflict(session)
            except BaseException:
                file.release()
                raise
            if settled or time.monotonic() > deadline:
                raise LeaseHeld(conflict)
            before = conflict
            time.sleep(ASK_AGAIN_S)

    @property
    def _schema(self) -> str:
        return self._target.schema or ""

    def _session_conflict(self, session: Connection) -> tuple[Conflict, bool]:
        """Who holds the session lock.

        Settled when the run's row belongs to the very backend that holds it.
        """
        holding = sessions.session_holder(session, self._schema)
        if holding is None or not self.ledger.exists(session):
            return Conflict(), False
        for run in self.ledger.runs(session, limit=5, open_only=True):
            if (
                run.backend
                and run.backend[0] == holding.pid
                and holding.start in {None, run.backend[1]}
            ):
                return conflict_of(run), True
        return Conflict(), False


class Held:
    """Every lock of a target, held."""

    def __init__(self, *, file: FileLease, session: Connection | None, schema: str) -> None:
        self.file = file
        self.session = session
        self.schema = schema
        # One psycopg2 connection serves the heartbeat and the end of the run, which may be two
        # threads.
        self.session_guard = threading.Lock()

    def backend(self) -> tuple[int, str] | None:
        """PID and start of the session lock's backend."""
        return sessions.backend(self.session) if self.session is not None else None

    def release(self) -> None:
        """Free all of them, the session's first: who then finds the file free finds all free."""
        _close(self.session)
        self.file.release()


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
        """Raise LeaseLost when the lock file was removed or replaced under us."""
        if not self._held.file.intact():
            gone = N_("the lock file {path} was removed or replaced")
            raise LeaseLost(reason=Told(gone, path=self._held.file.path))

    def fence(self, connection: Connection) -> None:
        """The last statement of a transaction that writes rows. Raises LeaseLost."""
        self.ledger.fence(connection, token=self.token, run_id=self.run_id)

    def beat(self, progress: Progress) -> None:
        """Tell the target that this run lives. Raises LeaseLost when session or row is gone.

        An SQLite target is beaten by the run's own transactions: they hold its only write lock.
        """
        self.check()
        session = self._held.session
        if session is None:
            return
        try:
            with self._held.session_guard:
                if session.invalidated:
                    # SQLAlchemy would open a new one, which has no lock.
                    raise LeaseLost(reason=Told(N_("the lock's session ended")))
                self.ledger.beat(session, token=self.token, run_id=self.run_id, progress=progress)
        except DBAPIError as error:
            ended = N_("the lock's session ended: {reason}")
            raise LeaseLost(reason=Told(ended, reason=reason(error))) from None

    def rows_in_flight(self) -> int:
        """Rows that the target has taken in uncommitted COPYs of this run.

        0 where that cannot be seen.
        """
        session = self._held.session
        with self._held.session_guard, suppress(DBAPIError):
            if session is None or session.invalidated:
                return 0
            return int(
                session.scalar(ROWS_IN_FLIGHT, {"name": sessions.application_name(self.run_id)})
                or 0
            )
        return 0

    def close(self, outcome: RunStatus, *, why: str | None, progress: Progress) -> None:
        """Write the end into the target, and take our name off the lock.

        Who meets the lock between here and `release` finds nobody's name, and asks again.
        """
        facts: dict[str, Any] = {
            "token": self.token,
            "run_id": self.run_id,
            "outcome": outcome,
            "ended_by": "itself",
            "reason": why,
            "progress": progress,
        }
        with suppress(*DRIVER_ERRORS, ConnectError):
            self._write_end(facts)
        self._held.file.forget()

    def _write_end(self, facts: Mapping[str, Any]) -> None:
        session = self._held.session
        with self._held.session_guard, suppress(DBAPIError):
            if session is not None and not session.invalidated:
                self.ledger.close(session, **facts)
                return
        with self._target.connect(run_id=self.run_id) as connection, connection.begin():
            self.ledger.close(connection, **facts)

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
    Raises RightsError, SchemaError; the locks stay held, the caller lets go of them.
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
            sessions.end_backends(held.session, run.run_id, timeout_s=BACKENDS_GONE_S)
        token = _raise_token(connection, lock, held, facts)
    closed = [_close_former(connection, ledger, held, run, by=holder) for run in former]
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
            reason=reason(error),
            statements=" ".join(ledger.statements(connection)),
        ) from None


def _raise_token(
    connection: Connection, lock: TargetLock, held: Held, facts: dict[str, Any]
) -> Token:
    with connection.begin():
        if held.session is not None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {RAISE_TIMEOUT_MS}")
        return lock.ledger.take(
            connection, fingerprint=lock.fingerprint, backend=held.backend(), **facts
        )


def _close_former(
    connection: Connection, ledger: Ledger, held: Held, run: LedgerRun, *, by: Holder
) -> Closed:
    zombies = 0
    if held.session is not None and (zombies := sessions.backends_of(held.session, run.run_id)):
        sessions.end_backends(held.session, run.run_id, timeout_s=BACKENDS_GONE_S)
    why = why_closed(
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


def _file_conflict(path: Path, before: Conflict | None) -> tuple[Conflict, bool]:
    """Who wrote the lock file, and whether that is certainly the present holder.

    Lock and record are two steps. A record whose process is gone is a former holder's; one of a
    process that cannot be seen from here counts when it stands there twice.
    """
    conflict = record_conflict(path)
    if conflict is None:
        return Conflict(), False
    match process_state(conflict.holder) if conflict.holder else ProcessState.GONE:
        case ProcessState.RUNNING | ProcessState.STOPPED:
            return conflict, True
        case ProcessState.UNSEEN:
            return conflict, conflict == before
        case _:
            return Conflict(), False


def record_conflict(path: Path) -> Conflict | None:
    """The record in a lock file as a conflict; None when there is none that can be understood."""
    record = read_record(path)
    if record is None:
        return None
    try:
        return Conflict(
            holder=Holder.from_json(record["holder"]),
            run_id=RunId(record["run_id"]),
            days=DateRange(
                date.fromisoformat(record["start_date"]), date.fromisoformat(record["end_date"])
            ),
            tables=tuple(record["tables"]),
        )
    except (KeyError, ValueError, TypeError):
        return None


def conflict_of(run: LedgerRun) -> Conflict:
    """A run in the target's ledger as a conflict."""
    return Conflict(
        holder=run.holder,
        run_id=run.run_id,
        days=run.days,
        tables=run.tables,
        progress=run.progress,
    )


def _close(session: Connection | None) -> None:
    if session is not None:
        with suppress(*DRIVER_ERRORS):
            session.invalidate()
        with suppress(*DRIVER_ERRORS):
            session.close()
