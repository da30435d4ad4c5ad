"""The words of Batch Sync as values: run, partition, holder, progress, verdict, conflict.

Statuses move only along these arrows; every writer asks `MOVES` or `PARTITION_MOVES`:

    run        queued -> running -> succeeded | failed | cancelled | interrupted
               (straight from queued: cancelled when withdrawn, failed when it cannot be started)
    partition  pending -> copying -> done | unchanged | held_back | failed
               (failed and copying go back to pending when a group is tried again)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NewType, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sync.plan import SeenPlan
    from sync.told import Told

RunId = NewType("RunId", str)
Token = NewType("Token", int)


class RunStatus(StrEnum):
    """Where a run stands; the last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return not MOVES[self]


MOVES: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.FAILED}),
    RunStatus.RUNNING: frozenset(
        {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED}
    ),
    RunStatus.SUCCEEDED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
    RunStatus.INTERRUPTED: frozenset(),
}


class PartitionStatus(StrEnum):
    """Where one table on one day stands within a run."""

    PENDING = "pending"
    COPYING = "copying"
    DONE = "done"
    UNCHANGED = "unchanged"
    HELD_BACK = "held_back"
    FAILED = "failed"


class PlanState(StrEnum):
    """What a plan says of a partition before it is touched."""

    MISSING = "missing"
    SAME = "same"
    CHANGED = "changed"
    DRIFTED = "drifted"
    NOT_CLOSED = "not_closed"
    HELD_BACK = "held_back"


class Only(StrEnum):
    """Which partitions of the range a run takes."""

    ALL = "all"
    MISSING = "missing"
    CHANGED = "changed"
    FAILED = "failed"


class Verify(StrEnum):
    """What is compared of a group inside its transaction, before the commit."""

    NONE = "none"
    COUNT = "count"
    DIGEST = "digest"


class SchemaChange(StrEnum):
    """What becomes of a table whose columns differ between source and target."""

    FAIL = "fail"
    ADD_COLUMNS = "add_columns"


class Verdict(StrEnum):
    """What the evidence says of a holder; told by `sync.locking.verdict`."""

    DEAD = "dead"
    LOST = "lost"
    PAUSED = "paused"
    UNKNOWN = "unknown"
    STALLED = "stalled"
    RUNNING = "running"


