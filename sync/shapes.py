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

from sync import __version__
from sync.errors import N_, UsageError
from sync.model import PartitionStatus, RunStatus
from sync.plan import BY_COUNTS, CLOSELY, SeenPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sync.databases.audit import Audit, AuditedRun
    from sync.differences import Difference, Verification
    from sync.model import DateRange, Holder, PartitionView, Progress, RunView
    from sync.plan import MovedAway, Plan
    from sync.report import Compared, Report
    from sync.snapshot import Snapshot


PLAN_HASH = f"[{CLOSELY}{BY_COUNTS}][0-9a-f]{{15}}"
VALUE_MAX = 1000  # signs of a value in a report
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
        "warnings": list(map(str, plan.warnings)),
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
        "differences": [_difference_json(difference) for difference in found.differences],
        "complete": found.complete,
        "rows_read_again": found.read_again,
    }


def _difference_json(difference: Difference) -> dict[str, Any]:
    return {
        "kind": difference.kind.value,
        "table": difference.table,
        "day": difference.day.isoformat(),
        "key": difference.key,
        "source": difference.source,
        "target": difference.target,
    }


def _bounded(difference: dict[str, Any]) -> dict[str, Any]:
    """The same with long values cut: a report is to be read."""

    def cut(values: Mapping[str, str | None] | None) -> dict[str, str | None] | None:
        if values is None:
            return None
        return {
            name: value[:VALUE_MAX] + "…" if value and len(value) > VALUE_MAX else value
            for name, value in values.items()
        }

    return difference | {side: cut(difference[side]) for side in ("key", "source", "target")}


def report_text(report: Report) -> str:
    """`report_json` as a file has it, and as its SHA-256 is taken: fit to stand in HTML, too."""
    text = json.dumps(report_json(report), ensure_ascii=False, indent=1)
    # Half a character, which an SQLite text may hold, and `<` are written as JSON writes them.
    return re.sub(r"[<\ud800-\udfff]", lambda c: f"\\u{ord(c[0]):04x}", text) + "\n"


def report_json(report: Report) -> dict[str, Any]:
    """Everything that is known of a run; `unknown` says what is not, in English."""
    run = report.run
    return {
        "report": 1,
        "made_at": report.made_at.isoformat(),
        "made_by": f"Batch Sync {__version__}",
        "run": past_run_json(run)
        | {
            "only": run.only.value,
            "allow_shrink": run.allow_shrink,
            "since_token": run.since_token,
            "ended_by": report.ended_by,
        },
        "target": report.target,
        "timezone": report.timezone,
        "circumstances": report.circumstances or None,
        "totals": report.totals,
        "partitions": [_reported_json(partition, report) for partition in report.partitions],
        "moved": [dict(facts) for facts in report.moved],
        "undated": [str(told) for told in report.noted("rows.undated")],
        "log": [
            {"at": line.at.isoformat(), "event": line.event, "text": str(line.text)}
            for line in report.log
        ],
        "unknown": [str(what) for what in report.unknown],
        "comparison": _compared_json(report.compared) if report.compared else None,
    }


def _reported_json(partition: PartitionView, report: Report) -> dict[str, Any]:
    """Its digest was the same on both sides, or it was not committed."""
    owners = report.owners or {}
    return {
        "table": partition.table,
        "day": partition.day.isoformat(),
        "state": partition.state.value if partition.state else None,
        "status": partition.status.value,
        "rows_before": partition.target_rows if partition.state else None,
        "source_rows": partition.source_rows,
        "rows": partition.rows if partition.status is PartitionStatus.DONE else None,
        "seconds": partition.seconds,
        "committed_at": _instant(partition.committed_at),
        "source_digest": partition.digest,
        "target_digest": partition.digest,
        "digest_kind": partition.digest_kind,
        "checkpoint_of": owners.get((partition.table, partition.day)),
        "error": str(partition.error) if partition.error else None,
    }


def _compared_json(compared: Compared) -> dict[str, Any]:
    found = compared.found
    return {
        "at": compared.at.isoformat(),
        "same": not found.differing,
        "partitions": [asdict(p) | {"day": p.day.isoformat()} for p in found.partitions],
        "differences": [_bounded(_difference_json(one)) for one in found.differences],
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
