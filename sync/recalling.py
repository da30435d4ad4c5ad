"""Digests that need not be taken again: of rows that were not touched since they were.

    marks of all spans ──► those that changed, or were never seen ──► their rows are read

What is kept stands in the store, and is believed only under the basis that the database tells
(`sync.databases.postgres_marks`). Without one, or without a store, everything is read.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from sync.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from sync.databases.digest import Digest, Digested
    from sync.databases.port import Database
    from sync.databases.shape import Column, Table
    from sync.store import StoredMarks


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The rows of a table between each two neighbours of `edges`, and what is digested of them."""

    table: Table
    column: Column
    edges: Sequence[date | datetime]
    digested: Digested

    def place(self, database: Database) -> str:
        """One name for what is digested and where, whatever the edges."""
        where = (database.role, database.address, self.table.sql)
        what = (*where, self.column.name, self.column.type, self.digested)
        return hashlib.sha256(repr(what).encode()).hexdigest()

    @property
    def names(self) -> list[str]:
        """One name for each span."""
        return [f"{low}/{high}" for low, high in pairwise(self.edges)]

    def digests(
        self, database: Database, connection: Connection, *, marked: bool = False
    ) -> list[Digest]:
        """Of each span, by reading its rows."""
        return database.digests(
            connection, self.table, self.column, self.edges, self.digested, marked=marked
        )


def digests(
    spans: Spans, database: Database, connection: Connection, marks: StoredMarks | None
) -> list[Digest]:
    """The digest of each span; only those are read whose rows were touched."""
    # Of a type that is not built in, a text may change while the rows stand.
    lasting = marks and all(entry.column.portable for entry in spans.digested.entries)
    basis = database.basis(connection, spans.table) if lasting else None
    if marks is None or basis is None:
        return spans.digests(database, connection)
    place = spans.place(database)
    known: Mapping[str, Digest] = {}
    with suppress(StoreError):
        known = marks.recall(place, basis)
    names = spans.names
    found = _recalled(spans, database, connection, [known.get(name) for name in names])
    read = _read(spans, database, connection, [n for n, digest in enumerate(found) if not digest])
    with suppress(StoreError):
        marks.keep(place, basis, {names[n]: digest for n, digest in read.items()})
    return [digest or read[n] for n, digest in enumerate(found)]


def _recalled(
    spans: Spans,
    database: Database,
    connection: Connection,
    known: Sequence[Digest | None],
) -> list[Digest | None]:
    """The digests of the spans whose rows still have the marks that they had."""
    if not any(known):
        return list(known)
    marks = database.marks(connection, spans.table, spans.column, spans.edges, spans.digested.where)
    return [
        digest if digest and digest.mark == mark else None
        for digest, mark in zip(known, marks, strict=True)
    ]


def _read(
    spans: Spans, database: Database, connection: Connection, wanted: Sequence[int]
) -> dict[int, Digest]:
    """The digests of some spans by their numbers, neighbours in one go."""
    found: dict[int, Digest] = {}
    for _, neighbours in groupby(enumerate(wanted), key=lambda at: at[1] - at[0]):
        first, *_, last = [n for _, n in neighbours] * 2
        edges = spans.edges[first : last + 2]
        read = replace(spans, edges=edges).digests(database, connection, marked=True)
        found |= dict(enumerate(read, start=first))
    return found
