"""Date range → partitions.

Counted on both sides, compared with the checkpoints, cut into commit groups.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sync.counting import by_table, undated
from sync.databases import days as bounds
from sync.databases.digest import NOTHING, Digest
from sync.model import DateRange, Only, PlanState, Verify
from sync.pairing.changes import will_add
from sync.plan import Plan, PlannedPartition, Undated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.counting import Counting
    from sync.databases.ledger import Ledger
    from sync.databases.ledger_rows import Checkpoint
    from sync.databases.port import Database
    from sync.model import RunRequest
    from sync.pairing.pair import TablePair


UNDONE: Mapping[Only, frozenset[PlanState]] = {
    Only.MISSING: frozenset({PlanState.MISSING, PlanState.NOT_CLOSED}),
    Only.CHANGED: frozenset(
        {
            PlanState.MISSING,
            PlanState.NOT_CLOSED,
            PlanState.CHANGED,
            PlanState.DRIFTED,
            PlanState.HELD_BACK,
        }
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A commit group.

    Neighbouring partitions of one table that share one COPY and one transaction. `shrink_max` is
    the guard for rows that are counted anew; None lets everything through. `verify` is what is
    compared before the commit.
    """

    pair: TablePair
    partitions: tuple[PlannedPartition, ...]
    shrink_max: float | None = None
    verify: Verify = Verify.NONE

    @property
    def rows(self) -> int:
        """Rows that the source has for these days."""
        return sum(partition.source_rows for partition in self.partitions)

    @property
    def days(self) -> DateRange:
        """The days of the group; they are neighbours."""
        return DateRange(self.partitions[0].day, self.partitions[-1].day)

    def singles(self) -> tuple[Group, ...]:
        """The same partitions, each a group of its own."""
        return tuple(replace(self, partitions=(partition,)) for partition in self.partitions)

    def condition(self, database: Database, zone: ZoneInfo) -> str:
        """The days as SQL on the bare date column, so that an index serves it."""
        column = self.pair.date_column if database.role == "source" else self.pair.target_date
        return database.within(column, self.days, zone)


def shrinks(rows: int, standing: int, shrink_max: float) -> bool:
    """Whether `rows` of the source are far fewer than stand in the target."""
    return standing > 0 and (rows == 0 or rows < shrink_max * standing)


def _state(checkpoint: Checkpoint | None, there: Digest, here: Digest, *, kind: str) -> PlanState:
    """What became of a partition since its checkpoint, by counts and, where taken, digests."""
    if checkpoint is None:
        return PlanState.MISSING
    if not checkpoint.day_closed:
        return PlanState.NOT_CLOSED
    if here.value is not None and here == there:
        return PlanState.SAME
    if here.rows != checkpoint.rows or (
        here.value and checkpoint.digest_kind == kind and here.value != checkpoint.digest
    ):
        return PlanState.DRIFTED
    # Whose checkpoint has no digest: with equal counts, it is the source that is believed.
    same = there.value is None and there.rows == checkpoint.rows
    return PlanState.SAME if same else PlanState.CHANGED


def plan_range(
    pairs: Sequence[TablePair],
    request: RunRequest,
    *,
    counting: Counting,
    target: Database,
    writing: Connection,
    ledger: Ledger,
    zone: ZoneInfo,
    shrink_max: float,
) -> Plan:
    """The plan of a request: every partition of its range that it takes."""
    days, tables = request.days, [pair.name for pair in pairs]
    known = ledger.exists(writing)
    checkpoints = ledger.checkpoints(writing, tables=tables, days=days) if known else {}
    standing = [pair for pair in pairs if pair.exists]
    here = by_table(
        standing,
        days,
        target,
        writing,
        zone=zone,
        closely=counting.closely,
        marks=counting.marks,
    )
    nobodys = {pair.name: undated(pair, days, target, writing, zone=zone) for pair in standing}
    there = counting.result()
    closed = {day: bounds.closed(day, zone, there.now) for day in days.days()}
    none = NOTHING if counting.closely else Digest(0)
    partitions = (
        _partition(
            pair,
            day,
            there=there.found[pair.name].get(day, none),
            here=here.get(pair.name, {}).get(day, none),
            checkpoint=checkpoints.get((pair.name, day)),
            shrink_max=shrink_max,
            day_closed=day_closed,
        )
        for pair in pairs
        for day, day_closed in closed.items()
    )
    lost = (
        Undated(
            table=pair.name,
            column=pair.date_column.name,
            source=there.undated[pair.name],
            target=nobodys.get(pair.name, 0),
        )
        for pair in pairs
    )
    return Plan(
        tuple(p for p in partitions if _taken(p, request, checkpoints.get((p.table, p.day)))),
        closely=counting.closely,
        undated=tuple(one for one in lost if one.told),
        warnings=tuple(told for pair in pairs for told in will_add(pair)),
    )


def _partition(
    pair: TablePair,
    day: date,
    *,
    there: Digest,
    here: Digest,
    checkpoint: Checkpoint | None,
    shrink_max: float,
    day_closed: bool,
) -> PlannedPartition:
    """One day of one table: rows on both sides and what became of it since its checkpoint."""
    if checkpoint and (checkpoint.definition != pair.definition or pair.added):
        checkpoint = None
    return PlannedPartition(
        table=pair.name,
        day=day,
        source_rows=there.rows,
        target_rows=here.rows,
        state=PlanState.HELD_BACK
        if shrinks(there.rows, here.rows, shrink_max)
        else _state(checkpoint, there, here, kind=pair.digest_kind),
        day_closed=day_closed,
        source_digest=there.value,
        target_digest=here.value,
    )


def _taken(partition: PlannedPartition, request: RunRequest, checkpoint: Checkpoint | None) -> bool:
    if request.since_token is not None and checkpoint and checkpoint.token >= request.since_token:
        return False
    return request.only not in UNDONE or partition.state in UNDONE[request.only]


def cut_groups(
    plan: Plan,
    pairs: Sequence[TablePair],
    *,
    group_rows: int,
    shrink_max: float | None,
    verify: Verify = Verify.NONE,
) -> list[Group]:
    """The plan's partitions as commit groups of about `group_rows` rows, without those held back.

    A group's days are neighbours, so that one range on the date column fetches them all. Without
    a `shrink_max` nothing is held back.
    """
    by_name = {pair.name: pair for pair in pairs}
    groups: list[list[PlannedPartition]] = []
    rows = 0
    for partition in plan.partitions:
        if partition.state is PlanState.HELD_BACK and shrink_max is not None:
            continue
        rows += partition.source_rows
        if groups and rows <= group_rows and _neighbours(groups[-1][-1], partition):
            groups[-1].append(partition)
        else:
            groups.append([partition])
            rows = partition.source_rows
    return [
        Group(
            pair=by_name[members[0].table],
            partitions=tuple(members),
            shrink_max=shrink_max,
            verify=verify,
        )
        for members in groups
    ]


def _neighbours(one: PlannedPartition, other: PlannedPartition) -> bool:
    return one.table == other.table and one.day + timedelta(days=1) == other.day
