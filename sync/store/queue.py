"""The queue of one target: requests in their order, and the processes that start them.

A request is a row of `run` with status `queued`. Whatever ends its waiting is a compare-and-set on
that status: it begins (`Store.start`), is withdrawn, or is given up. So of several who try at once
one succeeds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, update

from sync.model import Holder, LogLine, RunId, RunRequest, RunStatus, RunView
from sync.store.rows import event_row, request_row, run_view
from sync.store.schema import event_table, process_table, run_table
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Select

QUEUED = RunStatus.QUEUED.value
FORGOTTEN_S = 86_400


class StoredQueue:
    """What is written and asked of the queue; safe from any thread, as the store is."""

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]], target: str
    ) -> None:
        self._transaction = transaction
        self._target = target

    def add(
        self,
        run_id: RunId,
        request: RunRequest,
        *,
        tables: tuple[str, ...],
        holder: Holder,
        key: str | None,
        line: LogLine,
    ) -> None:
        """Put a request behind all others. Raises StoreError, also when a run has its key."""
        run = run_table.c
        last = select(func.coalesce(func.max(run.place), 0)).where(run.target == self._target)
        with self._transaction() as connection:
            connection.execute(
                run_table.insert().values(
                    **request_row(self._target, request, tables, holder, line.at),
                    id=run_id,
                    status=QUEUED,
                    start_key=key,
                    place=last.scalar_subquery() + 1,
                )
            )
            connection.execute(event_table.insert().values(event_row(run_id, line)))

    def waiting(self) -> tuple[RunView, ...]:
        """The requests, the next one first."""
        with self._transaction() as connection:
            return tuple(run_view(row) for row in connection.execute(self._in_order()))

    def head(self) -> tuple[RunView, datetime] | None:
        """The next request, and the instant before which it is not to be tried."""
        with self._transaction() as connection:
            row = connection.execute(self._in_order().limit(1)).first()
        return (run_view(row), datetime.fromtimestamp(row.retry_at or 0, UTC)) if row else None

    def _in_order(self) -> Select[Any]:
        run = run_table.c
        return (
            select(run_table)
            .where(run.target == self._target, run.status == QUEUED)
            .order_by(run.place, run.id)
        )

    def postpone(self, run_id: RunId, error: Told, *, at: datetime, pause_s: float) -> int:
        """Note that it could not be started: the n-th time, so it rests n pauses; n.

        0 when it waits no longer.
        """
        run = run_table.c
        with self._transaction() as connection:
            tries = connection.execute(
                update(run_table)
                .where(run.id == run_id, run.status == QUEUED)
                .values(
                    tries=run.tries + 1,
                    retry_at=at.timestamp() + pause_s * (run.tries + 1),
                    error=error,
                )
                .returning(run.tries)
            ).scalar()
        return tries or 0

    def end(self, run_id: RunId, status: RunStatus, error: Told, *, at: datetime) -> bool:
        """Take a request out of the queue, withdrawn or given up; False when it waits no longer."""
        run, instant = run_table.c, at.timestamp()
        ended: dict[str, Any] = {"status": status.value, "error": error, "finished_at": instant}
        if status is RunStatus.FAILED:
            # It is news of now, not of when it was asked for.
            ended |= {"started_at": instant, "beat_at": instant, "progress_at": instant}
        with self._transaction() as connection:
            moved = connection.execute(
                update(run_table).where(run.id == run_id, run.status == QUEUED).values(ended)
            )
        return bool(moved.rowcount)

    def beat(self, process: Holder, *, good_until: datetime) -> None:
        """Tell that this process starts what waits, and until when it is believed to."""
        p, until = process_table.c, good_until.timestamp()
        with self._transaction() as connection:
            known = connection.execute(
                update(process_table).where(p.id == process.nonce).values(good_until=until)
            )
            if not known.rowcount:
                connection.execute(delete(process_table).where(p.good_until < until - FORGOTTEN_S))
                connection.execute(
                    process_table.insert().values(
                        id=process.nonce,
                        target=self._target,
                        holder=process.to_json(),
                        good_until=until,
                    )
                )

    def leave(self, process: Holder) -> None:
        """Tell that this process starts nothing more."""
        with self._transaction() as connection:
            connection.execute(delete(process_table).where(process_table.c.id == process.nonce))

    def processes(self, now: datetime) -> tuple[Holder, ...]:
        """Those that were heard of lately."""
        p = process_table.c
        wanted = select(p.holder).where(p.target == self._target, p.good_until >= now.timestamp())
        with self._transaction() as connection:
            rows = connection.execute(wanted).all()
        return tuple(Holder.from_json(row.holder) for row in rows)
