"""What our tables in the target say, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sync.errors import N_
from sync.model import DateRange, Holder, Only, Progress, RunId, RunStatus, RunView, Token
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable

# What a text that is not JSON, or not the JSON it should be, raises.
UNREADABLE = (KeyError, ValueError, TypeError, RecursionError)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A durable fact in the target: this partition is whole."""

    table: str
    day: date
    rows: int
    definition: str
    day_closed: bool
    run_id: RunId
    token: Token
    digest: str | None = None
    digest_kind: str | None = None
    committed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRun:
    """A run as its target remembers it."""

    token: Token
    run_id: RunId
    holder: Holder
    days: DateRange
    tables: tuple[str, ...]
    acquired_at: datetime
    beat_age_s: float
    progress: Progress
    outcome: RunStatus | None
    reason: Told | None
    beat_at: datetime
    released_at: datetime | None
    ended_by: str | None

    def view(self) -> RunView:
        """As every view sees it; what only a store knows is left out."""
        return RunView(
            id=self.run_id,
            status=self.outcome
            or (RunStatus.INTERRUPTED if self.released_at else RunStatus.RUNNING),
            days=self.days,
            tables=self.tables,
            only=Only.ALL,
            allow_shrink=False,
            token=self.token,
            since_token=None,
            holder=self.holder,
            progress=self.progress,
            started_at=self.acquired_at,
            beat_at=self.beat_at,
            progress_at=self.beat_at,
            finished_at=self.released_at,
            error=self.reason,
        )


def holder_in(text: str, since: datetime) -> Holder:
    """A row's holder; what cannot be read is nobody's that could be seen from anywhere."""
    unknown = Holder(
        user="?",
        host="?",
        pid=0,
        process_start=0.0,
        boot_id="",
        pid_namespace="",
        nonce="",
        since=since,
    )
    return _read(text, Holder.from_json, unknown)


def ledger_run(row: Any) -> LedgerRun:
    """A row of `batch_sync_run` with the database's `now` beside it.

    An odd row must not keep anybody from all others: what cannot be read in it is left out, and
    an outcome that this version does not know is an interruption.
    """
    now = row["now"] if isinstance(row["now"], datetime) else datetime.fromisoformat(row["now"])
    now = now if now.tzinfo else now.replace(tzinfo=UTC)
    return LedgerRun(
        token=Token(row["token"]),
        run_id=RunId(row["run_id"]),
        holder=holder_in(row["holder"], row["acquired_at"]),
        days=DateRange(row["start_date"], row["end_date"]),
        tables=_read(row["tables"], _names, ()),
        acquired_at=row["acquired_at"],
        beat_age_s=(now - row["beat_at"]).total_seconds(),
        progress=Progress(
            partitions_done=row["partitions_done"],
            partitions_total=row["partitions_total"],
            rows_done=row["rows_done"],
            rows_total=row["rows_total"],
        ),
        outcome=_outcome(row["outcome"]) if row["outcome"] else None,
        reason=Told(N_("{reason}"), reason=row["reason"]) if row["reason"] else None,
        beat_at=row["beat_at"],
        released_at=row["released_at"],
        ended_by=row["ended_by"],
    )


def _read(text: str, read: Callable[[Any], T], otherwise: T) -> T:
    try:
        return read(json.loads(text))
    except UNREADABLE:
        return otherwise


def _names(found: Any) -> tuple[str, ...]:
    return tuple(map(str, found))


def _outcome(text: str) -> RunStatus:
    known = (outcome for outcome in RunStatus if outcome.value == text)
    return next(known, RunStatus.INTERRUPTED)
