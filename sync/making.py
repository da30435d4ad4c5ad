"""What a run makes in the target before the first row moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.copying import failing
from sync.databases.failures import DRIVER_ERRORS
from sync.errors import N_
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from sync.order import Order


def make_tables(order: Order, writing: Connection, note: Callable[[str, Told], None]) -> None:
    """Make the tables that the target lacks, in one transaction under the fence.

    Raises CopyError where the target refuses one, FencedError.
    """
    missing = [pair for pair in order.pairs if not pair.exists]
    if not missing:
        return
    with writing.begin():
        for pair in missing:
            try:
                for statement in order.target.create_table(pair.target, pair.target_date.name):
                    writing.exec_driver_sql(statement)
            except DRIVER_ERRORS as error:
                raise failing.not_made(pair, error) from None
            made = Told(N_("Table {table} was made in the target."), table=pair.name)
            note("table.created", made)
        order.lease.fence(writing)
