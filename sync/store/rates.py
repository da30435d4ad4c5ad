"""How fast past runs were, as the store remembers their partitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from sync.model import PartitionStatus
from sync.store.schema import partition_table, run_table

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """How long a run took, and of each table how many rows it copied in how many seconds.

    Where groups were copied side by side, the seconds of all are added up.
    """

    seconds: float
    tables: dict[str, tuple[int, float]] = field(default_factory=dict)


def past_runs(connection: Connection, target: str, limit: int) -> list[PastRun]:
    """The newest runs of a target that have ended and copied anything."""
    run, p = run_table.c, partition_table.c
    newest = (
        select(run.id, (run.finished_at - run.started_at).label("took"))
        .where(run.target == target, run.finished_at.is_not(None), run.rows_done > 0)
        .order_by(run.started_at.desc())
        .limit(limit)
        .subquery()
    )
    copied = (
        select(newest.c.id, newest.c.took, p.table_name, func.sum(p.rows), func.sum(p.seconds))
        .join(partition_table, p.run_id == newest.c.id)
        .where(p.status == PartitionStatus.DONE.value, p.seconds.is_not(None))
        .group_by(newest.c.id, newest.c.took, p.table_name)
    )
    found: dict[str, PastRun] = {}
    for run_id, took, table, rows, seconds in connection.execute(copied):
        past = found.setdefault(run_id, PastRun(seconds=took))
        past.tables[table] = int(rows), seconds
    return list(found.values())
