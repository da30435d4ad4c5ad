"""Every lock of a target as one: take all or none, and say who has them when they are held.

A record beside a lock is evidence, not the lock: it counts only while it fits who holds it now.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy.exc import DBAPIError

from sync.databases.failures import reason
from sync.databases.pooler import pooled
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.databases.stop import shut_down_unless
from sync.errors import N_, LeaseHeld, LockError
from sync.locking.file import FileLease
from sync.locking.record import record_of
from sync.locking.session import POOLER, Session, SessionLock, backend
from sync.model import Conflict, DateRange, Holder, RunId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from sync.databases.ledger import Ledger
    from sync.databases.ledger_rows import LedgerRun
    from sync.locking.port import Lock
    from sync.settings import RunSettings

ASK_AGAIN_S = 0.02
WITHOUT_POOLER = N_(
    "Nothing was started. Give [target] url the server's own address,"
    " or name a lock beside the target: [lock] url."
)


class TargetLock:
    """The lock of one target.

    Always a file on this machine; a session of the target where it has them and no pooler stands
    before it; and the lock of `[lock] url`, which `at_url` makes for a target's name and a run.
    """

    def __init__(
        self,
        target: PostgresDatabase | SqliteDatabase,
        ledger: Ledger,
        *,
        state_dir: Path,
        run: RunSettings,
        at_url: Callable[[str, RunId | None], Lock] | None = None,
    ) -> None:
        self._target = target
        self.ledger = ledger
        self._state_dir = state_dir
        self._run = run
        self._at_url = at_url

    def acquire(
        self, *, run_id: RunId, holder: Holder, days: DateRange, tables: tuple[str, ...]
    ) -> Held:
        """Take every lock, or none; ask again for `start_wait_s` while no name stands at it.

        Raises LeaseHeld naming the present holder, LockError, ConnectError.
        """
        record = record_of(run_id=run_id, holder=holder, days=days, tables=tables)
        held = self.open(run_id)
        asked = threading.Event()
        shut_down_unless(asked, self._run.stall_after_s, (), held.shut_down)
        try:
            with self._asked():
                self._take(held, record)
        except BaseException:
            held.release()
            raise
        finally:
            asked.set()
        return held

    def _take(self, held: Held, record: str) -> None:
        deadline = time.monotonic() + self._run.start_wait_s
        before: Conflict | None = None
        while lock := held.take(record):
            conflict, certain = lock.holding() or (Conflict(), False)
            if conflict.run_id and not conflict.holder:
                conflict, certain = self._known(held, conflict.run_id), True
            # What is not certain counts when it stands there twice.
            settled = conflict.holder and (certain or conflict == before)
            if settled or time.monotonic() > deadline:
                raise LeaseHeld(conflict)
            before = conflict
            time.sleep(ASK_AGAIN_S)

    def open(self, run_id: RunId | None = None) -> Held:
        """Every lock of the target, to be taken or looked at. Raises LockError, ConnectError."""
        target = self._target
        if isinstance(target, SqliteDatabase):
            return Held(self._locks(None, run_id), None)
        session = Session(target.session(run_id=run_id))
        try:
            with self._asked():
                return Held(self._locks(session, run_id), session)
        except BaseException:
            session.close()
            raise

    def _locks(self, session: Session | None, run_id: RunId | None) -> list[Lock]:
        connection = session.connection if session else None
        locks: list[Lock] = [FileLease(self.path(connection))]
        if session is not None:
            if not pooled(session.connection):
                locks.append(SessionLock(session, self._target.schema or "", name="session"))
            elif self._at_url is None:
                raise LockError(POOLER, hint=WITHOUT_POOLER, lock=self._target.address)
        if self._at_url is not None:
            locks.append(self._at_url(self._name(connection), run_id))
        return locks

    def at_url(self, what: str) -> Lock | None:
        """The lock of `[lock] url` for any name; None without that URL. Raises LockError."""
        return self._at_url(what, None) if self._at_url else None

    def path(self, session: Connection | None) -> Path:
        """The lock file: beside an SQLite target's real file, else in the state directory."""
        name = self._name(session)
        if isinstance(self._target, SqliteDatabase):
            return Path(f"{name}.batch_sync.lock")
        return self._state_dir / f"target-{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"

    def _name(self, session: Connection | None) -> str:
        """One name for the target, however its URL is spelt."""
        if isinstance(self._target, SqliteDatabase):
            return str(self._target.path.resolve())
        assert session is not None
        return f"{self._target.identity(session)}/{self._target.schema}"

    def elsewhere(self) -> Conflict | None:
        """Who holds the target as other hosts see it, by name; None when that is nobody.

        Raises LockError, ConnectError.
        """
        with self.open() as held, self._asked():
            # The file of a PostgreSQL target is this machine's alone; its session tells.
            for lock in held.locks[1 if held.session else 0 :]:
                conflict, _ = lock.holding() or (Conflict(), False)
                if conflict.run_id and not conflict.holder:
                    conflict = self._known(held, conflict.run_id)
                if conflict.holder:
                    return conflict
        return None

    def beginning(self, run_id: RunId) -> Conflict | None:
        """Who has a lock under this id, as he wrote beside it. Raises LockError, ConnectError."""
        with self.open() as held, self._asked():
            found = (lock.holding() for lock in held.locks)
            return next((told[0] for told in found if told and told[0].run_id == run_id), None)

    def revoke(self, run_id: RunId) -> None:
        """Take away what a run holds at `[lock] url`. Raises LockError, ConnectError."""
        if self._at_url:
            with self.open() as held:
                held.locks[-1].revoke(run_id)

    def _known(self, held: Held, run_id: RunId) -> Conflict:
        """The run that a lock names, as the target remembers it while it is open."""
        with self.reading(held) as connection:
            if not self.ledger.exists(connection):
                return Conflict()
            runs = self.ledger.runs(connection, limit=5, open_only=True)
        return next((conflict_of(run) for run in runs if run.run_id == run_id), Conflict())

    @contextmanager
    def reading(self, held: Held) -> Iterator[Connection]:
        """A connection to read the ledger: the session, where there is one."""
        if held.session is not None:
            yield held.session.connection
        else:
            with self._target.connect(reads=True) as connection, connection.begin():
                yield connection

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise LockError(lock=self._target.address, reason=reason(error)) from None


