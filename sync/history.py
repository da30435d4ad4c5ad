"""The runs that there were: which failed, which can be resumed.

The store knows this machine's runs; what only the target remembers (another host's) stands beside
them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sync.errors import (
    N_,
    ConnectError,
    PlanChanged,
    RightsError,
    StoreError,
    UnknownRun,
    UsageError,
)
from sync.estimating import estimate_s
from sync.model import Only, PartitionStatus, RunId, RunStatus, RunView

if TYPE_CHECKING:
    from datetime import date

    from sync.locking.looking import Looker
    from sync.model import RunRequest
    from sync.plan import Plan
    from sync.store import Store

HISTORY_MAX = 500
TELLING_MAX = 8  # past runs that tell how long the next one takes
LAST = "last"
SHOWN = 5  # runs that are named


@dataclass(frozen=True, slots=True)
class History:
    """The runs of one target."""

    store: Store
    looker: Looker
    target_name: str

    def recent(self, limit: int) -> tuple[RunView, ...]:
        """The newest runs first."""
        known = self.store.recent(self.target_name, min(limit, HISTORY_MAX))
        # The target may know a queued run by a try to start it that was killed.
        queued = self.store.queue(self.target_name).waiting()
        ids = {run.id for run in (*known, *queued)}
        others: list[RunView] = []
        with suppress(ConnectError, RightsError):
            others = [run.view() for run in self.looker.ledger_runs(limit) if run.run_id not in ids]
        return tuple(
            sorted([*known, *others], key=lambda run: run.started_at, reverse=True)[:limit]
        )

    def run(self, run_id: RunId) -> RunView:
        """One run. Raises UnknownRun."""
        try:
            return self.store.run(run_id, target=self.target_name)
        except UnknownRun:
            with suppress(ConnectError, RightsError):
                if entry := self.looker.entry(run_id):
                    return entry.view()
            raise

    def find(self, text: str) -> RunView:
        """The run of that id, or the only one whose id begins so; `last` is the newest.

        Raises UnknownRun, UsageError.
        """
        if text == LAST:
            ran = (run for run in self.recent(HISTORY_MAX) if not run.withdrawn)
            if newest := next(ran, None):
                return newest
            raise UsageError(N_("Nothing has run yet."))
        with suppress(UnknownRun):
            return self.run(RunId(text))
        found = [run for run in self.recent(HISTORY_MAX) if text and run.id.startswith(text)]
        if len(found) > 1:
            raise UsageError(
                N_("“{given}” begins more than one run: {runs}"),
                hint=N_("Give more of its id."),
                given=text,
                runs=", ".join(run.id for run in found[:SHOWN]) + (", …" * (len(found) > SHOWN)),
            )
        if not found:
            raise UnknownRun(run_id=text)
        return found[0]

    def failed_before(self, request: RunRequest) -> frozenset[tuple[str, date]]:
        """Partitions that failed or were held back, and that no later run has copied."""
        return self.store.past(self.target_name).undone(request.days)

    def estimate_s(
        self, plan: Plan, *, at_once: int, allow_shrink: bool
    ) -> tuple[float, float] | None:
        """About how long a run of a plan would take; None where nothing tells."""
        with suppress(StoreError):
            past = self.store.past(self.target_name).runs(TELLING_MAX)
            return estimate_s(plan, past, at_once=at_once, allow_shrink=allow_shrink)
        return None

    def left_undone(self, run: RunView) -> frozenset[tuple[str, date]] | None:
        """The partitions of a run's plan that it did not copy; None where no plan is known of it.

        Raises UsageError for one that stopped since its plan was not the one that was seen.
        """
        if _refused(run):
            raise UsageError(
                N_("Run {run_id} had not begun: the plan that was seen held no longer."),
                hint=N_("Look at the plan again, then start a run of it."),
                run_id=run.id,
            )
        known = self.store.partitions(run.id)
        undone = ((p.table, p.day) for p in known if p.status is not PartitionStatus.DONE)
        return frozenset(undone) if known else None

    def resumable(self) -> RunView | None:
        """The newest run that did not succeed and that no later one has made good.

        Nobody wants one that was withdrawn, or whose plan was no longer the one that was seen.
        """
        later: list[RunView] = []
        for run in self.recent(HISTORY_MAX):
            unwanted = run.status is RunStatus.SUCCEEDED or run.withdrawn or _refused(run)
            if not unwanted and not any(_makes_good(other, run) for other in later):
                return run
            later.append(run)
        return None


def _refused(run: RunView) -> bool:
    return run.error is not None and run.error.template == PlanChanged.template


def _makes_good(later: RunView, run: RunView) -> bool:
    """Whether a later run that succeeded did all that this one left undone."""
    if later.status is not RunStatus.SUCCEEDED:
        return False
    resumed = later.since_token is not None and later.since_token == (run.since_token or run.token)
    covers = (
        later.since_token is None
        and later.only is Only.ALL
        and later.days.start <= run.days.start
        and later.days.end >= run.days.end
        and set(later.tables) >= set(run.tables)
    )
    return resumed or covers
