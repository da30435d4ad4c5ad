"""The kinds of lock, for tests that hold for each: where one is, and how any process opens it."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sync.clock import SystemClock
from sync.databases.postgres import PostgresDatabase
from sync.locking.file import FileLease
from sync.locking.holder import current_holder
from sync.locking.port import Lock
from sync.locking.record import record_of
from sync.locking.redis import RedisLock
from sync.locking.session import Session, SessionLock, open_lock
from sync.model import DateRange, RunId
from sync.settings import RunSettings
from sync.urls import normalized_url

KINDS = ("file", "session", "redis", "postgresql")
KEY = "batch_sync:target"  # in Redis
LONG_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a lock of one kind is; another process finds it there, too."""

    kind: str
    at: str

    def lock(self, run_id: str, *, ttl_s: float = LONG_S) -> Lock:
        """The lock as the run of that id sees it."""
        match self.kind:
            case "file":
                return FileLease(Path(self.at))
            case "redis":
                clock = SystemClock()
                return RedisLock(self.at, "target", ttl_s=ttl_s, timeout_s=5, clock=clock)
            case "session":
                session = Session(database(self.at).session(run_id=RunId(run_id)))
                return SessionLock(session, "public", name="session")
            case _:
                return open_lock(database(self.at), "target", run_id=RunId(run_id))


def database(url: str) -> PostgresDatabase:
    return PostgresDatabase(normalized_url(url), role="lock", schema="public", run=RunSettings())


def record(run_id: str) -> str:
    """What its holder writes."""
    days = DateRange(date(2025, 1, 1), date(2025, 1, 2))
    return record_of(
        run_id=RunId(run_id), holder=current_holder(None), days=days, tables=("orders",)
    )
