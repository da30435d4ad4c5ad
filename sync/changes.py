"""How many rows of each partition a run would insert, update and delete, by key.

    partitions whose digests differ ──► buckets of keys that differ ──► their rows

A partition that is the same costs nothing more than its digest, and one that stands on one side
alone its count. Of what is read, a row is its key and its hash, some ten thousand rows at a time.
Of the keys that stand in the target alone, some are looked up in the source: their rows may have
moved to a day outside the range, and would be gone until that one is synced, too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sync.databases import days as bounds
from sync.databases.shape import date_class
from sync.model import DateRange
from sync.plan import Changes, MovedAway
from sync.verifying import BothSides, bucket_count, part_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.digest import Row
    from sync.databases.port import Database
    from sync.pairing.pair import TablePair
    from sync.plan import Plan, PlannedPartition

    Key = tuple[str | None, ...]
    Span = tuple[date, date]

ROWS_AT_ONCE = 8_000  # of a partition that is read whole
BUCKETS_AT_ONCE = 100
LOOKED_UP_MAX = 2_000  # keys of a table


def with_changes(
    plan: Plan,
    pairs: Sequence[TablePair],
    days: DateRange,
    sides: BothSides,
    *,
    zone: ZoneInfo,
) -> Plan:
    """A plan that was made by digests, with `changes` in each partition, and with `moved`."""
    counters = {pair.name: _Counter(_by_keys_alone(pair), sides, zone) for pair in pairs}
    counted = tuple(replace(p, changes=counters[p.table].count(p)) for p in plan.partitions)
    moved = [one for counter in counters.values() for one in counter.moved(days)]
    return replace(plan, partitions=counted, by_key=True, moved=tuple(moved))


@dataclass(slots=True)
class _Counter:
    """Counts the rows of one table; `gone` are keys to look up, `left_out` tells of more."""

    pair: TablePair
    sides: BothSides
    zone: ZoneInfo
    gone: list[Key] = field(default_factory=list)
    left_out: bool = False

    def count(self, partition: PlannedPartition) -> Changes:
        there, here = partition.source_rows, partition.target_rows
        if partition.source_digest == partition.target_digest and there == here:
            return Changes()
        if not here:
            return Changes(inserts=there)
        kind = date_class(self.pair.date_column)
        low, high = bounds.edges(DateRange(partition.day, partition.day), kind, self.zone)
        if not there:
            self._sample((low, high), here)
            return Changes(deletes=here)
        if not self.pair.added:
            return self._compare((low, high), max(there, here))
        # No row of the target has the columns that the run is to add.
        if not self.pair.key:
            return Changes(inserts=there, deletes=here)
        found = self._compare((low, high), max(there, here))
        return replace(found, updates=there - found.inserts)

    def _compare(self, span: Span, rows: int) -> Changes:
        buckets, wrong = 1, [0]
        if rows > ROWS_AT_ONCE:
            buckets = bucket_count(rows)
            both = self.sides.buckets(self.pair, span, buckets)
            wrong = [n for n, (there, here) in enumerate(zip(*both, strict=True)) if there != here]
        found: Counter[str] = Counter()
        for first in range(0, len(wrong), BUCKETS_AT_ONCE):
            chosen = tuple(wrong[first : first + BUCKETS_AT_ONCE])

            def read(
                database: Database, connection: Connection, chosen: tuple[int, ...] = chosen
            ) -> list[Row]:
                return self._rows(database, connection, span, buckets, chosen)

            nothing: list[Row] = []
            self._match(found, *self.sides.ask(self.pair, read, nothing))
        return Changes(**found)

    def _rows(
        self,
        database: Database,
        connection: Connection,
        span: Span,
        buckets: int,
        chosen: tuple[int, ...],
    ) -> list[Row]:
        """The hashes and keys of the rows of some buckets; hashes alone where there is no key."""
        part = part_of(self.pair, database, span, buckets, chosen)
        keyed = part.key if self.pair.key else replace(part.key, entries=())
        return database.rows(connection, replace(part, shown=keyed))

    def _match(self, found: Counter[str], there: list[Row], here: list[Row]) -> None:
        """Add what differs; of rows of one key, the differing ones of either side are paired."""
        by_key: dict[Key, list[int]] = {}
        for n, rows in enumerate((_less(there, here), _less(here, there))):
            for row, count in rows.items():
                by_key.setdefault(row[1:] or row, [0, 0])[n] += count
        for key, (lacking, extra) in by_key.items():
            both = min(lacking, extra)
            found["inserts"] += lacking - both
            found["updates"] += both
            found["deletes"] += extra - both
            if not lacking:
                self._look_up(key)

    def _sample(self, span: Span, rows: int) -> None:
        """Look up keys of a day that has rows in the target alone: as many as there is room for."""
        room = LOOKED_UP_MAX - len(self.gone)
        if not room or not self._known_by_key():
            self.left_out = True
            return
        buckets = 1 << (rows // room).bit_length() if rows > room else 1
        self.left_out |= buckets > 1
        for row in self._rows(*self.sides.target, span, buckets, (0,)):
            self._look_up(row[1:])

    def _look_up(self, key: Key) -> None:
        if len(self.gone) < LOOKED_UP_MAX:
            self.gone.append(key)
        else:
            self.left_out = True

    def _known_by_key(self) -> bool:
        """Whether the source finds rows by this very key, in the form that the target shows."""
        pair, source = self.pair, self.pair.source
        columns = ((source.column(name), pair.target.column(name)) for name in pair.key)
        alike = all(there and here and there.type == here.type for there, here in columns)
        unique = {frozenset(source.key), *source.unique}
        # SQLite compares a text with a column of any type.
        alike |= self.sides.source[0].kind == "sqlite"
        return alike and frozenset(pair.key) in unique - {frozenset()}

    def moved(self, days: DateRange) -> Iterable[MovedAway]:
        """Where the keys that were looked up stand in the source, outside the range."""
        if not self.gone or not self._known_by_key():
            return
        pair, (source, reading) = self.pair, self.sides.source
        found = source.days_of(
            reading,
            pair.source,
            pair.date_column,
            [column for name in pair.key if (column := pair.source.column(name))],
            self.gone,
            self.zone,
            pair.where,
        )
        outside = Counter(day for day in found if day is None or not days.start <= day <= days.end)
        for day, rows in sorted(outside.items(), key=lambda one: str(one[0])):
            yield MovedAway(table=pair.name, day=day, rows=rows, more=self.left_out)


def _by_keys_alone(pair: TablePair) -> TablePair:
    """The pair; one whose target is to get columns as far as its rows can be compared without."""
    if not pair.added:
        return pair
    key = () if {column.name for column in pair.added} & set(pair.key) else pair.key
    return replace(pair, columns=key, key=key)


def _less(rows: list[Row], others: list[Row]) -> Mapping[Row, int]:
    """How often each row stands among the one more than among the others."""
    different = set(rows)
    if len(different) == len(rows):
        return dict.fromkeys(different.difference(others), 1)
    return Counter(rows) - Counter(others)
