"""The read model: one frozen value that holds all that a view shows, and how it is read.

Views poll; so a snapshot asks the store alone while things look well. What needs a connection to a
database (the source's range of days, a run of another host) is kept for a while and asked again by
one poller only.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from sync.errors import BatchSyncError, StoreError
from sync.locking.holder import any_lives, current_user
from sync.model import RunView, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from sync.clock import Clock
    from sync.locking.looking import Looker
    from sync.model import Conflict, LogLine, PartitionView, Sample
    from sync.store import Store
    from sync.told import Told

T = TypeVar("T")
RECENT = 10
SAMPLES = 300
SPARKS = 40
LOG_LINES = 50
ELSEWHERE_S = 5.0
RANGE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What every view draws.

    `state` is "idle", or the status of the present run ("queued", "running"), or, while its holder
    does not look well, the verdict ("stalled", "paused", "unknown", "lost"); "unknown" without a
    run where store or target cannot tell whether there is one. `run` is the present run, None when
    idle or unknown; `shown` the run whose days and samples are given here: the present one, else
    the newest. `queue` holds the requests that wait, the next one first; `served` is whether a
    live process would start them. `timezone` is the settings', in which days begin and times are
    shown. `problem` is there when something could not be read.
    """

    taken_at: datetime
    state: str
    run: RunView | None
    verdict: Verdict | None
    evidence: tuple[Told, ...]
    shown: RunView | None
    partitions: tuple[PartitionView, ...]
    samples: tuple[Sample, ...]
    log: tuple[LogLine, ...]
    recent: tuple[RunView, ...]
    sparklines: dict[str, tuple[float, ...]]
    data_range: tuple[date, date] | None
    tables: tuple[str, ...]
    demo: bool
    connections: int
    timezone: str
    queue: tuple[RunView, ...] = ()
    served: bool = True
    problem: Told | None = None

    @property
    def last_run(self) -> RunView | None:
        """The newest run that has ended."""
        return next((run for run in self.recent if run.status.final and not run.withdrawn), None)

    @property
    def untold(self) -> bool:
        """Whether nobody can say if a sync runs: `problem` says why."""
        return self.run is None and self.state == "unknown"

    @property
    def busy(self) -> bool:
        """Whether a start would be refused now."""
        return self.run is not None


