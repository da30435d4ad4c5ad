"""Who holds a lock, as it stands in the lock or beside it.

No command line: arguments carry secrets. The holder's random name makes each record another one.
"""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

from sync.model import Conflict, DateRange, Holder, RunId

if TYPE_CHECKING:
    from collections.abc import Sequence


def record_of(*, run_id: RunId, holder: Holder, days: DateRange, tables: Sequence[str]) -> str:
    """One JSON object."""
    facts = {
        "run_id": run_id,
        "holder": holder.to_json(),
        "start_date": days.start.isoformat(),
        "end_date": days.end.isoformat(),
        "tables": list(tables),
    }
    return json.dumps(facts, ensure_ascii=False)


def conflict_in(record: str | bytes) -> Conflict | None:
    """What `record_of` wrote, as who is in the way; None when it cannot be understood."""
    try:
        facts = json.loads(record)
        return Conflict(
            holder=Holder.from_json(facts["holder"]),
            run_id=RunId(facts["run_id"]),
            days=DateRange(
                date.fromisoformat(facts["start_date"]), date.fromisoformat(facts["end_date"])
            ),
            tables=tuple(facts["tables"]),
        )
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
