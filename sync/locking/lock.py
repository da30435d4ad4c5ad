"""Every lock of a target as one: take all or none, and say who has them when they are held.

A record beside a lock is evidence, not the lock: it counts only while it fits who holds it now.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from sync.databases.failures import DRIVER_ERRORS, reason
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.databases.stop import shut_down
from sync.errors import LeaseHeld, LockError
from sync.locking import session as sessions
from sync.locking.file import FileLease, read_record
from sync.locking.holder import ProcessState, process_state
from sync.model import Conflict, DateRange, Holder, RunId

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.databases.ledger import Ledger, LedgerRun
    from sync.settings import RunSettings

ASK_AGAIN_S = 0.02


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

    def shut_down(self) -> None:
        """Shut the session's socket down, from another thread than the one that waits on it."""
        if self.session is not None and not self.session.invalidated:
            shut_down(self.session.connection.driver_connection)

    def release(self) -> None:
        """Free all of them, the session's first: who then finds the file free finds all free."""
        _close(self.session)
        self.file.release()


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
