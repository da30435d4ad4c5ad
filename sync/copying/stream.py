"""A run's rows through pipes: from either engine into PostgreSQL, and from it into SQLite.

What reads (`reading.py`, `from_sqlite.py`) and what writes (`into_postgres.py`, `into_sqlite.py`)
know nothing of each other but the pipe, whose bytes are COPY's.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.copying.from_sqlite import SqliteReader
from sync.copying.into_postgres import PostgresMover
from sync.copying.into_sqlite import SqliteMover
from sync.copying.reading import PostgresReader, cut, let_go
from sync.databases.postgres import PostgresDatabase

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.copying.group import Mover
    from sync.copying.reading import Reader
    from sync.databases.sqlite import SqliteDatabase
    from sync.model import RunId


class StreamWay:
    """The way of one run through pipes.

    Readers of a PostgreSQL source share one exported snapshot; an SQLite file has one reader, or
    one writer.
    """

    def __init__(
        self,
        source: PostgresDatabase | SqliteDatabase,
        target: PostgresDatabase | SqliteDatabase,
        *,
        run_id: RunId,
        zone: ZoneInfo,
        snapshot: bool,
    ) -> None:
        self.parallel_max = 32 if source.kind == target.kind == "postgresql" else 1
        self._source = source
        self._target = target
        self._run_id = run_id
        self._zone = zone
        self._snapshot = snapshot
        self._exported: str | None = None
        self._reader: Connection | None = None
        self._writer: Connection | None = None
        self._movers: list[PostgresMover | SqliteMover] = []

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
            if not self._snapshot:
                return self._reader
            if self._source.kind == "sqlite":
                # What is read first begins the snapshot.
                self._reader.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").all()
            else:
                self._exported = self._reader.scalar(text("SELECT pg_export_snapshot()"))
        return self._reader

    def write(self) -> Connection:
        """The target's connection to plan on."""
        if self._writer is None:
            self._writer = self._target.connect(run_id=self._run_id)
        return self._writer

    def mover(self) -> Mover:
        """A mover with connections of its own; the first one goes on with those of the plan."""
        reader = self._reading(self._reader)
        mover: PostgresMover | SqliteMover
        if isinstance(self._target, PostgresDatabase):
            mover = PostgresMover(reader, self._target, run_id=self._run_id, zone=self._zone)
        else:
            mover = SqliteMover(self._target, zone=self._zone, reader=reader)
        mover.go_on_with(self._writer)
        self._reader = self._writer = None
        self._movers.append(mover)
        return mover

    def _reading(self, connection: Connection | None) -> Reader:
        source, zone = self._source, self._zone
        if isinstance(source, PostgresDatabase):
            return PostgresReader(
                source,
                zone=zone,
                connection=connection,
                run_id=self._run_id,
                snapshot=self._exported,
            )
        return SqliteReader(source, zone=zone, frozen=self._snapshot, connection=connection)

    def cut(self) -> None:
        """Shut the socket of every connection down: who waits on one gets an error at once."""
        for mover in self._movers:
            mover.cut()
        for connection in (self._reader, self._writer):
            cut(connection)

    def close(self) -> None:
        """Let go of what no mover has."""
        for connection in (self._reader, self._writer):
            let_go(connection)
