"""How far a run is: partitions, rows, rate and time left, gathered from its threads for the store.

Rows that are copied but not yet committed count as under way; they are taken back when their group
fails.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sync.errors import N_
from sync.model import LogLine, PartitionStatus, PartitionView, PlanState, Progress, Sample
from sync.store import Tick
from sync.told import Told

if TYPE_CHECKING:
    from datetime import date

    from sync.clock import Clock
    from sync.copying.group import Moved
    from sync.plan import Plan
    from sync.planning import Group

RATE_WINDOW_S = 5.0
ETA_AFTER_S = 2.0
SETTLED = {
    PartitionStatus.DONE,
    PartitionStatus.UNCHANGED,
    PartitionStatus.HELD_BACK,
    PartitionStatus.FAILED,
}


class Tracker:
    """The present state of one run; every method may be called from any thread."""

    def __init__(self, clock: Clock, *, sample_every_s: float) -> None:
        self._clock = clock
        self._sample_every_s = sample_every_s
        self._guard = threading.Lock()
        self._partitions: dict[tuple[str, date], PartitionView] = {}
        self._statuses: Counter[PartitionStatus] = Counter()
        self._changed: dict[tuple[str, date], PartitionView] = {}
        self._events: list[LogLine] = []
        self._rows_done = 0
        self._rows_total = 0
        self._in_flight = 0
        self._current: str | None = None
        self._progress_at = clock.now()
        self._began = clock.monotonic()
        self._window: deque[tuple[float, int]] = deque([(self._began, 0)])
        self._sampled = (self._began, 0)

    def planned(self, plan: Plan, *, allow_shrink: bool) -> tuple[PartitionView, ...]:
        """The run's partitions as they begin; held back ones are settled already. Notes it, too."""
        with self._guard:
            for p in plan.partitions:
                held = p.state is PlanState.HELD_BACK and not allow_shrink
                view = PartitionView(
                    table=p.table,
                    day=p.day,
                    status=PartitionStatus.HELD_BACK if held else PartitionStatus.PENDING,
                    rows=p.source_rows,
                    target_rows=p.target_rows,
                    state=p.state,
                    source_rows=p.source_rows,
                )
                self._partitions[p.table, p.day] = view
                self._statuses[view.status] += 1
                self._rows_total += 0 if held else p.source_rows
            self._began = self._clock.monotonic()
            self._window = deque([(self._began, 0)])
            self._sampled = (self._began, 0)
            views = tuple(self._partitions.values())
        text, rows = N_("Planned: {rows:,} rows (partitions: {partitions:,})."), plan.totals
        told = Told(text, partitions=rows["partitions"], rows=rows["source_rows"])
        self.note("run.planned", told)
        for told in (told for undated in plan.undated for told in undated.told):
            self.note("rows.undated", told)
        return views

    def copying(self, group: Group) -> None:
        """A group is under way."""
        self._move(group, PartitionStatus.COPYING)
        with self._guard:
            self._current = (
                f"{group.pair.name} {group.days if len(group.days) > 1 else group.days.start}"
            )

    def done(self, group: Group, moved: Moved, seconds: float) -> None:
        """A group is committed: what became of it, seconds it took."""
        share = seconds / len(group.partitions)
        self._move(group, PartitionStatus.DONE, moved=moved, seconds=share)
        with self._guard:
            self._rows_done += sum(moved.rows_by_day.values())
            self._in_flight = 0
            self._progress_at = self._clock.now()

    def failed(self, group: Group, error: Told) -> None:
        """A group could not be copied."""
        self._move(group, PartitionStatus.FAILED, error=error)

    def pending(self, group: Group) -> None:
        """A group is to be tried again."""
        self._move(group, PartitionStatus.PENDING)

    def _move(
        self,
        group: Group,
        status: PartitionStatus,
        *,
        moved: Moved | None = None,
        seconds: float | None = None,
        error: Told | None = None,
    ) -> None:
        with self._guard:
            for p in group.partitions:
                key = (p.table, p.day)
                before = self._partitions[key]
                after = replace(before, status=status, seconds=seconds, error=error)
                if moved:
                    digest = moved.digests[p.day].value if moved.digests else None
                    after = replace(
                        after,
                        rows=moved.rows_by_day.get(p.day, 0),
                        committed_at=self._clock.now(),
                        digest=digest,
                        digest_kind=group.pair.digest_kind if digest else None,
                    )
                self._statuses[before.status] -= 1
                self._statuses[status] += 1
                self._partitions[key] = self._changed[key] = after

    def in_flight(self, rows: int) -> None:
        """Rows that are copied but not committed."""
        with self._guard:
            if rows != self._in_flight:
                self._in_flight = rows
                self._progress_at = self._clock.now()

    def note(self, event: str, text: Told) -> None:
        """Something worth a line in the run's log."""
        with self._guard:
            self._events.append(LogLine(at=datetime.now(UTC), event=event, text=text))

    def count(self, status: PartitionStatus) -> int:
        """How many partitions are in a status."""
        with self._guard:
            return self._statuses[status]

    def held_back(self, limit: int = 3) -> list[Told]:
        """That partitions were held back, if any were."""
        held = PartitionStatus.HELD_BACK
        with self._guard:
            found = [f"{p.table} {p.day}" for p in self._partitions.values() if p.status is held]
        if not found:
            return []
        text = N_("Held back, as the target has far more rows: {which} (partitions: {count}).")
        hint = N_("If the source is right, let them through: --allow-shrink, or the tick.")
        which = ", ".join(found[:limit]) + (", …" if len(found) > limit else "")
        return [Told(text, hint=hint, count=len(found), which=which)]

    def progress(self) -> Progress:
        """How far the run is now."""
        with self._guard:
            return self._progress(self._clock.monotonic())

    def _progress(self, now: float) -> Progress:
        rows = min(self._rows_done + self._in_flight, max(self._rows_total, self._rows_done))
        self._window.append((now, rows))
        while len(self._window) > 2 and now - self._window[1][0] >= RATE_WINDOW_S:
            self._window.popleft()
        since, before = self._window[0]
        rate = max(0.0, (rows - before) / (now - since)) if now > since else 0.0
        spent = now - self._began
        average = rows / spent if spent > 0 else 0.0
        tellable = spent >= ETA_AFTER_S and average > 0 and rows < self._rows_total
        return Progress(
            partitions_done=sum(self._statuses[status] for status in SETTLED),
            partitions_total=len(self._partitions),
            rows_done=rows,
            rows_total=self._rows_total,
            rows_per_s=rate,
            eta_s=(self._rows_total - rows) / average if tellable else None,
        )

    def tick(self) -> Tick:
        """Everything that changed since the last tick.

        Hand it back with `unsaved` when it could not be kept.
        """
        with self._guard:
            now = self._clock.monotonic()
            progress = self._progress(now)
            at = self._clock.now()
            since, before = self._sampled
            sample = None
            if now - since >= self._sample_every_s and self._partitions:
                rate = max(0.0, (progress.rows_done - before) / (now - since))
                sample = Sample(at=at, rows_per_s=rate)
                self._sampled = (now, progress.rows_done)
            tick = Tick(
                at=at,
                progress_at=self._progress_at,
                progress=progress,
                current=self._current,
                partitions=tuple(self._changed.values()),
                events=tuple(self._events),
                sample=sample,
                held_back=self._statuses[PartitionStatus.HELD_BACK],
                failed=self._statuses[PartitionStatus.FAILED],
            )
            self._changed, self._events = {}, []
            return tick

    def unsaved(self, tick: Tick) -> None:
        """Take back what could not be kept; newer news of a partition win."""
        with self._guard:
            self._changed = {(p.table, p.day): p for p in tick.partitions} | self._changed
            self._events = [*tick.events, *self._events]
