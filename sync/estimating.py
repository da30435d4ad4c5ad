"""About how long a run of a plan would take, from how fast past runs were.

The rows of each table by the rate of its past runs, and what a run takes besides copying: looking,
counting, digests. A rate is taken from runs that copied at least a tenth of the rows, else from the
one that copied most: what a run of few rows takes is not their doing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sync.model import PlanState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sync.plan import Plan
    from sync.store import PastRun

SPREAD = 1.25  # no two runs are alike, and what was measured is seldom the extreme
ENOUGH = 10


def estimate_s(
    plan: Plan, past: Sequence[PastRun], *, at_once: int, allow_shrink: bool
) -> tuple[float, float] | None:
    """Seconds at the least and at the most; None where a table was never copied.

    `at_once` is how many groups are copied side by side.
    """
    rows: Counter[str] = Counter()
    for partition in plan.partitions:
        if allow_shrink or partition.state is not PlanState.HELD_BACK:
            rows[partition.table] += partition.source_rows
    besides = [
        max(0.0, run.seconds - sum(seconds for _, seconds in run.tables.values()) / at_once)
        for run in past
    ]
    if not besides:
        return None
    low, high = min(besides), max(besides)
    for table, wanted in (+rows).items():
        rates = _rates(table, wanted, past)
        if not rates:
            return None
        low += wanted / max(rates) / at_once
        high += wanted / min(rates)
    return low / SPREAD, high * SPREAD


def _rates(table: str, wanted: int, past: Sequence[PastRun]) -> list[float]:
    """Rows a second of the past runs that tell most of so many rows."""
    known = [(rows, rows / seconds) for run in past for rows, seconds in _copied(run, table)]
    most = max((rows for rows, _ in known), default=0)
    return [rate for rows, rate in known if rows >= min(most, wanted / ENOUGH)]


def _copied(run: PastRun, table: str) -> list[tuple[int, float]]:
    rows, seconds = run.tables.get(table, (0, 0.0))
    return [(rows, seconds)] if rows and seconds > 0 else []
