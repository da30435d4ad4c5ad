"""What past runs of one target tell: how fast they were, and what of them is still undone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import exists, func, select

from sync.model import PartitionStatus, RunStatus
from sync.store.schema import partition_table, run_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from sync.model import DateRange

BAD = (PartitionStatus.FAILED.value, PartitionStatus.HELD_BACK.value)
# An interrupted one ended when somebody found out.
TIMED = tuple(s.value for s in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED))
GOOD = (PartitionStatus.DONE.value, PartitionStatus.UNCHANGED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """How long a run took, and of each table how many rows it copied in how many seconds.

    Where groups were copied side by side, the seconds of all are added up.
    """

    seconds: float
    tables: dict[str, tuple[int, float]] = field(default_factory=dict)


class Past:
    """What is asked of past runs; safe from any thread, as the store is."""

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]], target: str
    ) -> None:
        self._transaction = transaction
        self._target = target

    def runs(self, limit: int) -> list[PastRun]:
        """The newest runs that ended by themselves and copied anything. Raises StoreError."""
        run, p = run_table.c, partition_table.c
        newest = (
            select(run.id, (run.finished_at - run.started_at).label("took"))
            .where(run.target == self._target, run.status.in_(TIMED), run.rows_done > 0)
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
        with self._transaction() as connection:
            for run_id, took, table, rows, seconds in connection.execute(copied):
                past = found.setdefault(run_id, PastRun(seconds=took))
                past.tables[table] = int(rows), seconds
        return list(found.values())

    def undone(self, days: DateRange) -> frozenset[tuple[str, date]]:
        """Partitions that failed or were held back, and that no later run has copied.

        Raises StoreError.
        """
        run, p = run_table.c, partition_table.c
        later, again = run_table.alias(), partition_table.alias()
        good = exists().where(
            later.c.target == self._target,
            later.c.started_at > run.started_at,
            again.c.run_id == later.c.id,
            again.c.table_name == p.table_name,
            again.c.day == p.day,
            again.c.status.in_(GOOD),
        )
        bad = (
            select(p.table_name, p.day)
            .join(run_table, p.run_id == run.id)
            .where(run.target == self._target, run.failed + run.held_back > 0)
            .where(p.day.between(str(days.start), str(days.end)), p.status.in_(BAD), ~good)
        )
        with self._transaction() as connection:
            found = connection.execute(bad).all()
        return frozenset((table, date.fromisoformat(day)) for table, day in found)
