"""Whether source and target hold the same rows, and which differ, reading few rows twice.

    digests of slices of days ──► slices that differ ──► buckets of keys ──► rows, matched by key

Both sides digest all rows of the range in one pass, at once. Slices are so many that each has about
`SLICE_ROWS` rows, by the time of day, so that an index on the date column finds those of a slice
again. One that has far more (of a DATE a day is one slice) is digested once more, by the hash of
its rows' keys. Only rows whose slice and bucket differ are read.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeVar

from sync.counting import by_table
from sync.databases import days as bounds
from sync.databases.digest import NOTHING, Digest, Part, total
from sync.databases.shape import date_class
from sync.differences import Verification, Verified, differences, together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.digest import Digested, Row
    from sync.databases.port import Database
    from sync.databases.shape import Column, Table
    from sync.differences import Difference
    from sync.model import DateRange
    from sync.pairing.pair import TablePair

T = TypeVar("T")
SLICE_ROWS = 1_000
SLICES_MAX = 20_000  # of a table in one statement
BUCKETS_MAX = 1 << 20
AT_ONCE = 8  # buckets, or slices' worth of rows, that are read together
LISTED_MAX = 100  # differences


class BothSides:
    """Source and target over one connection each, asked the same at once; for one `with`."""

    def __init__(
        self, source: tuple[Database, Connection], target: tuple[Database, Connection]
    ) -> None:
        self.source, self.target = source, target
        self._beside = ThreadPoolExecutor(1, "batch-sync-compare")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._beside.shutdown()

    def ask(
        self, pair: TablePair, question: Callable[[Database, Connection], T], nothing: T
    ) -> tuple[T, T]:
        """Both answers; `nothing` where the target lacks the table."""
        there = self._beside.submit(question, *self.source)
        here = question(*self.target) if pair.exists else nothing
        return there.result(), here

    def buckets(
        self, pair: TablePair, span: tuple[date, date], count: int
    ) -> tuple[list[Digest], list[Digest]]:
        """The digests of `count` buckets of keys, of rows from the one to before the other."""

        def digests(database: Database, connection: Connection) -> list[Digest]:
            return database.bucket_digests(connection, part_of(pair, database, span, count))

        return self.ask(pair, digests, [NOTHING] * count)


def bucket_count(rows: int) -> int:
    """So many buckets that each has about `SLICE_ROWS` rows."""
    return min(BUCKETS_MAX, 1 << (rows // SLICE_ROWS).bit_length())


class Verifier:
    """Compares both sides, in one snapshot of each; used once."""

    def __init__(self, sides: BothSides, *, zone: ZoneInfo) -> None:
        self._sides = sides
        self._zone = zone
        self._found = Verification()

    def verify(self, pairs: Sequence[TablePair], days: DateRange) -> Verification:
        """All tables, over these days."""
        for pair in pairs:
            self._verify(pair, days)
        return self._found

    def _verify(self, pair: TablePair, days: DateRange) -> None:
        slices = self._slices(pair, days)
        end = bounds.bound(bounds.after(days.end), date_class(pair.date_column), self._zone)
        edges = [low for _, low in slices] + [end]

        def digests(database: Database, connection: Connection) -> list[Digest]:
            table, column, digested = _of(pair, database)
            return database.digests(connection, table, column, edges, digested)

        there, here = self._sides.ask(pair, digests, [NOTHING] * len(slices))
        wrong = [n for n in range(len(slices)) if there[n] != here[n]]
        self._note(pair, [day for day, _ in slices], there, here)
        listed: list[Difference] = []
        for n in wrong:
            room = LISTED_MAX - len(self._found.differences) - len(listed)
            rows = max(there[n].rows, here[n].rows)
            listed += self._compare(pair, slices[n][0], (edges[n], edges[n + 1]), rows, room)
        self._found.differences += together(pair, listed)

    def _note(
        self,
        pair: TablePair,
        days: Sequence[date],
        there: Sequence[Digest],
        here: Sequence[Digest],
    ) -> None:
        for day in dict.fromkeys(days):
            its = [n for n, other in enumerate(days) if other == day]
            source, target = (total([side[n] for n in its]) for side in (there, here))
            self._found.partitions.append(
                Verified(
                    table=pair.name,
                    day=day,
                    source_rows=source.rows,
                    target_rows=target.rows,
                    same=all(there[n] == here[n] for n in its),
                    source_digest=source.value,
                    target_digest=target.value,
                    digest_kind=pair.digest_kind,
                )
            )

    def _slices(self, pair: TablePair, days: DateRange) -> list[tuple[date, date]]:
        """Each slice's day and first value, so many that each has about `SLICE_ROWS` rows."""

        def count(database: Database, connection: Connection) -> Mapping[date, Digest]:
            found = by_table([pair], days, database, connection, zone=self._zone, closely=False)
            return found[pair.name]

        empty: Mapping[date, Digest] = {}
        counted = self._sides.ask(pair, count, empty)
        rows = {day: max(side.get(day, NOTHING).rows for side in counted) for day in days.days()}
        each = max(SLICE_ROWS, sum(rows.values()) // SLICES_MAX)
        kind = date_class(pair.date_column)
        return [
            (day, low)
            for day, of_day in rows.items()
            for low in bounds.slices(day, kind, self._zone, 1 + of_day // each)
        ]

    def _compare(
        self, pair: TablePair, day: date, span: tuple[date, date], rows: int, room: int
    ) -> list[Difference]:
        """What differs in one slice, at most `room` differences."""
        if room <= 0:
            self._found.complete = False
            return []
        buckets, wrong = 1, [0]
        if rows > AT_ONCE * SLICE_ROWS:
            buckets = bucket_count(rows)
            wrong = self._wrong_buckets(pair, span, buckets)
        none: list[Row] = []
        listed: list[Difference] = []
        while wrong and len(listed) < room:
            now, wrong = tuple(wrong[:AT_ONCE]), wrong[AT_ONCE:]

            def read(
                database: Database, connection: Connection, chosen: tuple[int, ...] = now
            ) -> list[Row]:
                part = part_of(pair, database, span, buckets, chosen)
                return database.rows(connection, part)

            both = self._sides.ask(pair, read, none)
            self._found.read_again += sum(map(len, both))
            listed += differences(pair, day, *both)
        self._found.complete &= not wrong and len(listed) <= room
        return listed[:room]

    def _wrong_buckets(self, pair: TablePair, span: tuple[date, date], buckets: int) -> list[int]:
        """The buckets of one slice whose digests differ."""
        there, here = self._sides.buckets(pair, span, buckets)
        self._found.read_again += sum(digest.rows for digest in (*there, *here))
        return [n for n in range(buckets) if there[n] != here[n]]


def _of(pair: TablePair, database: Database) -> tuple[Table, Column, Digested]:
    digested = pair.digested(database.role)
    if database.role == "source":
        return pair.source, pair.date_column, digested
    return pair.target, pair.target_date, digested


def part_of(
    pair: TablePair,
    database: Database,
    span: tuple[date, date],
    buckets: int,
    chosen: tuple[int, ...] = (),
) -> Part:
    """The rows of one side from the one to before the other, in buckets by their keys."""
    table, column, digested = _of(pair, database)
    key = tuple(entry for entry in digested.entries if entry.column.name in pair.key)
    return Part(
        table=table,
        column=column,
        low=span[0],
        high=span[1],
        digested=digested,
        key=replace(digested, entries=key or digested.entries),
        shown=digested,
        buckets=buckets,
        chosen=chosen,
    )
