"""The JSON that programs read: one shape a thing, the same from the command line and over HTTP.

Instants are ISO 8601 in UTC, days are ISO dates and both inclusive, a missing fact is null.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sync.errors import N_, UsageError
from sync.model import RunStatus
from sync.plan import BY_COUNTS, CLOSELY, SeenPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sync.databases.audit import Audit, AuditedRun
    from sync.differences import Verification
    from sync.model import DateRange, Holder, Progress, RunView
    from sync.plan import MovedAway, Plan
    from sync.snapshot import Snapshot


PLAN_HASH = f"[{CLOSELY}{BY_COUNTS}][0-9a-f]{{15}}"
FACTS = ("state", "source_rows", "target_rows", "source_digest", "target_digest")


def holder_json(holder: Holder) -> dict[str, Any]:
    """Who it is, as far as a stranger needs to know."""
    return {
        "user": holder.user,
        "host": holder.host,
        "pid": holder.pid,
        "since": holder.since.isoformat(),
    }


def range_json(days: DateRange) -> dict[str, str]:
    """First and last day, both inclusive."""
    return {"start_date": days.start.isoformat(), "end_date": days.end.isoformat()}


def progress_json(progress: Progress) -> dict[str, Any]:
    """Counts, rows per second, and seconds to the end (null until that can be said)."""
    return asdict(progress)


def run_json(run: RunView) -> dict[str, Any]:
    """One run as `status` shows it."""
    return {
        "id": run.id,
        "status": run.status.value,
        **range_json(run.days),
        "tables": list(run.tables),
        "token": run.token,
        "holder": holder_json(run.holder),
        "progress": progress_json(run.progress),
    }


def past_run_json(run: RunView) -> dict[str, Any]:
    """One run as `history` shows it: with its times and how it ended."""
    return run_json(run) | {
        "started_at": None if run.status is RunStatus.QUEUED else run.started_at.isoformat(),
        "finished_at": _instant(run.finished_at),
        "error": str(run.error) if run.error else None,
    }


def status_json(snapshot: Snapshot) -> dict[str, Any]:
    """What runs now, and what ran last; `problem` only where something could not be read."""
    last = snapshot.last_run
    shape: dict[str, Any] = {
        "state": snapshot.state,
        "run": run_json(snapshot.run) if snapshot.run else None,
        "verdict": snapshot.verdict.value if snapshot.verdict else None,
        "last_run": past_run_json(last) if last else None,
        "data_range": None,
        "demo": snapshot.demo,
        "queue": queue_json(snapshot.queue),
    }
    if snapshot.data_range:
        first, newest = snapshot.data_range
        shape["data_range"] = {"first": first.isoformat(), "last": newest.isoformat()}
    return shape | ({"problem": str(snapshot.problem)} if snapshot.problem else {})


def queue_json(queue: Sequence[RunView]) -> list[dict[str, Any]]:
    """The requests that wait, the next one first; `error` says why it could not be started yet."""
    return [
        {
            "place": place,
            "id": run.id,
            **range_json(run.days),
            "tables": list(run.tables),
            "user": run.holder.user,
            "host": run.holder.host,
            "queued_at": run.started_at.isoformat(),
            "error": str(run.error) if run.error else None,
        }
        for place, run in enumerate(queue, start=1)
    ]


def plan_json(plan: Plan) -> dict[str, Any]:
    """What a run would do, partition by partition.

    Digests where they were compared; where rows were counted by key, their inserts, updates and
    deletes, and rows that would be gone until a day outside the range is synced.
    """
    return {
        "plan_hash": plan.hash,
        "partitions": [
            {
                "table": partition.table,
                "day": partition.day.isoformat(),
                "source_rows": partition.source_rows,
                "target_rows": partition.target_rows,
                "state": partition.state.value,
                **(
                    {
                        "source_digest": partition.source_digest,
                        "target_digest": partition.target_digest,
                    }
                    if plan.closely
                    else {}
                ),
                **(asdict(partition.changes) if partition.changes else {}),
            }
            for partition in plan.partitions
        ],
        "totals": plan.totals,
        "estimate_s": _estimate_json(plan),
        "undated": {one.table: one.source for one in plan.undated if one.source},
        "undated_target": {one.table: one.target for one in plan.undated if one.target},
        **({"moved": list(map(_moved_json, plan.moved))} if plan.by_key else {}),
    }


def _estimate_json(plan: Plan) -> dict[str, float] | None:
    if plan.estimate_s is None:
        return None
    low, high = plan.estimate_s
    return {"low": round(low, 1), "high": round(high, 1)}


def _moved_json(moved: MovedAway) -> dict[str, Any]:
    day = moved.day.isoformat() if moved.day else None
    return {"table": moved.table, "to": day, "rows": moved.rows, "at_least": moved.more}


def verification_json(found: Verification) -> dict[str, Any]:
    """What was compared, the partitions that differ, and the rows, with both sides' values."""
    return {
        "same": not found.differing,
        "partitions": len(found.partitions),
        "differing": [
            {
                "table": partition.table,
                "day": partition.day.isoformat(),
                "source_rows": partition.source_rows,
                "target_rows": partition.target_rows,
            }
            for partition in found.differing
        ],
        "differences": [
            {
                "kind": difference.kind.value,
                "table": difference.table,
                "day": difference.day.isoformat(),
                "key": difference.key,
                "source": difference.source,
                "target": difference.target,
            }
            for difference in found.differences
        ],
        "complete": found.complete,
        "rows_read_again": found.read_again,
    }


def seen_plan(text: str) -> SeenPlan:
    """The plan that a hash or a file with `plan_json` in it names. Raises UsageError."""
    if re.fullmatch(PLAN_HASH, text):
        return SeenPlan(text)
    try:
        seen = json.loads(Path(text).read_text(encoding="utf-8"))
        facts = {
            (p["table"], date.fromisoformat(p["day"])): tuple(map(p.get, FACTS))
            for p in seen["partitions"]
        }
        return SeenPlan(seen["plan_hash"], facts)
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            N_("“{given}” is no plan."),
            hint=N_("Give the hash that plan shows, or a file that `plan --json` wrote."),
            given=text,
        ) from None


def audit_json(audit: Audit) -> dict[str, Any]:
    """How many runs the target remembers, how many overlaps, and everything that must not be."""
    return {
        "runs": audit.runs,
        "overlaps": audit.overlaps,
        "faults": [
            {
                "kind": fault.kind.value,
                "run": _audited_json(fault.run),
                "next": _audited_json(fault.next) if fault.next else None,
                "table": fault.table,
                "day": fault.day.isoformat() if fault.day else None,
                "committed_at": _instant(fault.committed_at),
            }
            for fault in audit.faults
        ],
    }


def _audited_json(run: AuditedRun) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "token": run.token,
        "holder": holder_json(run.holder) if run.holder else None,
        "acquired_at": _instant(run.acquired_at),
    }


def _instant(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
