"""Whether a connection pooler stands before a PostgreSQL server, and how it deals out sessions.

A pooler greets its clients with a process number of its own making, so libpq's number is not the
backend's. One that deals out backends by transaction gives two clients the same backend, or one
client now this, now that: a session lock taken there belongs to nobody. It also passes over what a
client asks for at its start (`options`), or refuses the client because of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

ASKED = 3  # times that either session is asked for its backend
REFUSED = "unsupported startup parameter"  # PgBouncer's words; PostgreSQL has none like them


class Pooling(StrEnum):
    """How sessions reach the server."""

    DIRECT = "direct"
    BY_SESSION = "session"
    BY_TRANSACTION = "transaction"


def pooled(session: Connection) -> bool:
    """Whether a pooler answers instead of the server."""
    return _told(session) != _backend(session)


def pooling(first: Connection, second: Connection) -> Pooling:
    """How two sessions of one URL, both in autocommit, reach their server."""
    told = {_told(session) for session in (first, second)}
    asked = [(_backend(first), _backend(second)) for _ in range(ASKED)]
    backends = {pid for pair in asked for pid in pair}
    if told == backends:
        return Pooling.DIRECT
    return (
        Pooling.BY_SESSION
        if len(set(asked)) == 1 and len(backends) == 2
        else (Pooling.BY_TRANSACTION)
    )


def refused_by_pooler(reason: str) -> bool:
    """Whether a connection failed because a pooler does not let our settings through."""
    return REFUSED in reason


def _told(session: Connection) -> int:
    """The backend's process number as it was told when the session began."""
    driver = session.connection.driver_connection
    assert driver is not None
    return int(driver.info.backend_pid)


def _backend(session: Connection) -> int:
    return int(session.scalar(text("SELECT pg_backend_pid()")) or 0)