class CancelMode(StrEnum):
    """How a run is asked to stop: after the groups under way, or at once."""

    AFTER_GROUP = "after_group"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class DateRange:
    """Calendar days from `start` to `end`, both inclusive."""

    start: date
    end: date

    def days(self) -> Iterator[date]:
        """Every day, in order."""
        for offset in range(len(self)):
            yield self.start + timedelta(days=offset)

    def __len__(self) -> int:
        return (self.end - self.start).days + 1

    def __str__(self) -> str:
        return f"{self.start} → {self.end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What somebody asks for. `tables` are target names; empty means every configured table.

    `since_token` is the token of the run that is resumed: partitions whose checkpoint has this
    token or a greater one are done already and are left out. `digest`: compare by digests, not by
    counts alone; `rows`: and, in a plan, count rows by key. `seen`: the plan that this run must
    find, else it stops before it changes anything. `among`: these partitions alone.
    """

    days: DateRange
    tables: tuple[str, ...] = ()
    only: Only = Only.ALL
    allow_shrink: bool = False
    since_token: Token | None = None
    digest: bool = False
    rows: bool = False
    seen: SeenPlan | None = None
    among: frozenset[tuple[str, date]] | None = None

    @property
    def closely(self) -> bool:
        """Whether digests are compared: who takes only what changed must know what did."""
        looked = self.seen is not None and self.seen.closely
        return self.digest or self.rows or looked or self.only is Only.CHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the lease: evidence for people and for the verdict, never the lock itself.

    `process_start` is seconds since boot where the kernel tells, else since the epoch; `since`
    aware UTC. A PID alone is not an identity: it is used again, and means something else in
    another PID namespace or after a reboot.
    """

    user: str
    host: str
    pid: int
    process_start: float
    boot_id: str
    pid_namespace: str
    nonce: str
    since: datetime

    def to_json(self) -> dict[str, Any]:
        """As plain values, fit for `json.dumps`."""
        return asdict(self) | {"since": self.since.isoformat()}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """The holder that `to_json` wrote; facts this version does not know are passed over.

        Raises KeyError or ValueError where a fact is missing or malformed.
        """
        known = {name: facts[name] for name in cls.__dataclass_fields__}
        known["since"] = datetime.fromisoformat(known["since"])
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    `rows_total` is 0 until the source was counted; `eta_s` None until it can be said.
    """

    partitions_done: int = 0
    partitions_total: int = 0
    rows_done: int = 0
    rows_total: int = 0
    rows_per_s: float = 0.0
    eta_s: float | None = None

    @property
    def fraction(self) -> float | None:
        """Share of rows moved, 0 to 1 (of partitions where there are no rows).

        None before the plan.
        """
        if self.rows_total:
            return min(1.0, self.rows_done / self.rows_total)
        if self.partitions_total:
            return self.partitions_done / self.partitions_total
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Why a start was refused: who holds the lease now, since when, how far.

    `holder` and `run_id` are None while another run is just starting and has not written its name
    yet. `reached` is whether a cancel from here reaches it: the store knows it.
    """

    holder: Holder | None = None
    run_id: RunId | None = None
    days: DateRange | None = None
    tables: tuple[str, ...] = ()
    progress: Progress = field(default_factory=Progress)
    verdict: Verdict = Verdict.RUNNING
    yours: bool = False
    reached: bool = True

    def view(self) -> RunView | None:
        """The run that its lock or its target tells of; None without a name."""
        if self.holder is None or self.run_id is None or self.days is None:
            return None
        since = self.holder.since
        return RunView(
            id=self.run_id,
            status=RunStatus.RUNNING,
            days=self.days,
            tables=self.tables,
            only=Only.ALL,
            allow_shrink=False,
            token=None,
            since_token=None,
            holder=self.holder,
            progress=self.progress,
            started_at=since,
            beat_at=since,
            progress_at=since,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionView:
    """One partition of a run as the store knows it.

    `state` and `source_rows` are of the plan, `target_rows` stood in the target then. `digest` is
    of both sides, which were compared before the commit; None where that was not wanted.
    """

    table: str
    day: date
    status: PartitionStatus
    rows: int
    target_rows: int = 0
    seconds: float | None = None
    error: Told | None = None
    state: PlanState | None = None
    source_rows: int | None = None
    committed_at: datetime | None = None
    digest: str | None = None
    digest_kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run as every view sees it. Times are aware UTC; `error` says why it did not succeed.

    While it is queued, `holder` is who asked for it, `started_at` when, and `error` why the last
    try to start it came to nothing.
    """

    id: RunId
    status: RunStatus
    days: DateRange
    tables: tuple[str, ...]
    only: Only
    allow_shrink: bool
    token: Token | None
    since_token: Token | None
    holder: Holder
    progress: Progress
    started_at: datetime
    beat_at: datetime
    progress_at: datetime
    finished_at: datetime | None = None
    cancel: CancelMode | None = None
    error: Told | None = None
    held_back: int = 0
    failed: int = 0
    current: str | None = None

    @property
    def withdrawn(self) -> bool:
        """Whether it was taken out of the queue before its turn."""
        return self.status is RunStatus.CANCELLED and self.token is None

    @property
    def request(self) -> RunRequest:
        """What was asked for."""
        return RunRequest(
            days=self.days,
            tables=self.tables,
            only=self.only,
            allow_shrink=self.allow_shrink,
            since_token=self.since_token,
        )

    @property
    def duration_s(self) -> float:
        """Seconds from start to end, or to the last heartbeat while it goes."""
        return ((self.finished_at or self.beat_at) - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverPlan:
    """What a takeover of a run would do: the verdict on its holder, why, and what breaks.

    A holder whose verdict is `running` is taken over by force only.
    """

    run: RunView
    verdict: Verdict
    evidence: tuple[Told, ...]
    breaks: tuple[Told, ...]
    needs_force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows per second over the interval that ends at `at` (aware UTC)."""

    at: datetime
    rows_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """Something that happened in a run: an event's name and what it says."""

    at: datetime
    event: str
    text: Told
