"""How many rows stand on each day of either side, and their digests where these are wanted."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from sync.databases import days as bounds
from sync.databases.digest import Digest
from sync.databases.shape import date_class
from sync.databases.stop import end_statements_of
from sync.recalling import Spans, digests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.port import Database
    from sync.model import DateRange
    from sync.pairing.pair import TablePair
    from sync.store import StoredMarks

Found = Mapping[str, Mapping[date, Digest]]


def by_table(
    pairs: Sequence[TablePair],
    days: DateRange,
    database: Database,
    connection: Connection,
    *,
    zone: ZoneInfo,
    closely: bool,
    marks: StoredMarks | None = None,
) -> Found:
    """Rows of one side by table and day; with their digests if `closely`.

    Those of rows whose `marks` tell that they were not touched are not read again.
    """

    def by_day(pair: TablePair) -> dict[date, Digest]:
        # What lacks a column has no digest, and is not the same whatever it would be.
        if closely and not (pair.added and database.role == "target"):
            return digest_by_day(pair, days, database, connection, zone=zone, marks=marks)
        return _count_by_day(pair, days, database, connection, zone=zone)

    return {pair.name: by_day(pair) for pair in pairs}


def digest_by_day(
    pair: TablePair,
    days: DateRange,
    database: Database,
    connection: Connection,
    *,
    zone: ZoneInfo,
    schema: str | None = None,
    marks: StoredMarks | None = None,
) -> dict[date, Digest]:
    """The digest of each day of one side, also of days without rows; `schema` if not its own."""
    source = database.role == "source"
    table, column = (pair.source, pair.date_column) if source else (pair.target, pair.target_date)
    if schema:
        table = replace(table, schema=schema)
    edges = bounds.edges(days, date_class(column), zone)
    spans = Spans(table=table, column=column, edges=edges, digested=pair.digested(database.role))
    found = digests(spans, database, connection, marks)
    return dict(zip(days.days(), found, strict=True))


def _count_by_day(
    pair: TablePair,
    days: DateRange,
    database: Database,
    connection: Connection,
    *,
    zone: ZoneInfo,
) -> dict[date, Digest]:
    counted = (
        database.count_by_day(connection, pair.source, pair.date_column, days, zone, pair.where)
        if database.role == "source"
        else database.count_by_day(connection, pair.target, pair.target_date, days, zone, None)
    )
    return {day: Digest(rows) for day, rows in counted.items()}


def undated(
    pair: TablePair,
    days: DateRange,
    database: Database,
    connection: Connection,
    *,
    zone: ZoneInfo,
) -> int:
    """Rows of one side that are in no day; by index scans where there is an index."""
    source = database.role == "source"
    table, column = (pair.source, pair.date_column) if source else (pair.target, pair.target_date)
    where = f" AND ({pair.where})" if source and pair.where else ""
    condition = database.undated(column, days, zone)
    counted = connection.exec_driver_sql(
        f"SELECT count(*) FROM {table.sql} WHERE ({condition}){where}"
    )
    return int(counted.scalar_one())


@dataclass(frozen=True, slots=True)
class Counted:
    """What the source has by table and day, and when that was by the source's clock.

    `undated` are the rows of each table that are in no day.
    """

    found: Found
    now: datetime
    undated: Mapping[str, int]


class Counting:
    """The source's rows by day, counted in a thread of its own while other things are done.

    With their digests if `closely`, by `marks` where these stand. Nobody else uses `reading` until
    `result` has returned, or `close`.
    """

    def __init__(
        self,
        pairs: Sequence[TablePair],
        days: DateRange,
        *,
        source: Database,
        reading: Connection,
        zone: ZoneInfo,
        closely: bool = False,
        marks: StoredMarks | None = None,
    ) -> None:
        def count() -> Counted:
            found = by_table(pairs, days, source, reading, zone=zone, closely=closely, marks=marks)
            lost = {pair.name: undated(pair, days, source, reading, zone=zone) for pair in pairs}
            return Counted(found, source.now(reading), lost)

        self.closely = closely
        self.marks = marks
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
