"""What a run does in the target before its first row moves, and after its last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.copying import failing
from sync.databases.failures import DRIVER_ERRORS, reason
from sync.databases.postgres_rules import move_on, naming
from sync.errors import N_, ConnectError, misfits
from sync.pairing.changes import add_column
from sync.pairing.rules import rigid, unmoved
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from sync.order import Order
    from sync.pairing.pair import TablePair
    from sync.planning import Group

    Note = Callable[[str, Told], None]


def prepare(order: Order, groups: Sequence[Group], writing: Connection, note: Note) -> None:
    """Make the tables and columns that the target lacks, in one transaction under the fence.

    Raises SchemaError where rows cannot be replaced, CopyError where the target refuses to make
    something, FencedError; then nothing was made.
    """
    if not any(_has_work(pair) for pair in order.pairs):
        return
    with writing.begin():
        if wrong := list(_in_the_way(order, groups, writing)):
            raise misfits(wrong)
        made = [told for pair in order.pairs for told in _make(order, pair, writing)]
        if made:
            order.lease.fence(writing)
    for event, told in made:
        note(event, told)


def _has_work(pair: TablePair) -> bool:
    return not pair.exists or bool(pair.added) or any(k.rigid for k in pair.target.rules.named_by)


def _in_the_way(order: Order, groups: Sequence[Group], writing: Connection) -> Iterator[Told]:
    """Foreign keys that rows to be replaced are held by, and that cannot wait for the commit."""
    for pair in order.pairs:
        keys = [key for key in pair.target.rules.named_by if key.rigid]
        days = [
            group.condition(order.target, order.zone)
            for group in groups
            if keys and group.pair is pair and any(p.target_rows for p in group.partitions)
        ]
        for key in keys if days else ():
            # Rows of the table itself go with those that they name, if that is in one group.
            each = days if key.child_oid == key.parent_oid else [" OR ".join(days)]
            found = (naming(writing, pair.target, key, where) for where in each)
            if example := next(filter(None, found), None):
                yield rigid(pair.target, key, example)


def _make(order: Order, pair: TablePair, writing: Connection) -> Iterator[tuple[str, Told]]:
    statements: list[str] = []
    if not pair.exists:
        statements += order.target.create_table(pair.target, pair.target_date.name)
        yield (
            "table.created",
            Told(N_("Table {table} was made in the target."), table=pair.name),
        )
    if pair.added:
        statements += [add_column(pair.target, column) for column in pair.added]
        text = N_(
            "Columns were added to {table} in the target: {columns}. Its other days are missing"
            " now, for their rows have no values in them."
        )
        columns = ", ".join(f"{column.name} {column.type}" for column in pair.added)
        yield "table.altered", Told(text, table=pair.name, columns=columns)
    try:
        for statement in statements:
            writing.exec_driver_sql(statement)
        if pair.added:
            order.lease.ledger.forget_checkpoints(writing, pair.name)
    except DRIVER_ERRORS as error:
        raise failing.not_made(pair, error) from None


def move_sequences(order: Order, writer: Callable[[], Connection], note: Note) -> None:
    """Move what numbers the target's columns on behind the rows that came.

    So that the next row of somebody else meets none of them. What cannot be moved is noted.
    """
    for pair in order.pairs:
        for sequence in pair.target.rules.sequences:
            if sequence.column not in pair.columns:
                continue
            if sequence.lacking:
                note("sequence.unmoved", unmoved(pair.target, sequence))
                continue
            indexed = sequence.column in pair.target.indexed
            where = order.target.within(pair.target_date, order.request.days, order.zone)
            try:
                connection = writer()
                with connection.begin():
                    move_on(connection, pair.target, sequence, None if indexed else where)
            except (*DRIVER_ERRORS, ConnectError) as error:
                note("sequence.unmoved", unmoved(pair.target, sequence, reason(error)))
