"""PostgreSQL → PostgreSQL: COPY TO STDOUT into COPY FROM STDIN through a bounded queue.

    reader thread                     bounded queue            the run's thread
    COPY (SELECT …) TO STDOUT  ──►  BufferedWriter ──► Pipe  ──►  COPY … FROM STDIN

The reader runs one group ahead. No row is ever a Python object: libpq hands its lines to a C
buffer, and only whole blocks pass through Python. Memory is bounded by two pipes, however many rows
there are.
"""

from __future__ import annotations

import io
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy import text

from sync.copying.pipe import Pipe
from sync.copying.proving import expect_rows
from sync.counting import digest_by_day
from sync.databases import days as bounds
from sync.databases.failures import DRIVER_ERRORS, Failure, failure
from sync.databases.postgres_types import read_as
from sync.databases.shape import quoted
from sync.databases.stop import end_statements_of, shut_down
from sync.errors import Cancelled, CommitUnknown, SourceLost
from sync.model import Verify

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.copying.group import Mover
    from sync.databases.digest import Digest
    from sync.databases.postgres import PostgresDatabase
    from sync.locking.lease import Lease
    from sync.model import RunId
    from sync.planning import Group

BLOCK = 1 << 17  # bytes that pass through Python at once
SETTLE_S = 30.0
TEMPORARY = "batch_sync_moved"


class StreamWay:
    """The way of one run between two PostgreSQL databases.

    Every reader shares one exported snapshot.
    """

    parallel_max = 32

    def __init__(
        self,
        source: PostgresDatabase,
        target: PostgresDatabase,
        *,
        run_id: RunId,
        zone: ZoneInfo,
        snapshot: bool,
    ) -> None:
        self._source = source
        self._target = target
        self._run_id = run_id
        self._zone = zone
        self._snapshot = snapshot
        self._exported: str | None = None
        self._reader: Connection | None = None
        self._writer: Connection | None = None
        self._movers: list[StreamMover] = []

    def open(self) -> tuple[Connection, Connection]:
        """Both at once: each waits for another server."""
        with ThreadPoolExecutor(1, "batch-sync-connect") as beside:
            reading = beside.submit(self.read)
            writing = self.write()
            return reading.result(), writing

    def read(self) -> Connection:
        """The connection to count on; it holds the snapshot open until the run's end."""
        if self._reader is None:
            self._reader = self._source.connect(run_id=self._run_id)
            if self._snapshot:
                self._exported = self._reader.scalar(text("SELECT pg_export_snapshot()"))
        return self._reader

    def write(self) -> Connection:
        """The target's connection to plan on."""
        if self._writer is None:
            self._writer = self._target.connect(run_id=self._run_id)
        return self._writer

    def mover(self) -> Mover:
        """A mover with connections of its own; the first one goes on with those of the plan."""
        mover = StreamMover(
            self._source,
            self._target,
            run_id=self._run_id,
            zone=self._zone,
            snapshot=self._exported,
            reader=self._reader,
            writer=self._writer,
        )
        self._reader = self._writer = None
        self._movers.append(mover)
        return mover

    def cut(self) -> None:
        """Shut the socket of every connection down: who waits on one gets an error at once."""
        for mover in self._movers:
            mover.cut()
        for connection in (self._reader, self._writer):
            _cut(connection)

    def close(self) -> None:
        """Let go of what no mover has."""
        for connection in (self._reader, self._writer):
            _let_go(connection)


