"""The lock in a PostgreSQL target: a session-level advisory lock on a connection of its own.

Contract: at most one session of the database holds the key; the server frees it when the session
ends. Limit: a transaction pooler between us and the server splits sessions; the lock needs a direct
connection.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.model import RunId

if TYPE_CHECKING:
    from sqlalchemy import Connection

POLL_S = 0.02
# An advisory lock of one bigint shows in pg_locks as its two halves, with objsubid 1.
HOLDER_OF = text("""
    SELECT l.pid, COALESCE(a.application_name, '') AS name, a.backend_start::text AS start
    FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND ((l.classid::bigint << 32) | l.objid::bigint) = :key""")
BACKENDS_OF = """
    SELECT {what} FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = :name AND pid <> pg_backend_pid()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHolder:
    """The backend that holds the key.

    `run_id` is read off its application name, None when that is hidden.
    """

    pid: int
    start: str | None
    run_id: RunId | None


def application_name(run_id: RunId) -> str:
    """The name that every connection of a run bears."""
    return f"batch_sync {run_id}"


def lock_key(schema: str) -> int:
    """The key of a schema's lock.

    The first 8 bytes of sha256 over `batch_sync:` and the schema, signed.
    """
    return int.from_bytes(hashlib.sha256(f"batch_sync:{schema}".encode()).digest()[:8], signed=True)


def try_lock(session: Connection, schema: str) -> bool:
    """Take the lock on this session, without waiting."""
    return bool(
        session.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": lock_key(schema)})
    )


def backend(session: Connection) -> tuple[int, str]:
    """PID and start of this session's backend."""
    found = session.execute(
        text("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    ).one()
    return found[0], found[1]


def session_holder(session: Connection, schema: str) -> SessionHolder | None:
    """Who holds the lock now, None when it is free."""
    found = session.execute(HOLDER_OF, {"key": lock_key(schema)}).first()
    if found is None:
        return None
    prefix = application_name(RunId(""))
    run_id = RunId(found.name.removeprefix(prefix)) if found.name.startswith(prefix) else None
    return SessionHolder(pid=found.pid, start=found.start, run_id=run_id)


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
