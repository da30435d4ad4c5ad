"""A source's rows on their way, read one group ahead of their turn by a thread of its own.

    reader thread                            bounded queue            the run's thread
    rows as lines of COPY's text or binary ──► Pipe ──► whoever writes into the target

Memory is bounded by two pipes, however many rows there are.
"""

from __future__ import annotations

import io
import queue
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg2

from sync.copying.fitting import refuse_unheld
from sync.copying.pipe import Pipe
from sync.counting import digest_by_day
from sync.databases.crossing import sent
from sync.databases.failures import DRIVER_ERRORS, Failure, failure
from sync.databases.postgres_types import read_as
from sync.databases.stop import shut_down
from sync.errors import Cancelled, SourceLost
from sync.model import Verify

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.databases.port import Database
    from sync.planning import Group

BLOCK = 1 << 17  # bytes that pass through Python at once
SETTLE_S = 30.0


class Reader(ABC):
    """Reads groups with one connection, in the order in which they are wanted.

    `frozen` tells that all of them are read in the run's snapshot; else each is a snapshot of its
    own, and counted anew in it.
    """

    def __init__(
        self, source: Database, *, zone: ZoneInfo, frozen: bool, connection: Connection | None
    ) -> None:
        self._source = source
        self._zone = zone
        self._frozen = frozen
        self.connection = connection
        self._ahead: list[Pipe] = []
        self._wanted: queue.SimpleQueue[Pipe | None] = queue.SimpleQueue()
        self.stopped = False
        self._thread = threading.Thread(
            target=self._read_all, name="batch-sync-reader", daemon=True
        )
        self._thread.start()

    def prefetch(self, group: Group) -> None:
        """Begin to read a group ahead of its turn."""
        pipe = Pipe(group)
        self._ahead.append(pipe)
        self._wanted.put(pipe)

    def take(self, group: Group) -> Pipe:
        """The rows of a group whose turn has come. Raises Cancelled once stopped."""
        if self.stopped:
            raise Cancelled
        if not self._ahead or self._ahead[0].group is not group:
            # Read in the order in which they are taken; what follows keeps its place.
            later = [pipe.group for pipe in self._ahead]
            self.drop_ahead()
            for wanted in (group, *later):
                self.prefetch(wanted)
        return self._ahead.pop(0)

    def drop_ahead(self) -> None:
        """Forget what was read ahead."""
        for pipe in self._ahead:
            pipe.drop()
        self._ahead.clear()

    def stop(self) -> None:
        """Read nothing more; from any thread."""
        self.stopped = True
        self.drop_ahead()

    def cut(self) -> None:
        """Take the connection away from whoever waits on it, from another thread."""
        self.stop()
        cut(self.connection)

    def end(self) -> None:
        """Let go of the connection once nothing is being read."""
        self.drop_ahead()
        self._wanted.put(None)

    def join(self) -> None:
        """Wait for that."""
        self._thread.join(timeout=SETTLE_S)

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
        let_go(self.connection)

    def _cause(self, error: BaseException) -> BaseException:
        if self.stopped:
            return Cancelled()
        error = own(error)
        lost = failure(error) is Failure.DISCONNECTED
        if lost and self.connection is not None:
            self.connection.invalidate()
            self.connection = None
        return SourceLost() if lost and self._frozen else error

    def _read(self, pipe: Pipe) -> None:
        group, pair = pipe.group, pipe.group.pair
        if self.connection is None:
            self.connection = self._connect()
        if not self._frozen:
            self.connection.rollback()
            pipe.counts = self._source.count_by_day(
                self.connection, pair.source, pair.date_column, group.days, self._zone, pair.where
            )
            refuse_unheld(
                [group], self._source, zone=self._zone, reading=self.connection, writing=None
            )
        where = group.condition(self._source, self._zone) + (
            f" AND ({pair.where})" if pair.where else ""
        )
        # psycopg2 calls `write` once a row: a C method, which passes whole blocks on.
        lines = io.BufferedWriter(pipe, BLOCK)
        self._send(group, f"FROM {pair.source.sql} WHERE {where}", lines)
        lines.flush()
        if group.verify is Verify.DIGEST:
            # While the target is still busy with the rows.
            pipe.digests = digest_by_day(
                pair, group.days, self._source, self.connection, zone=self._zone
            )

    @abstractmethod
    def _connect(self) -> Connection:
        """A connection in the place of one that broke."""

    @abstractmethod
    def _send(self, group: Group, rows: str, lines: io.BufferedWriter[Pipe]) -> None:
        """Write the group's `rows` (`FROM … WHERE …`) as lines of COPY."""


class PostgresReader(Reader):
    """COPY TO STDOUT: no row is ever a Python object, libpq hands its lines to a C buffer."""

    def __init__(self, *arguments: Any, run_id: Any, snapshot: str | None, **facts: Any) -> None:
        self._run_id = run_id
        self._snapshot = snapshot
        super().__init__(*arguments, frozen=snapshot is not None, **facts)

    def _connect(self) -> Connection:
        connection = self._source.connect(run_id=self._run_id)
        if self._snapshot:
            connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{self._snapshot}'")
        return connection

    def _send(self, group: Group, rows: str, lines: io.BufferedWriter[Pipe]) -> None:
        assert self.connection is not None
        pair = group.pair
        columns = (
            [sent(there, convert=there.name in pair.convert) for there, _ in pair.both_columns]
            if pair.crossing
            else [read_as(there, here) for there, here in pair.both_columns]
        )
        with driver_of(self.connection).cursor() as cursor:
            cursor.copy_expert(
                f"COPY (SELECT {', '.join(columns)} {rows}) TO STDOUT {copy_format(group)}", lines
            )


def copy_format(group: Group) -> str:
    """How both sides of a COPY write their rows."""
    return "(FORMAT binary)" if group.pair.binary else "(FORMAT text)"


def let_go(connection: Connection | None) -> None:
    """End a session without a last question, for a server that hangs would not answer it."""
    if connection is not None and not connection.closed:
        with suppress(*DRIVER_ERRORS):
            connection.invalidate()
            connection.close()


def cut(connection: Connection | None) -> None:
    """Make whoever waits on a connection get an error at once."""
    if connection is not None and not connection.closed and not connection.invalidated:
        driver = driver_of(connection)
        if hasattr(driver, "interrupt"):
            driver.interrupt()
        else:
            shut_down(driver)


def driver_of(connection: Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.driver_connection


def own(error: BaseException) -> BaseException:
    """psycopg2's error, which it now and then lets out as the cause of a SystemError."""
    cause = error.__cause__
    return cause if isinstance(error, SystemError) and isinstance(cause, psycopg2.Error) else error
