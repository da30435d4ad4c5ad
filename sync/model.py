"""The words of Batch Sync as values: run, partition, holder, progress, verdict, conflict, told.

Statuses move only along these arrows; every writer asks `MOVES` or `PARTITION_MOVES`:

    run        queued -> running -> succeeded | failed | cancelled | interrupted
    partition  pending -> copying -> done | unchanged | held_back | failed
               (failed and copying go back to pending when a group is tried again)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NewType, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sync.plan import SeenPlan

RunId = NewType("RunId", str)
Token = NewType("Token", int)

ENDS = (".", "!", "?", "。", "！", "？")  # what a sentence ends with


@dataclass(frozen=True, slots=True, init=False)
class Told:
    """What people are told: a sentence, how to mend it, and the facts of both.

    `template` and `hint` are English and the keys of their translations: mark them by `N_`. Facts
    are plain JSON values or told themselves; anything else becomes its text. What is told has no
    language until somebody reads it; `str` is English.
    """

    template: str
    hint: str
    facts: Mapping[str, Any] = field(hash=False)

    def __init__(self, template: str, /, *, hint: str = "", **facts: object) -> None:
        plain = {
            name: fact if isinstance(fact, str | int | float | Told) else str(fact)
            for name, fact in facts.items()
        }
        for name, value in (("template", template), ("hint", hint), ("facts", plain)):
            object.__setattr__(self, name, value)

    def sentence(self, gettext: Callable[[str], str] = str) -> str:
        """What is the case; `gettext` translates."""
        facts = self._facts(gettext)
        # A word of ours; in a hint it is the name of a section of the settings.
        if role := facts.get("role"):
            facts["role"] = gettext(role)
        return gettext(self.template).format_map(facts)

    def advice(self, gettext: Callable[[str], str] = str) -> str:
        """How to mend it; may be empty."""
        return gettext(self.hint).format_map(self._facts(gettext)) if self.hint else ""

    def words(self, gettext: Callable[[str], str] = str) -> str:
        """Both, one after the other."""
        sentence, hint = self.sentence(gettext), self.advice(gettext)
        if not hint:
            return sentence
        # A reason in a database's own words ends without a full stop.
        ended = sentence.endswith(ENDS)
        both = gettext("{sentence} {hint}") if ended else gettext("{sentence}. {hint}")
        return both.format(sentence=sentence, hint=hint)

    def __str__(self) -> str:
        return self.words()

    def _facts(self, gettext: Callable[[str], str]) -> dict[str, Any]:
        facts = {
            name: fact.words(gettext) if isinstance(fact, Told) else fact
            for name, fact in self.facts.items()
        }
        # A fact that is missing must not hide the sentence behind an error of ours.
        return defaultdict(lambda: "?", facts)

    def to_json(self) -> dict[str, Any]:
        """As plain values, fit for `json.dumps`."""
        facts = {
            name: fact.to_json() if isinstance(fact, Told) else fact
            for name, fact in self.facts.items()
        }
        return {"template": self.template, "hint": self.hint, "facts": facts}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """What `to_json` wrote. Raises KeyError where a part is missing."""
        facts = {
            name: cls.from_json(fact) if isinstance(fact, dict) else fact
            for name, fact in told["facts"].items()
        }
        return cls(told["template"], hint=told["hint"], **facts)


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
    RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED}),
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
    counts alone. `seen`: the plan that this run must find, else it stops before it changes
    anything.
    """

    days: DateRange
    tables: tuple[str, ...] = ()
    only: Only = Only.ALL
    allow_shrink: bool = False
    since_token: Token | None = None
    digest: bool = False
    seen: SeenPlan | None = None

    @property
    def closely(self) -> bool:
        """Whether digests are compared: who takes only what changed must know what did."""
        looked = self.seen is not None and self.seen.closely
        return self.digest or looked or self.only is Only.CHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the lease: evidence for people and for the verdict, never the lock itself.

    `process_start` is seconds since the epoch, `since` aware UTC. A PID alone is not an identity:
    it is used again, and means something else in another PID namespace or after a reboot.
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
    yet.
    """

    holder: Holder | None = None
    run_id: RunId | None = None
    days: DateRange | None = None
    tables: tuple[str, ...] = ()
    progress: Progress = field(default_factory=Progress)
    verdict: Verdict = Verdict.RUNNING
    yours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionView:
    """One partition of a run as the store knows it."""

    table: str
    day: date
    status: PartitionStatus
    rows: int
    target_rows: int = 0
    seconds: float | None = None
    error: Told | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run as every view sees it. Times are aware UTC; `error` says why it did not succeed."""

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