class Kept(Generic[T]):
    """A value asked for at most every `max_age_s` seconds, by one thread at a time."""

    def __init__(self, ask: Callable[[], T], clock: Clock, *, max_age_s: float, default: T) -> None:
        self._ask = ask
        self._clock = clock
        self._max_age_s = max_age_s
        self._value = default
        self._asked_at: float | None = None
        self._guard = threading.Lock()
        self.problem: Told | None = None

    def get(self) -> T:
        """The value; the old one when it cannot be had, and then `problem` says why."""
        fresh = (
            self._asked_at is not None
            and self._clock.monotonic() - self._asked_at < self._max_age_s
        )
        if not fresh and self._guard.acquire(blocking=self._asked_at is None):
            try:
                self._refresh()
            finally:
                self._guard.release()
        return self._value

    def forget(self) -> None:
        """Ask anew the next time."""
        self._asked_at = None

    def _refresh(self) -> None:
        try:
            self._value = self._ask()
            self.problem = None
        except BatchSyncError as error:
            self.problem = error.told
        self._asked_at = self._clock.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a snapshot says of the installation itself."""

    target: str
    tables: tuple[str, ...]
    demo: bool
    connections: int
    timezone: str


class SnapshotReader:
    """Reads snapshots of one target; safe from any thread."""

    def __init__(
        self,
        store: Store,
        looker: Looker,
        clock: Clock,
        place: Place,
        data_range: Callable[[], tuple[date, date] | None],
    ) -> None:
        self._store = store
        self._looker = looker
        self._clock = clock
        self._place = place
        self._queue = store.queue(place.target)
        self._data_range: Kept[tuple[date, date] | None] = Kept(
            data_range, clock, max_age_s=RANGE_S, default=None
        )
        self._elsewhere: Kept[Conflict | None] = Kept(
            looker.elsewhere, clock, max_age_s=ELSEWHERE_S, default=None
        )

    def read(self) -> Snapshot:
        """What every view shows now.

        A store or database that cannot be read is told in `problem`.
        """
        try:
            return self._read()
        except StoreError as error:
            return self._snapshot(untold=error.told)

    def _read(self) -> Snapshot:
        store, target = self._store, self._place.target
        run, verdict, evidence = self.present()
        recent = store.recent(target, RECENT)
        shown = run or next((view for view in recent if not view.withdrawn), None)
        queue = tuple(view for view in self._queue.waiting() if run is None or view.id != run.id)
        known = shown is not None and any(view.id == shown.id for view in recent)
        read = self._snapshot(
            run=run,
            verdict=verdict,
            evidence=evidence,
            shown=shown,
            recent=recent,
            partitions=store.partitions(shown.id) if shown and known else (),
            samples=store.samples(shown.id, SAMPLES) if shown and known else (),
            log=store.log(shown.id, LOG_LINES) if shown and known else (),
            sparklines=store.sparklines([view.id for view in recent], SPARKS),
            untold=None if run else self._elsewhere.problem,
        )
        served = not queue or any_lives(self._queue.processes(self._clock.now()))
        return replace(read, queue=queue, served=served)

    def present(self) -> tuple[RunView | None, Verdict | None, tuple[Told, ...]]:
        """The present run with its verdict; the run of a holder found dead is closed on the way."""
        run = self._store.running(self._place.target)
        if run is None:
            conflict = self._elsewhere.get()
            foreign = self._view_of(conflict) if conflict else None
            return foreign, (conflict.verdict if conflict and foreign else None), ()
        try:
            look = self._looker.look_at(run, self._clock.now())
        except BatchSyncError as error:
            return run, Verdict.UNKNOWN, (error.told,)
        if look.verdict is not Verdict.DEAD:
            return run, look.verdict, look.evidence
        self.close_dead(run)
        return None, None, ()

    def close_dead(self, run: RunView) -> None:
        """Close a run whose holder is dead, in target and store."""
        status, why, at = self._looker.close_dead(run.id, run.holder, by=current_user())
        self._store.finish(run.id, status, error=why, at=at or self._clock.now())

    def look_anew(self) -> None:
        """Whoever held the lease may have been ended just now."""
        self._elsewhere.forget()

    def _view_of(self, conflict: Conflict) -> RunView | None:
        """A run that only its lock or its target tells of, as a view.

        None when it has just ended here.
        """
        if any(
            run.id == conflict.run_id and run.status.final
            for run in self._store.recent(self._place.target, RECENT)
        ):
            return None
        return conflict.view()

    def _snapshot(
        self,
        *,
        run: RunView | None = None,
        verdict: Verdict | None = None,
        evidence: tuple[Told, ...] = (),
        shown: RunView | None = None,
        recent: tuple[RunView, ...] = (),
        partitions: tuple[PartitionView, ...] = (),
        samples: tuple[Sample, ...] = (),
        log: tuple[LogLine, ...] = (),
        sparklines: dict[str, tuple[float, ...]] | None = None,
        untold: Told | None = None,
    ) -> Snapshot:
        """`untold` is why nobody can say whether a sync runs."""
        if run is None:
            state = "unknown" if untold else "idle"
        else:
            ill = verdict and verdict is not Verdict.RUNNING
            state = verdict.value if verdict and ill else run.status.value
        data_range = self._data_range.get()
        return Snapshot(
            taken_at=self._clock.now(),
            state=state,
            run=run,
            verdict=verdict,
            evidence=evidence,
            shown=shown,
            partitions=partitions,
            samples=samples,
            log=log,
            recent=recent,
            sparklines=sparklines or {},
            data_range=data_range,
            tables=self._place.tables,
            demo=self._place.demo,
            connections=self._place.connections,
            timezone=self._place.timezone,
            problem=untold or self._data_range.problem,
        )
