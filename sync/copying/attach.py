"""SQLite → SQLite: one INSERT … SELECT a group over an attached source.

The run's snapshot is a read transaction on a connection of its own, while the attached source would
also see what is committed later. `data_version` tells whether anything was; if so, the rows come
from the snapshot in chunks. (In rollback-journal mode the snapshot keeps the source's writers
waiting for as long as the run reads; in WAL mode it does not.)
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from sync.copying.into_sqlite import IntoSqlite
from sync.copying.proving import expect_rows
from sync.copying.reading import let_go
from sync.counting import digest_by_day
from sync.databases.failures import DRIVER_ERRORS
from sync.databases.shape import quoted
from sync.databases.sqlite import text_as
from sync.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.copying.group import Mover
    from sync.databases.digest import Digest
    from sync.databases.sqlite import SqliteDatabase
    from sync.planning import Group

ATTACHED = "batch_sync_source"
CHUNK = 5_000  # rows of one round trip
CHANGED = -1  # a data version that SQLite never gives
TRIES = 5


class AttachWay:
    """The way of one run between two SQLite files; they have one write lock, so one mover."""

    parallel_max = 1

    def __init__(
        self, source: SqliteDatabase, target: SqliteDatabase, *, zone: ZoneInfo, snapshot: bool
    ) -> None:
        self._mover = AttachMover(source, target, zone=zone)
        self._snapshot = snapshot

    def open(self) -> tuple[Connection, Connection]:
        """The connections to count on and to plan on."""
        return self.read(), self.write()

    def read(self) -> Connection:
        """The connection to count on: the run's snapshot, unless the settings want none."""
        return self._mover.open(snapshot=self._snapshot)

    def write(self) -> Connection:
        """The target's connection, the source attached to it."""
        return self._mover.writer()

    def mover(self) -> Mover:
        """The one mover."""
        return self._mover

    def cut(self) -> None:
        """Take both connections away: that ends an open transaction, which has the write lock."""
        self._mover.interrupt()
        self._mover.close()

    def close(self) -> None:
        """Let go of every connection."""
        self._mover.close()


class AttachMover(IntoSqlite):
    """Moves groups with the snapshot's connection and one that writes."""

    def __init__(self, source: SqliteDatabase, target: SqliteDatabase, *, zone: ZoneInfo) -> None:
        super().__init__(target, zone=zone)
        self._source = source
        self._reader: Connection | None = None
        self._frozen = False
        self._version = CHANGED

    def open(self, *, snapshot: bool) -> Connection:
        """The reading connection.

        With `snapshot`, inside a read transaction that lasts as long as the run.
        """
        if self._reader is None:
            self._reader = self._source.connect()
            self._frozen = snapshot
            if snapshot:
                self._version = self._freeze(_driver(self.writer()), self._reader)
        return self._reader

    def _freeze(self, driver: sqlite3.Connection, reader: Connection) -> int:
        """Begin the snapshot; the attached source's version at that very moment, or CHANGED."""
        for _ in range(TRIES):
            before = _data_version(driver)
            reader.rollback()
            reader.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").all()
            if _data_version(driver) == before:
                return before
        return CHANGED

    def writer(self) -> Connection:
        """The target's connection with the source attached to it."""
        fresh, writer = self._writer is None, super().writer()
        if fresh:
            _driver(writer).execute(f"ATTACH DATABASE ? AS {ATTACHED}", (self._source.uri,))
        return writer

    def prefetch(self, group: Group) -> None:
        """Nothing: reading and writing are one statement."""

    def _fill(self, group: Group, *, into: str) -> Mapping[date, int]:
        if self._stopped:
            raise Cancelled
        # BEGIN IMMEDIATE has begun to read the attached source too: it stays as it is until the
        # commit.
        same = self._unchanged()
        counts = self._counts(group)
        try:
            copied = (
                self._insert_at_once(group, into) if same else self._insert_in_chunks(group, into)
            )
        except DRIVER_ERRORS:
            if self._stopped:
                raise Cancelled from None
            raise
        expect_rows(group, counted=sum(counts.values()), copied=copied)
        return counts

    def _unchanged(self) -> bool:
        """Whether the attached source is what this run reads."""
        return not self._frozen or _data_version(_driver(self.writer())) == self._version

    def _counts(self, group: Group) -> Mapping[date, int]:
        if self._frozen:
            return {partition.day: partition.source_rows for partition in group.partitions}
        attached = replace(group.pair.source, schema=ATTACHED)
        return self._source.count_by_day(
            self.writer(),
            attached,
            group.pair.date_column,
            group.days,
            self._zone,
            group.pair.where,
        )

    def _insert_at_once(self, group: Group, into: str) -> int:
        columns = ", ".join(map(quoted, group.pair.columns))
        rows = self._select(group, replace(group.pair.source, schema=ATTACHED).sql)
        return self.writer().exec_driver_sql(f"INSERT INTO {into} ({columns}) {rows}").rowcount

    def _insert_in_chunks(self, group: Group, into: str) -> int:
        assert self._reader is not None
        columns = ", ".join(map(quoted, group.pair.columns))
        insert = f"INSERT INTO {into} ({columns}) VALUES"
        with text_as(self._reader, _as_text) as reader:
            rows = reader.execute(self._select(group, group.pair.source.sql))
            writer, copied = _driver(self.writer()), 0
            while (chunk := rows.fetchmany(CHUNK)) and not self._stopped:
                odd = [row for row in chunk if any(type(value) is _NotUtf8 for value in row)]
                plain = [row for row in chunk if row not in odd] if odd else chunk
                places = ", ".join("?" * len(group.pair.columns))
                writer.executemany(f"{insert} ({places})", plain)
                for row in odd:
                    casts = ("CAST(? AS TEXT)" if type(v) is _NotUtf8 else "?" for v in row)
                    writer.execute(f"{insert} ({', '.join(casts)})", row)
                copied += len(chunk)
        return copied

    def _select(self, group: Group, table: str) -> str:
        columns = ", ".join(map(quoted, group.pair.columns))
        where = group.condition(self._source, self._zone) + (
            f" AND ({group.pair.where})" if group.pair.where else ""
        )
        return f"SELECT {columns} FROM {table} WHERE {where}"

    def digests(self, group: Group) -> tuple[Mapping[date, Digest], Mapping[date, Digest]]:
        """In the source, where it was read, and in the target."""
        reader, schema = (
            (self.writer(), ATTACHED) if self._unchanged() else (self.open(snapshot=True), None)
        )

        def by_day(
            database: SqliteDatabase, connection: Connection, schema: str | None
        ) -> dict[date, Digest]:
            return digest_by_day(
                group.pair, group.days, database, connection, zone=self._zone, schema=schema
            )

        return by_day(self._source, reader, schema), by_day(self._target, self.writer(), "main")

    def close(self) -> None:
        """Let go of both connections."""
        super().close()
        let_go(self._reader)


class _NotUtf8(bytes):
    """A text of an SQLite file that is no UTF-8: its bytes, to be made a text again in SQL."""


def _as_text(text: bytes) -> str | _NotUtf8:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return _NotUtf8(text)


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _data_version(driver: sqlite3.Connection) -> int:
    return int(driver.execute(f"PRAGMA {ATTACHED}.data_version").fetchone()[0])
