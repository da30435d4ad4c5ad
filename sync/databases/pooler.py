"""Whether a connection pooler stands before a PostgreSQL server, and how it deals out sessions.

A pooler greets its clients with a process number of its own making, so libpq's number is not the
backend's. One that deals out backends by transaction gives two clients the same backend, or one
client now this, now that: a session lock taken there belongs to nobody. It also passes over what a
client asks for at its start (`options`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

ASKED = 3  # times that either session is asked for its backend


class Pooling(StrEnum):
    """How sessions reach the server."""

    DIRECT = "direct"
    BY_SESSION = "session"
    BY_TRANSACTION = "transaction"


def pooled(session: Connection) -> bool:
    """Whether a pooler answers instead of the server."""
    told = session.connection.driver_connection
    assert told is not None
    return bool(told.info.backend_pid != _backend(session))


def pooling(first: Connection, second: Connection) -> Pooling:
    """How two sessions of one URL, both in autocommit, reach their server."""
    if not pooled(first):
        return Pooling.DIRECT
    asked = {(_backend(first), _backend(second)) for _ in range(ASKED)}
    kept = len(asked) == 1 and len(set(*asked)) == 2
    return Pooling.BY_SESSION if kept else Pooling.BY_TRANSACTION


def _backend(session: Connection) -> int:
    return int(session.scalar(text("SELECT pg_backend_pid()")) or 0)
