"""Rows as the values that the rest of the package knows, and values as rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from sync.model import (
    CancelMode,
    DateRange,
    Holder,
    LogLine,
    Only,
    PartitionStatus,
    PartitionView,
    PlanState,
    Progress,
    RunId,
    RunRequest,
    RunStatus,
    RunView,
    Token,
)

if TYPE_CHECKING:
    from sqlalchemy import Row


def request_row(
    target: str, request: RunRequest, tables: tuple[str, ...], holder: Holder, at: datetime
) -> dict[str, Any]:
    """What is asked for, by whom and when, as columns of `run`."""
    instant = at.timestamp()
    return {
        "target": target,
        "start_date": request.days.start.isoformat(),
        "end_date": request.days.end.isoformat(),
        "tables": list(tables),
        "only": request.only.value,
        "allow_shrink": request.allow_shrink,
        "since_token": request.since_token,
        "holder": holder.to_json(),
        "started_at": instant,
        "beat_at": instant,
        "progress_at": instant,
    }


def progress_row(progress: Progress) -> dict[str, Any]:
    """How far a run is, as columns of `run`."""
    return {
        "partitions_done": progress.partitions_done,
        "partitions_total": progress.partitions_total,
        "rows_done": progress.rows_done,
        "rows_total": progress.rows_total,
        "rows_per_s": progress.rows_per_s,
        "eta_s": progress.eta_s,
    }


def partition_row(run_id: RunId, partition: PartitionView, prefix: str = "") -> dict[str, Any]:
    """A partition as columns of `partition`; `prefix` tells bound values from the columns."""
    values = {
        "run_id": run_id,
        "table_name": partition.table,
        "day": partition.day.isoformat(),
        "status": partition.status.value,
        "rows": partition.rows,
        "target_rows": partition.target_rows,
        "seconds": partition.seconds,
        "error": partition.error,
        "state": partition.state,
        "source_rows": partition.source_rows,
        "committed_at": partition.committed_at and partition.committed_at.timestamp(),
        "digest": partition.digest,
        "digest_kind": partition.digest_kind,
    }
    return {prefix + name: value for name, value in values.items()}


def event_row(run_id: RunId, line: LogLine) -> dict[str, Any]:
    """What happened in a run as columns of `event`."""
    return {"run_id": run_id, "at": line.at.timestamp(), "event": line.event, "text": line.text}


def partition_view(row: Row[Any]) -> PartitionView:
    """A row of `partition` as a value."""
    return PartitionView(
        table=row.table_name,
        day=date.fromisoformat(row.day),
        status=PartitionStatus(row.status),
        rows=row.rows,
        target_rows=row.target_rows,
        seconds=row.seconds,
        error=row.error,
        state=PlanState(row.state) if row.state else None,
        source_rows=row.source_rows,
        committed_at=datetime.fromtimestamp(row.committed_at, UTC) if row.committed_at else None,
        digest=row.digest,
        digest_kind=row.digest_kind,
    )


def run_view(row: Row[Any]) -> RunView:
    """A row of `run` as a value."""
    instants = {
        name: datetime.fromtimestamp(getattr(row, name), UTC)
        for name in ("started_at", "beat_at", "progress_at")
    }
    return RunView(
        id=RunId(row.id),
        status=RunStatus(row.status),
        days=DateRange(date.fromisoformat(row.start_date), date.fromisoformat(row.end_date)),
        tables=tuple(row.tables),
        only=Only(row.only),
        allow_shrink=row.allow_shrink,
        token=Token(row.token) if row.token is not None else None,
        since_token=Token(row.since_token) if row.since_token is not None else None,
        holder=Holder.from_json(row.holder),
        progress=Progress(
            partitions_done=row.partitions_done,
            partitions_total=row.partitions_total,
            rows_done=row.rows_done,
            rows_total=row.rows_total,
            rows_per_s=row.rows_per_s,
            eta_s=row.eta_s,
        ),
        finished_at=datetime.fromtimestamp(row.finished_at, UTC) if row.finished_at else None,
        cancel=CancelMode(row.cancel) if row.cancel else None,
        error=row.error,
        held_back=row.held_back,
        failed=row.failed,
        current=row.current,
        **instants,
    )
