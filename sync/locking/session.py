"""A lock in PostgreSQL: a session-level advisory lock on a connection of its own.

Contract: at most one session of the database holds the key; the server frees it when the session
ends. Limit: a transaction pooler between us and the server splits sessions; the lock needs a direct
connection. The same in the target and in the database of `[lock] url`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sync.databases.failures import DRIVER_ERRORS, reason
from sync.databases.pooler import pooled
from sync.databases.stop import shut_down
from sync.errors import N_, ConnectError, LeaseLost, LockError
from sync.locking.port import Lock
from sync.model import Conflict, RunId
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from sync.databases.postgres import PostgresDatabase

POLL_S = 0.02
POOLER = N_(
    "The lock {lock} cannot be trusted: a connection pooler (such as PgBouncer) stands before it,"
    " and would split the session that holds it."
)
LOCK_POOLED = N_("Nothing was started. Give [lock] url the server's own address.")
BACKENDS_GONE_S = 5.0
TAKE = text("SELECT pg_try_advisory_lock(:key)")
GIVE_BACK = text("SELECT pg_advisory_unlock(:key)")
# An advisory lock of one bigint shows in pg_locks as its two halves, with objsubid 1.
THE_LOCK = """l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND ((l.classid::bigint << 32) | l.objid::bigint) = :key"""
STILL_HELD = text(f"SELECT 1 FROM pg_locks l WHERE l.pid = pg_backend_pid() AND {THE_LOCK}")
HOLDER_OF = text(f"""
    SELECT COALESCE(a.application_name, '')
    FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) WHERE {THE_LOCK}""")
BACKENDS_OF = """
    SELECT {what} FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = :name AND pid <> pg_backend_pid()"""


class Session:
    """A connection in autocommit that threads use in turn, and that is never opened again.

    psycopg2 would let them; SQLAlchemy would open a new one, which has no lock.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._guard = threading.Lock()

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """The connection, for this thread alone. Raises LeaseLost when it is gone."""
        try:
            with self._guard:
                self.check()
                yield self.connection
        except DBAPIError as error:
            ended = N_("the lock's session ended: {reason}")
            raise LeaseLost(reason=Told(ended, reason=reason(error))) from None

    def check(self) -> None:
        """Raise LeaseLost when it is known to be gone."""
        if not self.alive:
            raise LeaseLost(reason=Told(N_("the lock's session ended")))

    @property
    def alive(self) -> bool:
        """Whether nobody has ended it, as far as is known."""
        return not self.connection.closed and not self.connection.invalidated

    def shut_down(self) -> None:
        """Shut its socket down, from another thread than the one that waits on it."""
        if self.alive:
            shut_down(self.connection.connection.driver_connection)

    def close(self) -> None:
        """End it, once; the server frees its locks."""
        if self.connection.closed:
            return
        with suppress(*DRIVER_ERRORS):
            self.connection.invalidate()
        with suppress(*DRIVER_ERRORS):
            self.connection.close()


class SessionLock(Lock):
    """The lock of `what` in the database of a session, which bears the name of its run."""

    def __init__(self, session: Session, what: str, *, name: str) -> None:
        self.name = name
        self._session = session
        self._what = what

    def acquire(self, record: str) -> bool:
        """Take it; who holds it stands in the session's own name."""
        del record
        with self._asked() as connection:
            return try_lock(connection, self._what)

    def holding(self) -> tuple[Conflict, bool] | None:
        """The run that the session is named after; all else is the ledger's to tell."""
        with self._asked() as connection:
            name = connection.scalar(HOLDER_OF, {"key": lock_key(self._what)})
        if name is None:
            return None
        prefix = application_name(RunId(""))
        run_id = RunId(name.removeprefix(prefix)) if name.startswith(prefix) else None
        return Conflict(run_id=run_id), False

    def check(self) -> None:
        """Raise LeaseLost when the session is known to be gone."""
        self._session.check()

    def ask(self) -> None:
        """Ask the server whether this very session still has the lock."""
        with self._session.use() as connection:
            held = connection.scalar(STILL_HELD, {"key": lock_key(self._what)})
        if not held:
            raise LeaseLost(reason=Told(N_("the lock's session ended")))

    def release(self) -> None:
        """Unlock; a session that does not hold it is told so, and nothing happens."""
        with suppress(LeaseLost), self._session.use() as connection:
            connection.execute(GIVE_BACK, {"key": lock_key(self._what)})

    def revoke(self, run_id: RunId) -> None:
        """End the run's sessions in this database, and with them what they lock."""
        with self._asked() as connection:
            end_backends(connection, run_id, timeout_s=BACKENDS_GONE_S)

    def shut_down(self) -> None:
        """Shut the session's socket down."""
        self._session.shut_down()

    def close(self) -> None:
        """End the session; it may not answer any more, so nothing is asked of it."""
        self._session.close()

    @contextmanager
    def _asked(self) -> Iterator[Connection]:
        try:
            yield self._session.connection
        except DBAPIError as error:
            raise LockError(lock=self.name, reason=reason(error)) from None


def open_lock(database: PostgresDatabase, what: str, *, run_id: RunId | None) -> SessionLock:
    """The lock of `what` in a database beside the target. Raises LockError."""
    place = f"postgresql://{database.address}"
    try:
        session = Session(database.session(run_id=run_id))
    except ConnectError as error:
        raise LockError(lock=place, reason=str(error.told.facts["reason"])) from None
    lock = SessionLock(session, what, name=place)
    if pooled(session.connection):
        lock.close()
        raise LockError(POOLER, hint=LOCK_POOLED, lock=place)
    return lock


def application_name(run_id: RunId) -> str:
    """The name that every connection of a run bears."""
    return f"batch_sync {run_id}"


def lock_key(what: str) -> int:
    """The key of a lock: the first 8 bytes of sha256 over `batch_sync:` and its name, signed.

    In the target that is the schema's name; elsewhere the whole target's.
    """
    return int.from_bytes(hashlib.sha256(f"batch_sync:{what}".encode()).digest()[:8], signed=True)


def try_lock(session: Connection, what: str) -> bool:
    """Take the lock on this session, without waiting."""
    return bool(session.scalar(TAKE, {"key": lock_key(what)}))


def backend(session: Connection) -> tuple[int, str]:
    """PID and start of this session's backend."""
    found = session.execute(
        text("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    ).one()
    return found[0], found[1]


def backends_of(session: Connection, run_id: RunId) -> int:
    """How many backends of a run live."""
    asked = text(BACKENDS_OF.format(what="count(*)"))
    return int(session.scalar(asked, {"name": application_name(run_id)}) or 0)


def end_backends(session: Connection, run_id: RunId, *, timeout_s: float) -> int:
    """Terminate every backend of a run and wait until they are gone; how many are left.

    A stopped process in the middle of a COPY keeps its row locks for ever, so its backends must go
    first.
    """
    terminate = text(BACKENDS_OF.format(what="pg_terminate_backend(pid)"))
    deadline = time.monotonic() + timeout_s
    while left := backends_of(session, run_id):
        if time.monotonic() > deadline:
            break
        session.execute(terminate, {"name": application_name(run_id)})
        time.sleep(POLL_S)
    return left
