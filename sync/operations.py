"""What can be done with Batch Sync: the same for page, command line and HTTP."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sync.doctor import Doctor
from sync.ending import Ending
from sync.errors import N_, ConnectError, RightsError, UsageError
from sync.history import History
from sync.model import CancelMode, DateRange, Only, RunRequest, RunStatus
from sync.plan import refuse_other
from sync.queueing import Dispatcher, Queue
from sync.report import Compared, Reporter
from sync.starting import Starting

if TYPE_CHECKING:
    from sync.databases.audit import Audit
    from sync.differences import Verification
    from sync.doctor import Finding
    from sync.model import RunId, RunView, TakeoverPlan
    from sync.parts import Parts
    from sync.plan import Plan
    from sync.report import Report
    from sync.snapshot import Snapshot


class Operations:
    """One object a process.

    Made by `sync.wiring.open_operations(settings)`; safe to call from any thread.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._history = History(parts.store, parts.looker, parts.target_name)
        self._reporter = Reporter(
            self._history, parts.store, parts.looker, parts.clock, parts.settings.timezone
        )
        self._ending = Ending(parts)
        self._queue = Queue(parts.store, parts.target_name, parts.settings.tables, parts.clock)
        self._starting = Starting(parts, self._history, self._ending, self._queue)
        self._dispatcher = Dispatcher(
            self._queue.stored,
            parts.snapshots,
            self._starting.begin,
            parts.settings.run,
            parts.clock,
        )

    def start(
        self, request: RunRequest, *, user: str | None = None, key: str | None = None
    ) -> RunId:
        """Take the lease and start the run in a background thread; final when it returns.

        `key` makes a start idempotent: the same key a second time gives the same run's id.
        Raises LeaseHeld (with the conflict), RangeError, UnknownTable, ConnectError, SchemaError,
        RightsError, StoreError, LockError; then no run was made and the lock is free.
        """
        return self._starting.start(request, user=user, key=key)

    def enqueue(
        self, request: RunRequest, *, user: str | None = None, key: str | None = None
    ) -> RunId:
        """Put a request behind those that wait; a live process starts it when its turn comes.

        That is within a second where nothing runs or waits. `key` as in `start`. Raises RangeError,
        UnknownTable, NobodyStarts, StoreError; then nothing was stored.
        """
        run_id = self._queue.add(request, user=user, key=key)
        self._dispatcher.wake()
        return run_id

    def queue(self) -> tuple[RunView, ...]:
        """The requests that wait, the next one first."""
        return self._queue.stored.waiting()

    def serve_queue(self) -> None:
        """Start what is queued from this process, until `close`; for processes that live long."""
        self._dispatcher.open()

    def resume(
        self,
        run_id: RunId | None = None,
        *,
        user: str | None = None,
        key: str | None = None,
        allow_shrink: bool = False,
    ) -> RunId | None:
        """Start a run over what a stopped one left undone, as the databases are now.

        It takes no partition that was not in that one's plan. None: nothing to resume. Raises as
        `start`, UnknownRun, and UsageError: it is queued, or its plan was refused.
        """
        # A dead holder's run is closed first, so that it can be resumed.
        self._parts.snapshots.present()
        run = self.run(run_id) if run_id else self._history.resumable()
        if run is None or run.status is RunStatus.SUCCEEDED:
            return None
        if run.status is RunStatus.QUEUED:
            raise UsageError(
                N_("Run {run_id} has not begun: it waits in the queue."), run_id=run.id
            )
        request = replace(
            run.request,
            tables=tuple(name for name in run.tables if name in self._table_names()),
            allow_shrink=run.allow_shrink or allow_shrink,
            since_token=run.since_token or run.token,
            among=self._history.left_undone(run),
        )
        return self.start(request, user=user, key=key)

    def _table_names(self) -> set[str]:
        return {table.target for table in self._parts.settings.tables}

    def cancel(
        self, run_id: RunId | None = None, mode: CancelMode = CancelMode.AFTER_GROUP
    ) -> RunId | None:
        """Ask the present run to stop, or withdraw a queued one.

        None when nothing runs, or that run has ended already. Raises UnknownRun; HeldElsewhere when
        target or lock alone know who holds it; ConnectError, RightsError, LockError, StoreError
        when whether anything runs cannot be told.
        """
        if run_id and self._queue.withdraw(run_id):
            return run_id
        return self._ending.cancel(run_id, mode)

    def plan_takeover(self, run_id: RunId) -> TakeoverPlan:
        """What a takeover of a run would break, and what speaks for it; changes nothing.

        Raises UnknownRun, ConnectError, LockError.
        """
        return self._ending.plan(run_id)

    def take_over(
        self, run_id: RunId, *, reason: str, user: str | None = None, force: bool = False
    ) -> RunView:
        """End a holder that is not dead, and close its run; how that ended.

        May be killed at any instant and done again, by anyone. Raises UnknownRun, UsageError (no
        reason), TakeoverRefused (it runs well, and no `force`), LeaseHeld (a third one has the
        lease by now), ConnectError, RightsError, LockError, StoreError.
        """
        return self._ending.take_over(run_id, reason=reason, user=user, force=force)

    def wait(self, run_id: RunId, timeout_s: float | None = None) -> RunView:
        """Wait for a run of this process to release its lease; its view then. Raises UnknownRun."""
        ended = self._parts.engine.wait(run_id, timeout_s)
        view = self.run(run_id)
        if ended and not view.status.final:
            # The store could not be written at the end: the target remembers it.
            with suppress(ConnectError, RightsError):
                runs = self._parts.looker.ledger_runs()
                return next((run.view() for run in runs if run.run_id == run_id), view)
        return view

    def snapshot(self) -> Snapshot:
        """What every view shows.

        Never raises for a store or database that cannot be read: see `problem`.
        """
        return self._parts.snapshots.read()

    def plan(self, request: RunRequest) -> Plan:
        """What a run would do, partition by partition. Raises as `start` but never LeaseHeld."""
        return self._starting.plan(request)

    def check_seen(self, request: RunRequest) -> None:
        """Raise PlanChanged unless the plan that was seen holds, before a run is made of it.

        The run looks again in its own snapshot. Raises as `plan`.
        """
        if request.seen:
            refuse_other(self.plan(request), request.seen)

    def verify(self, request: RunRequest) -> Verification:
        """Compare source and target by digest, and list what differs; changes nothing.

        Raises as `start` but never LeaseHeld. Each side is one snapshot; what a run commits
        meanwhile may show as a difference.
        """
        return self._starting.verify(request)

    def repair(
        self, request: RunRequest, found: Verification, *, user: str | None = None
    ) -> RunId | None:
        """Start a run over the partitions that differ, as any other run; None: there are none.

        Raises as `start`.
        """
        among = frozenset((partition.table, partition.day) for partition in found.differing)
        if not among:
            return None
        days = sorted(day for _, day in among)
        wanted = replace(
            request,
            days=DateRange(days[0], days[-1]),
            tables=tuple(sorted({table for table, _ in among})),
            only=Only.CHANGED,  # so that a resumed one copies nothing but what differs
            among=among,
        )
        return self.start(wanted, user=user)

    def history(self, limit: int = 50) -> tuple[RunView, ...]:
        """The newest runs first.

        The store's, and those that only the target remembers (another host's).
        """
        # What a dead holder left open is closed first, so that it is not shown as running.
        self._parts.snapshots.present()
        return self._history.recent(limit)

    def report(self, run: str, *, compare: bool = False) -> Report:
        """Everything that is known of a run, by its id, the beginning of it, or `last`.

        `compare` adds how both sides of its range are now. Raises UnknownRun, UsageError (no one
        run is meant), StoreError; comparing, as `verify`.
        """
        self._parts.snapshots.present()
        found = self._reporter.report(self._history.find(run))
        if not compare:
            return found
        at = self._parts.clock.now()
        verification = self.verify(RunRequest(days=found.run.days, tables=found.run.tables))
        return replace(found, compared=Compared(at=at, found=verification))

    def audit(self) -> Audit:
        """Whether the target's own record shows any two runs at once.

        Raises ConnectError, RightsError.
        """
        return self._parts.looker.audit()

    def run(self, run_id: RunId) -> RunView:
        """One run. Raises UnknownRun."""
        return self._history.run(run_id)

    def check(self) -> tuple[Finding, ...]:
        """What the doctor finds."""
        parts = self._parts
        return Doctor(
            parts.settings,
            source=parts.source,
            target=parts.target,
            store=parts.store,
            lock=parts.lock,
            looker=parts.looker,
            clock=parts.clock,
            demo=parts.demo,
        ).examine()

    def close(self) -> None:
        """Cancel the runs of this process and wait for them; what is queued stays."""
        self._dispatcher.close()
        for run_id in self._parts.engine.active():
            self._parts.engine.cancel(run_id, CancelMode.NOW)
            self._parts.engine.wait(run_id)
