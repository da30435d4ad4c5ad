"""Into PostgreSQL: COPY FROM STDIN of what a reader reads ahead."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg2
from sqlalchemy import text

from sync.copying.proving import expect_rows
from sync.copying.reading import BLOCK, SETTLE_S, copy_format, cut, driver_of, let_go, own
from sync.counting import digest_by_day
from sync.databases import days as bounds
from sync.databases.shape import quoted
from sync.databases.stop import end_statements_of
from sync.errors import Cancelled, CommitUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.copying.reading import Reader
    from sync.databases.digest import Digest
    from sync.databases.postgres import PostgresDatabase
    from sync.locking.lease import Lease
    from sync.model import RunId
    from sync.planning import Group

TEMPORARY = "batch_sync_moved"


class PostgresMover:
    """Moves groups into PostgreSQL with one reading and one writing connection."""

    def __init__(
        self, reader: Reader, target: PostgresDatabase, *, run_id: RunId, zone: ZoneInfo
    ) -> None:
        self._reader = reader
        self._target = target
        self._run_id = run_id
        self._zone = zone
        self._writer: Connection | None = None
        self._writer_pid = 0
        self._idle = threading.Event()
        self._digests: Mapping[date, Digest] = {}

    def go_on_with(self, writer: Connection | None) -> None:
        """Take a connection that was opened already."""
        self._writer = writer
        self._writer_pid = driver_of(writer).info.backend_pid if writer is not None else 0

    def writer(self) -> Connection:
        """The target's connection, made anew when the last one broke. Raises ConnectError."""
        if self._writer is None:
            self.go_on_with(self._target.connect(run_id=self._run_id))
        assert self._writer is not None
        return self._writer

    def prefetch(self, group: Group) -> None:
        """Begin to read a group ahead of its turn."""
        self._reader.prefetch(group)

    def delete_days(self, group: Group) -> None:
        """Remove the rows of the group's days from the target."""
        where = group.condition(self._target, self._zone)
        self.writer().exec_driver_sql(f"DELETE FROM {group.pair.target.sql} WHERE {where}")

    def load(self, group: Group) -> Mapping[date, int]:
        """COPY the group's rows into its table; the rows of each day."""
        return self._copy(group, into=group.pair.target.sql)

    def load_moved(self, group: Group) -> tuple[Mapping[date, int], list[date]]:
        """COPY by way of a temporary table; rows of its keys on other days go first."""
        pair, connection = group.pair, self.writer()
        columns = ", ".join(map(quoted, pair.columns))
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {TEMPORARY} ON COMMIT DROP AS"
            f" SELECT {columns} FROM {pair.target.sql} WITH NO DATA"
        )
        rows = self._copy(group, into=f"pg_temp.{TEMPORARY}")
        connection.exec_driver_sql(f"ANALYZE pg_temp.{TEMPORARY}")
        same_key = " AND ".join(f"t.{quoted(name)} = m.{quoted(name)}" for name in pair.key)
        gone = connection.exec_driver_sql(
            f"WITH gone AS (DELETE FROM {pair.target.sql} t USING pg_temp.{TEMPORARY} m"
            f" WHERE {same_key} RETURNING t.{quoted(pair.target_date.name)} AS at)"
            " SELECT DISTINCT at FROM gone WHERE at IS NOT NULL"
        )
        elsewhere = sorted({bounds.day_of(row.at, self._zone) for row in gone})
        connection.exec_driver_sql(
            f"INSERT INTO {pair.target.sql} ({columns}) OVERRIDING SYSTEM VALUE"
            f" SELECT {columns} FROM pg_temp.{TEMPORARY}"
        )
        return rows, elsewhere

    def _copy(self, group: Group, *, into: str) -> Mapping[date, int]:
        pipe = self._reader.take(group)
        columns = ", ".join(map(quoted, group.pair.columns))
        with driver_of(self.writer()).cursor() as cursor:
            try:
                cursor.copy_expert(
                    f"COPY {into} ({columns}) FROM STDIN {copy_format(group)}", pipe, size=BLOCK
                )
            except (psycopg2.Error, SystemError) as error:
                # An error of the reader's side is the cause; the writer's is only its echo.
                if pipe.error:
                    raise pipe.error from None
                if self._reader.stopped:
                    raise Cancelled from None
                raise own(error) from None
            finally:
                # The reader of a COPY that failed must not wait for room for ever.
                pipe.drop()
            expect_rows(group, counted=sum(pipe.counts.values()), copied=cursor.rowcount)
        self._digests = pipe.digests
        return pipe.counts

    def count(self, group: Group) -> int:
        """How many rows the target has on the group's days, as this transaction sees it."""
        where = group.condition(self._target, self._zone)
        count = f"SELECT count(*) FROM {group.pair.target.sql} WHERE {where}"
        return int(self.writer().exec_driver_sql(count).scalar_one())

    def standing(self, group: Group) -> Mapping[date, int]:
        """How many rows the target has on each of the days, as this transaction sees it."""
        pair, writer = group.pair, self.writer()
        return self._target.count_by_day(
            writer, pair.target, pair.target_date, group.days, self._zone, None
        )

    def digests(self, group: Group) -> tuple[Mapping[date, Digest], Mapping[date, Digest]]:
        """In the source, of the group that was loaded last, and in the target."""
        here = digest_by_day(group.pair, group.days, self._target, self.writer(), zone=self._zone)
        return self._digests, here

    def settled(self, group: Group, lease: Lease) -> bool:
        """After a lost answer to COMMIT.

        Whether the group's checkpoints are this run's, once it is certain.
        """
        old_pid = self._writer_pid
        self.reset()
        connection = self.writer()
        self._await_end(connection, old_pid)
        with connection.begin():
            found = lease.ledger.checkpoints(connection, tables=[group.pair.name], days=group.days)
        first = found.get((group.pair.name, group.days.start))
        return first is not None and first.run_id == lease.run_id

    def _await_end(self, connection: Connection, pid: int) -> None:
        # While the old session lives its COMMIT may still come true.
        deadline = time.monotonic() + SETTLE_S
        alive = text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid")
        while time.monotonic() < deadline:
            with connection.begin():
                if connection.scalar(alive, {"pid": pid}) is None:
                    return
            time.sleep(0.05)
        raise CommitUnknown

    def reset(self) -> None:
        """Forget what was read ahead, and the writing connection where it broke."""
        self._reader.drop_ahead()
        if self._writer is not None and (
            self._writer.invalidated or driver_of(self._writer).closed
        ):
            let_go(self._writer)
            self._writer = None

    def interrupt(self) -> None:
        """Make whatever is under way end at once."""
        self._reader.stop()
        connections = [c for c in (self._writer, self._reader.connection) if c is not None]
        end_statements_of(connections, self._idle)

    def cut(self) -> None:
        """Take both connections away, from another thread."""
        self._reader.cut()
        cut(self._writer)

    def close(self) -> None:
        """Let go of both connections."""
        self._reader.end()
        let_go(self._writer)
        self._reader.join()
        self._idle.set()
