"""Out of an SQLite file: rows as the lines of PostgreSQL's COPY."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sync.copying.copy_text import encoders, lines_of
from sync.copying.reading import Reader, driver_of
from sync.databases.crossing import base_of
from sync.databases.shape import quoted
from sync.databases.sqlite import decoded_text, text_as
from sync.databases.values import reader
from sync.errors import Cancelled

if TYPE_CHECKING:
    import io
    import sqlite3
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from sync.copying.copy_text import Encoder
    from sync.copying.pipe import Pipe
    from sync.databases.shape import Column
    from sync.planning import Group

CHUNK_BYTES = 1 << 20  # of rows that are encoded together
ROW_BYTES = 1 << 10  # a row counts as at least so long: what bounds bytes bounds rows, too
SHORT = {"smallint", "integer", "bigint", "boolean", "real", "double precision", "uuid", "date"}


class SqliteReader(Reader):
    """Reads inside a transaction of the file, a few rows at a time."""

    def _connect(self) -> Connection:
        return self._source.connect()

    def _send(self, group: Group, rows: str, lines: io.BufferedWriter[Pipe]) -> None:
        assert self.connection is not None
        pair, pipe = group.pair, lines.raw
        columns = pair.both_columns
        names = ", ".join(quoted(there.name) for there, _ in columns)
        cells = encoders(here for _, here in columns)
        for n, (there, here) in enumerate(columns):
            if there.name in pair.convert:
                cells[n] = _converted(here, cells[n])
        long = [quoted(there.name) for there, here in columns if base_of(here) not in SHORT]
        length = " + ".join(f"ifnull(length({name}), 0)" for name in long) or "0"
        found = self._rows(f"SELECT {names}, {length} {rows}", converted=bool(pair.convert))
        for chunk in _chunks(found):
            if self.stopped or pipe.dropped:
                raise Cancelled
            values = zip(*chunk, strict=True)
            lines.write(lines_of(of(column) for of, column in zip(cells, values, strict=False)))

    def _rows(self, query: str, *, converted: bool) -> Iterator[tuple[Any, ...]]:
        assert self.connection is not None
        if not converted:
            driver: sqlite3.Connection = driver_of(self.connection)
            yield from driver.execute(query)
            return
        with text_as(self.connection, decoded_text) as driver:
            yield from driver.execute(query)


def _converted(here: Column, encode: Encoder) -> Encoder:
    """What makes a column's cells of values that may have to be converted."""
    read = reader(here, convert=True)
    return lambda values: encode(list(map(read, values)))


def _chunks(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in lists of about `CHUNK_BYTES`; the last value of each row is its length."""
    chunk: list[tuple[Any, ...]] = []
    room = CHUNK_BYTES
    for row in rows:
        chunk.append(row)
        room -= row[-1] + ROW_BYTES
        if room <= 0:
            yield chunk
            chunk, room = [], CHUNK_BYTES
    if chunk:
        yield chunk
