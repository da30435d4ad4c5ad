"""What `sync.wiring` puts together, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sync.clock import Clock
    from sync.copying.group import Way
    from sync.databases.postgres import PostgresDatabase
    from sync.databases.sqlite import SqliteDatabase
    from sync.engine.thread import ThreadEngine
    from sync.locking.lock import TargetLock
    from sync.locking.looking import Looker
    from sync.locking.takeover import Taker
    from sync.model import RunId
    from sync.settings import Settings
    from sync.snapshot import SnapshotReader
    from sync.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of one process; a test wraps one of them."""

    settings: Settings
    source: PostgresDatabase | SqliteDatabase
    target: PostgresDatabase | SqliteDatabase
    target_name: str
    demo: bool
    lock: TargetLock
    looker: Looker
    taker: Taker
    store: Store
    engine: ThreadEngine
    snapshots: SnapshotReader
    way: Callable[[RunId], Way]
    clock: Clock
