"""Date range → partitions.

Counted on both sides, compared with the checkpoints, cut into commit groups.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sync.databases import days as bounds
from sync.model import DateRange, Only, Plan, PlannedPartition, PlanState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.ledger import Checkpoint, Ledger
    from sync.databases.port import Database
    from sync.model import RunRequest
    from sync.pairing import TablePair

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
    the guard for rows that are counted anew; None lets everything through.
    """

    pair: TablePair
    partitions: tuple[PlannedPartition, ...]
    shrink_max: float | None = None

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


def plan_table(
    pair: TablePair,
    days: DateRange,
    *,
    source: Database,
    target: Database,
    reading: Connection,
    writing: Connection,
    checkpoints: Mapping[tuple[str, date], Checkpoint],
    zone: ZoneInfo,
    shrink_max: float,
) -> Iterator[PlannedPartition]:
    """Every day of one table: rows on both sides and what became of it since its checkpoint."""
    with ThreadPoolExecutor(1, "batch-sync-count") as beside:
        counting = beside.submit(
            source.count_by_day, reading, pair.source, pair.date_column, days, zone, pair.where
        )
        here = (
            target.count_by_day(writing, pair.target, pair.target_date, days, zone, None)
            if pair.exists
            else {}
        )
        there = counting.result()
    now = source.now(reading)
    for day in days.days():
        rows, standing = there.get(day, 0), here.get(day, 0)
        checkpoint = checkpoints.get((pair.name, day))
        if checkpoint and checkpoint.definition != pair.definition:
            checkpoint = None
        yield PlannedPartition(
            table=pair.name,
            day=day,
            source_rows=rows,
            target_rows=standing,
            state=PlanState.HELD_BACK
            if shrinks(rows, standing, shrink_max)
            else _state(checkpoint, rows, standing),
            day_closed=bounds.closed(day, zone, now),
        )


def shrinks(rows: int, standing: int, shrink_max: float) -> bool:
    """Whether `rows` of the source are far fewer than stand in the target."""
    return standing > 0 and (rows == 0 or rows < shrink_max * standing)


def _state(checkpoint: Checkpoint | None, rows: int, standing: int) -> PlanState:
    if checkpoint is None:
        return PlanState.MISSING
    if not checkpoint.day_closed:
        return PlanState.NOT_CLOSED
    if standing != checkpoint.rows:
        return PlanState.DRIFTED
    return PlanState.SAME if rows == checkpoint.rows else PlanState.CHANGED


def plan_range(
    pairs: Sequence[TablePair],
    request: RunRequest,
    *,
    source: Database,
    target: Database,
    reading: Connection,
    writing: Connection,
    ledger: Ledger,
    zone: ZoneInfo,
    shrink_max: float,
) -> Plan:
    """The plan of a request: every partition of its range that it takes."""
    tables = [pair.name for pair in pairs]
    known = ledger.exists(writing)
    checkpoints = ledger.checkpoints(writing, tables=tables, days=request.days) if known else {}
    partitions = (
        partition
        for pair in pairs
        for partition in plan_table(
            pair,
            request.days,
            source=source,
            target=target,
            reading=reading,
            writing=writing,
            checkpoints=checkpoints,
            zone=zone,
            shrink_max=shrink_max,
        )
    )
    return Plan(
        tuple(p for p in partitions if _taken(p, request, checkpoints.get((p.table, p.day))))
    )


def _taken(partition: PlannedPartition, request: RunRequest, checkpoint: Checkpoint | None) -> bool:
    if request.since_token is not None and checkpoint and checkpoint.token >= request.since_token:
        return False
    return request.only not in UNDONE or partition.state in UNDONE[request.only]


def cut_groups(
    plan: Plan, pairs: Sequence[TablePair], *, group_rows: int, shrink_max: float | None
) -> list[Group]:
    """The plan's partitions as commit groups of about `group_rows` rows, without those held back.

    A group's days are neighbours, so that one range on the date column fetches them all. Without
    a `shrink_max` nothing is held back.
    """
    groups: list[Group] = []
    for pair in pairs:
        members: list[PlannedPartition] = []
        for partition in plan.partitions:
            if partition.table != pair.name:
                continue
            if partition.state is PlanState.HELD_BACK and shrink_max is not None:
                continue
            full = sum(p.source_rows for p in members) + partition.source_rows > group_rows
            if members and (full or members[-1].day + timedelta(days=1) != partition.day):
                groups.append(Group(pair=pair, partitions=tuple(members), shrink_max=shrink_max))
                members = []
            members.append(partition)
        if members:
            groups.append(Group(pair=pair, partitions=tuple(members), shrink_max=shrink_max))
    return groups
