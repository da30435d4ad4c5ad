"""What one run is to do, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

    from sync.clock import Clock
    from sync.copying.group import Way
    from sync.counting import Counting
    from sync.databases.port import Database
    from sync.locking.lease import Lease
    from sync.model import RunRequest
    from sync.pairing.pair import TablePair
    from sync.settings import RunSettings
    from sync.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One run's; `among` narrows the plan to these partitions."""

    request: RunRequest
    pairs: Sequence[TablePair]
    counting: Counting
    among: frozenset[tuple[str, date]] | None
    lease: Lease
    way: Way
    source: Database
    target: Database
    store: Store
    run: RunSettings
    zone: ZoneInfo
    clock: Clock