class Held:
    """Every lock of a target as one run sees them, in the order in which they are taken."""

    def __init__(self, locks: Sequence[Lock], session: Session | None) -> None:
        self.locks = locks
        self.session = session
        self._release_guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def fingerprint(self) -> str:
        """Kind and place of each lock."""
        return "+".join(lock.name for lock in self.locks)

    def take(self, record: str) -> Lock | None:
        """Take all; or none, and the one that somebody else has. Raises LockError."""
        for count, lock in enumerate(self.locks):
            if not lock.acquire(record):
                for taken in reversed(self.locks[:count]):
                    taken.release()
                return lock
        for lock in self.locks:
            lock.announce()
        return None

    def backend(self) -> tuple[int, str] | None:
        """PID and start of the target session's backend."""
        return backend(self.session.connection) if self.session is not None else None

    def check(self) -> None:
        """Raise LeaseLost when any of them is known to be lost; asks nobody."""
        for lock in self.locks:
            lock.check()

    def ask(self) -> None:
        """The same, after asking who keeps them."""
        for lock in self.locks:
            lock.ask()

    def forget(self) -> None:
        """Take our name off them."""
        for lock in self.locks:
            lock.forget()

    def shut_down(self) -> None:
        """Wake whoever waits for an answer of a lock or the session, with an error."""
        for waited in (*self.locks, self.session):
            if waited is not None:
                waited.shut_down()

    def release(self) -> None:
        """Free all of them, the file last: who then finds it free finds all free.

        From any thread; a second time does nothing.
        """
        with self._release_guard:
            for lock in reversed(self.locks[1:]):
                lock.close()
            if self.session is not None:
                self.session.close()
            self.locks[0].close()


def conflict_of(run: LedgerRun) -> Conflict:
    """A run in the target's ledger as a conflict."""
    return Conflict(
        holder=run.holder,
        run_id=run.run_id,
        days=run.days,
        tables=run.tables,
        progress=run.progress,
    )
