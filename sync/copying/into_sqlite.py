"""Into an SQLite file: the target's half of a mover, whatever the rows come from."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from sync.copying.copy_text import rows_of
from sync.copying.proving import expect_rows
from sync.copying.reading import driver_of, let_go
from sync.counting import digest_by_day
from sync.databases.failures import DRIVER_ERRORS
from sync.databases.shape import quoted
from sync.databases.sqlite_days import day_of
from sync.databases.stop import end_statements_of
from sync.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.copying.reading import Reader
    from sync.databases.digest import Digest
    from sync.databases.sqlite import SqliteDatabase
    from sync.locking.lease import Lease
    from sync.planning import Group

TEMPORARY = 'temp."batch_sync_moved"'
STEPS = 100_000  # of SQLite's machine between two looks at whether to stop


class IntoSqlite(ABC):
    """Writes groups with one connection; where the rows come from is `_fill`'s business."""

    def __init__(self, target: SqliteDatabase, *, zone: ZoneInfo) -> None:
        self._target = target
        self._zone = zone
        self._writer: Connection | None = None
        self._stopped = False

    def writer(self) -> Connection:
        """The target's connection."""
        if self._writer is None:
            self.go_on_with(self._target.connect())
        assert self._writer is not None
        return self._writer

    def go_on_with(self, writer: Connection | None) -> None:
        """Take a connection that was opened already."""
        self._writer = writer
        if writer is not None:
            driver_of(writer).set_progress_handler(lambda: int(self._stopped), STEPS)

    def delete_days(self, group: Group) -> None:
        """Remove the rows of the group's days from the target."""
        where = group.condition(self._target, self._zone)
        self.writer().exec_driver_sql(f"DELETE FROM {sql_of(group)} WHERE {where}")

    def load(self, group: Group) -> Mapping[date, int]:
        """Insert the group's rows; the rows of each day."""
        return self._fill(group, into=sql_of(group))

    def load_moved(self, group: Group) -> tuple[Mapping[date, int], list[date]]:
        """As `load` by way of a temporary table; rows of its keys on other days go first."""
        pair, writer = group.pair, self.writer()
        columns, key = ", ".join(map(quoted, pair.columns)), ", ".join(map(quoted, pair.key))
        writer.exec_driver_sql(f"DROP TABLE IF EXISTS {TEMPORARY}")
        writer.exec_driver_sql(
            f"CREATE TEMPORARY TABLE batch_sync_moved AS"
            f" SELECT {columns} FROM {sql_of(group)} LIMIT 0"
        )
        rows = self._fill(group, into=TEMPORARY)
        moved = f"FROM {sql_of(group)} WHERE ({key}) IN (SELECT {key} FROM {TEMPORARY})"
        found = writer.exec_driver_sql(
            f"SELECT DISTINCT {quoted(pair.target_date.name)} {moved}"
        ).scalars()
        elsewhere = sorted(
            {
                day
                for value in found
                if (day := day_of(value, pair.target_date.date_class, self._zone))
            }
        )
        writer.exec_driver_sql(f"DELETE {moved}")
        writer.exec_driver_sql(
            f"INSERT INTO {sql_of(group)} ({columns}) SELECT {columns} FROM {TEMPORARY}"
        )
        return rows, elsewhere

    @abstractmethod
    def _fill(self, group: Group, *, into: str) -> Mapping[date, int]:
        """Insert the group's rows; the rows of each day."""

    def count(self, group: Group) -> int:
        """How many rows the target has on the group's days, as this transaction sees it."""
        where = group.condition(self._target, self._zone)
        count = f"SELECT count(*) FROM main.{group.pair.target.sql} WHERE {where}"
        return int(self.writer().exec_driver_sql(count).scalar_one())

    def standing(self, group: Group) -> Mapping[date, int]:
        """How many rows the target has on each of the days, as this transaction sees it."""
        table = replace(group.pair.target, schema="main")
        return self._target.count_by_day(
            self.writer(), table, group.pair.target_date, group.days, self._zone, None
        )

    def settled(self, group: Group, lease: Lease) -> bool:
        """A commit of this process's own library: its answer is never lost."""
        del group, lease
        return False

    def reset(self) -> None:
        """Forget a connection that could not roll back: whoever opens the file next does."""
        if self._writer is not None and self._writer.get_transaction() is not None:
            let_go(self._writer)
            self._writer = None

    def interrupt(self) -> None:
        """Make the statement under way end at once: SQLite looks at `_stopped` as it goes."""
        self._stopped = True

    def close(self) -> None:
        """Let go of the connection."""
        let_go(self._writer)


class SqliteMover(IntoSqlite):
    """Moves groups of what a reader reads ahead."""

    def __init__(self, target: SqliteDatabase, *, zone: ZoneInfo, reader: Reader) -> None:
        super().__init__(target, zone=zone)
        self._reader = reader
        self._idle = threading.Event()
        self._digests: Mapping[date, Digest] = {}

    def prefetch(self, group: Group) -> None:
        """Begin to read a group ahead of its turn."""
        self._reader.prefetch(group)

    def _fill(self, group: Group, *, into: str) -> Mapping[date, int]:
        pair, pipe = group.pair, self._reader.take(group)
        columns, places = ", ".join(map(quoted, pair.columns)), ", ".join("?" * len(pair.columns))
        driver, copied = driver_of(self.writer()), 0
        insert = f"INSERT INTO {into} ({columns}) VALUES ({places})"
        try:
            for rows in rows_of(pipe, [there for there, _ in pair.both_columns]):
                copied += driver.executemany(insert, rows).rowcount
        except DRIVER_ERRORS:
            if self._stopped:
                raise Cancelled from None
            raise
        finally:
            # The reader of a group that failed must not wait for room for ever.
            pipe.drop()
        expect_rows(group, counted=sum(pipe.counts.values()), copied=copied)
        self._digests = pipe.digests
        return pipe.counts

    def digests(self, group: Group) -> tuple[Mapping[date, Digest], Mapping[date, Digest]]:
        """In the source, of the group that was loaded last, and in the target."""
        here = digest_by_day(group.pair, group.days, self._target, self.writer(), zone=self._zone)
        return self._digests, here

    def reset(self) -> None:
        """Forget what was read ahead, and a connection that could not roll back."""
        self._reader.drop_ahead()
        super().reset()

    def interrupt(self) -> None:
        """Make whatever is under way end at once."""
        super().interrupt()
        self._reader.stop()
        if self._reader.connection is not None:
            end_statements_of([self._reader.connection], self._idle)

    def cut(self) -> None:
        """Take both connections away: that ends an open transaction, which has the write lock."""
        super().interrupt()
        self._reader.cut()
        super().close()

    def close(self) -> None:
        """Let go of both connections."""
        self._reader.end()
        super().close()
        self._reader.join()
        self._idle.set()


def sql_of(group: Group) -> str:
    """The target's table, whatever else is attached."""
    return replace(group.pair.target, schema="main").sql
