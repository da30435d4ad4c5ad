"""Digests that were taken, with the marks of the rows that they were taken of.

What stands here saves work and is no truth: lost, it is read anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from sync.databases.digest import Digest
from sync.store.schema import mark_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

Spans = dict[str, Digest]
AT_ONCE = 500  # spans that one statement names


class StoredMarks:
    """Digests by place (a table's columns, on one side) and span of time."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._transaction = transaction

    def recall(self, place: str, basis: str) -> Spans:
        """The digests of a place under this basis, with their marks. Raises StoreError."""
        m = mark_table.c
        wanted = select(m.span, m.rows, m.digest, m.mark).where(m.place == place, m.basis == basis)
        with self._transaction() as connection:
            found = connection.execute(wanted)
            return {row.span: Digest(row.rows, row.digest, row.mark) for row in found}

    def keep(self, place: str, basis: str, digests: Mapping[str, Digest]) -> None:
        """Keep these in the place of what was known of their spans. Raises StoreError."""
        rows = [
            {
                "place": place,
                "span": span,
                "basis": basis,
                "rows": digest.rows,
                "digest": digest.value,
                "mark": digest.mark,
            }
            for span, digest in digests.items()
        ]
        m, spans = mark_table.c, list(digests)
        with self._transaction() as connection:
            for n in range(0, len(spans), AT_ONCE):
                named = m.span.in_(spans[n : n + AT_ONCE])
                connection.execute(delete(mark_table).where(m.place == place, named))
            if rows:
                connection.execute(mark_table.insert(), rows)
