"""Date range → partitions.

Counted on both sides, compared with the checkpoints, cut into commit groups.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sync.databases import days as bounds
from sync.databases.shape import date_class
from sync.databases.stop import end_statements_of
from sync.model import DateRange, Only, Plan, PlannedPartition, PlanState, Verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.digest import Digest
    from sync.databases.ledger import Ledger
    from sync.databases.ledger_rows import Checkpoint
    from sync.databases.port import Database
    from sync.model import RunRequest
    from sync.pairing import TablePair

    Counts = Mapping[str, Mapping[date, int]]

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


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows by table and day, where there are any, and when that was by the source's clock."""

    rows: Counts
    now: datetime


def digest_by_day(
    pair: TablePair,
    days: DateRange,
    database: Database,
    connection: Connection,
    *,
    zone: ZoneInfo,
    schema: str | None = None,
) -> dict[date, Digest]:
    """The digest of each day of one side of a table, also of days without rows."""
    source = database.role == "source"
    table, column = (pair.source, pair.date_column) if source else (pair.target, pair.target_date)
    if schema:
        table = replace(table, schema=schema)
    edges = bounds.edges(days, date_class(column), zone)
    found = database.digests(connection, table, column, edges, pair.digested(database.role))
    return dict(zip(days.days(), found, strict=True))


class Counting:
    """The source's rows by day, counted in a thread of its own while other things are done.

    Nobody else uses `reading` until `result` has returned, or `close`.
    """

    def __init__(
        self,
        pairs: Sequence[TablePair],
        days: DateRange,
        *,
        source: Database,
        reading: Connection,
        zone: ZoneInfo,
    ) -> None:
        def count() -> Counted:
            rows = {
                pair.name: source.count_by_day(
                    reading, pair.source, pair.date_column, days, zone, pair.where
                )
                for pair in pairs
            }
            return Counted(rows, source.now(reading))

        self._reading = reading
        self._done = threading.Event()
        beside = ThreadPoolExecutor(1, "batch-sync-count")
        self._counted = beside.submit(count)
        self._counted.add_done_callback(lambda _: self._done.set())
        beside.shutdown(wait=False)

    def result(self) -> Counted:
        """What was counted, once it is; raises what the source raised."""
        return self._counted.result()

    def interrupt(self) -> None:
        """Make it end at once; from any thread."""
        end_statements_of([self._reading], self._done)

    def close(self) -> None:
        """Return when nothing uses `reading` any more."""
        if not self._done.is_set():
            self.interrupt()
            self._done.wait()


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
    here: Counts = {
        pair.name: target.count_by_day(writing, pair.target, pair.target_date, days, zone, None)
        for pair in pairs
        if pair.exists
    }
    there = counting.result()
    partitions = (
        _partition(
            pair,
            day,
            rows=there.rows[pair.name].get(day, 0),
            standing=here.get(pair.name, {}).get(day, 0),
            checkpoint=checkpoints.get((pair.name, day)),
            shrink_max=shrink_max,
            day_closed=bounds.closed(day, zone, there.now),
        )
        for pair in pairs
        for day in days.days()
    )
    return Plan(
        tuple(p for p in partitions if _taken(p, request, checkpoints.get((p.table, p.day))))
    )


def _partition(
    pair: TablePair,
    day: date,
    *,
    rows: int,
    standing: int,
    checkpoint: Checkpoint | None,
    shrink_max: float,
    day_closed: bool,
) -> PlannedPartition:
    """One day of one table: rows on both sides and what became of it since its checkpoint."""
    if checkpoint and checkpoint.definition != pair.definition:
        checkpoint = None
    return PlannedPartition(
        table=pair.name,
        day=day,
        source_rows=rows,
        target_rows=standing,
        state=PlanState.HELD_BACK
        if shrinks(rows, standing, shrink_max)
        else _state(checkpoint, rows, standing),
        day_closed=day_closed,
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
    groups: list[Group] = []

    def close(pair: TablePair, members: list[PlannedPartition]) -> None:
        group = Group(pair=pair, partitions=tuple(members), shrink_max=shrink_max, verify=verify)
        groups.append(group)

    for pair in pairs:
        members: list[PlannedPartition] = []
        for partition in plan.partitions:
            if partition.table != pair.name:
                continue
            if partition.state is PlanState.HELD_BACK and shrink_max is not None:
                continue
            full = sum(p.source_rows for p in members) + partition.source_rows > group_rows
            if members and (full or members[-1].day + timedelta(days=1) != partition.day):
                close(pair, members)
                members = []
            members.append(partition)
        if members:
            close(pair, members)
    return groups
