"""The plan: what a run would do before it does it, and whether it is still what somebody saw."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

from sync.errors import N_, PlanChanged
from sync.model import PlanState
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

CLOSELY, BY_COUNTS = "d", "c"  # a plan's hash begins with one of them
SHOWN = 5  # partitions that are named where a plan has changed
NOW = N_(
    "now the same: {same}, missing: {missing}, changed: {changed}, drifted: {drifted},"
    " not over: {not_closed}, held back: {held_back}"
)

Facts = tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Rows by their key: in the source alone, on both sides but different, in the target alone."""

    inserts: int = 0
    updates: int = 0
    deletes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Undated:
    """Rows of a table whose date is in no day: nobody copies these, nobody deletes those."""

    table: str
    column: str
    source: int
    target: int

    @property
    def told(self) -> tuple[Told, ...]:
        """A sentence for each side that has any."""
        facts = {"table": self.table, "column": self.column}
        there, here = (
            N_("Rows of {table} in no day by {column}, which are never copied: {count:,}."),
            N_("Rows of {table} in the target in no day by {column}; they stay: {count:,}."),
        )
        sides = ((there, self.source), (here, self.target))
        return tuple(Told(text, count=count, **facts) for text, count in sides if count)


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedAway:
    """Rows that a run takes from days of its range, for the source has them on `day` outside it.

    There are `more` than were looked for. Without a `day` they have none in the source any more.
    """

    table: str
    day: date | None
    rows: int
    more: bool = False

    @property
    def told(self) -> Told:
        """What becomes of them."""
        if self.day is None:
            text = N_("Rows of {table} that have no day any more, and will be gone: {rows}.")
        else:
            text = N_(
                "Rows of {table} that moved to {day}, outside this range, and will be gone until"
                " that day is synced: {rows}."
            )
        least = Told(N_("at least {rows:,}") if self.more else N_("{rows:,}"), rows=self.rows)
        return Told(text, table=self.table, day=self.day, rows=least)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPartition:
    """One table on one day in a plan. `target_rows` stand there now.

    `changes` where rows were counted by key.
    """

    table: str
    day: date
    source_rows: int
    target_rows: int
    state: PlanState
    day_closed: bool
    source_digest: str | None = None
    target_digest: str | None = None
    changes: Changes | None = None

    @property
    def facts(self) -> Facts:
        """What must be the same for the plan to be the same."""
        digests = (self.source_digest, self.target_digest)
        return (self.state.value, self.source_rows, self.target_rows, *digests)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do before it does it.

    `closely`: digests were compared. `by_key`: rows were counted by key. `estimate_s`: how long a
    run of it may take at the least and at the most; None where nothing tells. `warnings`: what a
    run of it does beside.
    """

    partitions: tuple[PlannedPartition, ...]
    closely: bool = False
    by_key: bool = False
    undated: tuple[Undated, ...] = ()
    moved: tuple[MovedAway, ...] = ()
    estimate_s: tuple[float, float] | None = None
    warnings: tuple[Told, ...] = ()

    @property
    def hash(self) -> str:
        """One text for this plan; another plan has another. Its first letter tells `closely`."""
        facts = sorted((p.table, p.day.isoformat(), p.facts) for p in self.partitions)
        found = hashlib.sha256(repr(facts).encode()).hexdigest()
        return (CLOSELY if self.closely else BY_COUNTS) + found[:15]

    def among(self, wanted: frozenset[tuple[str, date]]) -> Plan:
        """The same plan of these partitions alone."""
        kept = (p for p in self.partitions if (p.table, p.day) in wanted)
        return replace(self, partitions=tuple(kept))

    @property
    def states(self) -> dict[str, int]:
        """How many partitions are in each state."""
        counts = {state.value: 0 for state in PlanState}
        for partition in self.partitions:
            counts[partition.state.value] += 1
        return counts

    @property
    def totals(self) -> dict[str, int]:
        """Partitions, rows of both sides, and how many partitions are in each state."""
        return {
            "partitions": len(self.partitions),
            "source_rows": sum(p.source_rows for p in self.partitions),
            "target_rows": sum(p.target_rows for p in self.partitions),
            **self.states,
            **(
                {
                    field.name: sum(
                        getattr(p.changes, field.name) for p in self.partitions if p.changes
                    )
                    for field in fields(Changes)
                }
                if self.by_key
                else {}
            ),
        }


@dataclass(frozen=True, slots=True)
class SeenPlan:
    """The hash of a plan that somebody saw, and its partitions' facts where he has them still."""

    hash: str
    facts: Mapping[tuple[str, date], Facts] | None = None

    @property
    def closely(self) -> bool:
        """Whether digests were compared for it."""
        return self.hash.startswith(CLOSELY)

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """What somebody saw who saw `plan`."""
        return cls(plan.hash, {(p.table, p.day): p.facts for p in plan.partitions})

    def differences(self, plan: Plan) -> list[tuple[str, date]]:
        """The partitions of which the two say something else; none where it is not known."""
        now = SeenPlan.of(plan).facts or {}
        before = now if self.facts is None else self.facts
        return sorted(key for key in {*now, *before} if now.get(key) != before.get(key))


def refuse_other(plan: Plan, seen: SeenPlan | None) -> None:
    """Raise PlanChanged unless `plan` is the one that somebody saw and said yes to."""
    if seen is None or seen.hash == plan.hash:
        return
    other = seen.differences(plan)
    which = ", ".join(f"{table} {day}" for table, day in other[:SHOWN])
    states: dict[str, Any] = dict(plan.states)
    what = (
        Told(N_("differing are {which}; {count} in all"), count=len(other), which=which)
        if which
        else Told(NOW, **states)
    )
    raise PlanChanged(seen=seen.hash, now=plan.hash, what=what)