class StreamMover:
    """Moves groups with one reading and one writing connection."""

    def __init__(
        self,
        source: PostgresDatabase,
        target: PostgresDatabase,
        *,
        run_id: RunId,
        zone: ZoneInfo,
        snapshot: str | None,
        reader: Connection | None,
        writer: Connection | None,
    ) -> None:
        self._source = source
        self._target = target
        self._run_id = run_id
        self._zone = zone
        self._snapshot = snapshot
        self._writer = writer
        self._writer_pid = _driver(writer).info.backend_pid if writer is not None else 0
        self._reader = reader
        self._ahead: list[Pipe] = []
        self._wanted: queue.SimpleQueue[Pipe | None] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._digests: Mapping[date, Digest] = {}
        self._stopped = False
        self._thread = threading.Thread(
            target=self._read_all, name="batch-sync-reader", daemon=True
        )
        self._thread.start()

    def writer(self) -> Connection:
        """The target's connection, made anew when the last one broke. Raises ConnectError."""
        if self._writer is None:
            self._writer = self._target.connect(run_id=self._run_id)
            self._writer_pid = _driver(self._writer).info.backend_pid
        return self._writer

    def prefetch(self, group: Group) -> None:
        """Begin to read a group ahead of its turn."""
        pipe = Pipe(group)
        self._ahead.append(pipe)
        self._wanted.put(pipe)

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
        pipe = self._take(group)
        columns = ", ".join(map(quoted, group.pair.columns))
        with _driver(self.writer()).cursor() as cursor:
            try:
                cursor.copy_expert(
                    f"COPY {into} ({columns}) FROM STDIN {_format(group)}", pipe, size=BLOCK
                )
            except (psycopg2.Error, SystemError) as error:
                # An error of the reader's side is the cause; the writer's is only its echo.
                if pipe.error:
                    raise pipe.error from None
                if self._stopped:
                    raise Cancelled from None
                raise _own(error) from None
            finally:
                # The reader of a COPY that failed must not wait for room for ever.
                pipe.drop()
            expect_rows(group, counted=sum(pipe.counts.values()), copied=cursor.rowcount)
        self._digests = pipe.digests
        return pipe.counts

    def _take(self, group: Group) -> Pipe:
        if not self._ahead or self._ahead[0].group is not group:
            # Read in the order in which they are taken; what follows keeps its place.
            later = [pipe.group for pipe in self._ahead]
            self._drop_ahead()
            for wanted in (group, *later):
                self.prefetch(wanted)
        return self._ahead.pop(0)

    def _read_all(self) -> None:
        while (pipe := self._wanted.get()) is not None:
            if pipe.dropped:
                continue
            try:
                self._read(pipe)
            except BaseException as error:  # noqa: BLE001 - handed to the writer, whatever it is
                pipe.finish(self._cause(error))
            else:
                pipe.finish(None)
        _let_go(self._reader)

    def _cause(self, error: BaseException) -> BaseException:
        if self._stopped:
            return Cancelled()
        error = _own(error)
        lost = failure(error) is Failure.DISCONNECTED
        if lost and self._reader is not None:
            self._reader.invalidate()
            self._reader = None
        return SourceLost() if lost and self._snapshot else error

    def _read(self, pipe: Pipe) -> None:
        group, pair = pipe.group, pipe.group.pair
        connection = self._open_reader()
        if self._snapshot is None:
            # Every group is a snapshot of its own, so it is counted anew in it.
            connection.rollback()
            pipe.counts = self._source.count_by_day(
                connection, pair.source, pair.date_column, group.days, self._zone, pair.where
            )
        condition = group.condition(self._source, self._zone) + (
            f" AND ({pair.where})" if pair.where else ""
        )
        theirs, ours = pair.source.by_name, pair.target.by_name
        columns = ", ".join(read_as(theirs[name], ours[name]) for name in pair.columns)
        query = f"SELECT {columns} FROM {pair.source.sql} WHERE {condition}"
        sql = f"COPY ({query}) TO STDOUT {_format(group)}"
        driver = _driver(connection)
        # psycopg2 calls `write` once a row: a C method, which passes whole blocks on.
        lines = io.BufferedWriter(pipe, BLOCK)
        with driver.cursor() as cursor:
            cursor.copy_expert(sql, lines)
        lines.flush()
        if group.verify is Verify.DIGEST:
            # While the target is still busy with the rows.
            pipe.digests = digest_by_day(
                pair, group.days, self._source, connection, zone=self._zone
            )

    def _open_reader(self) -> Connection:
        if self._reader is None:
            self._reader = self._source.connect(run_id=self._run_id)
            if self._snapshot:
                self._reader.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{self._snapshot}'")
        return self._reader

    def _drop_ahead(self) -> None:
        for pipe in self._ahead:
            pipe.drop()
        self._ahead.clear()

    def standing(self, group: Group) -> int:
        """How many rows the target has on the group's days, as this transaction sees it."""
        where = group.condition(self._target, self._zone)
        count = f"SELECT count(*) FROM {group.pair.target.sql} WHERE {where}"
        return int(self.writer().exec_driver_sql(count).scalar_one())

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
        self._drop_ahead()
        if self._writer is not None and (self._writer.invalidated or _driver(self._writer).closed):
            _let_go(self._writer)
            self._writer = None

    def interrupt(self) -> None:
        """Make whatever is under way end at once."""
        self._stopped = True
        self._drop_ahead()
        connections = [c for c in (self._writer, self._reader) if c is not None]
        end_statements_of(connections, self._idle)

    def cut(self) -> None:
        """Shut both sockets down, from another thread."""
        self._stopped = True
        self._drop_ahead()
        for connection in (self._writer, self._reader):
            _cut(connection)

    def close(self) -> None:
        """Let go of both connections."""
        self._drop_ahead()
        self._wanted.put(None)
        _let_go(self._writer)
        self._thread.join(timeout=SETTLE_S)
        self._idle.set()


def _let_go(connection: Connection | None) -> None:
    """End a session without a last question, for a server that hangs would not answer it."""
    if connection is not None and not connection.closed:
        with suppress(*DRIVER_ERRORS):
            connection.invalidate()
            connection.close()


def _cut(connection: Connection | None) -> None:
    if connection is not None and not connection.closed and not connection.invalidated:
        shut_down(_driver(connection))


def _driver(connection: Connection) -> Any:
    """psycopg2's own connection."""
    return connection.connection.driver_connection


def _own(error: BaseException) -> BaseException:
    """psycopg2's error, which it now and then lets out as the cause of a SystemError."""
    cause = error.__cause__
    return cause if isinstance(error, SystemError) and isinstance(cause, psycopg2.Error) else error


def _format(group: Group) -> str:
    return "(FORMAT binary)" if group.pair.binary else "(FORMAT text)"
