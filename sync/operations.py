"""What can be done with Batch Sync: the same for page, command line and HTTP."""

from __future__ import annotations

import secrets
import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from sync.counting import Counting
from sync.databases.failures import DRIVER_ERRORS
from sync.dates import checked
from sync.doctor import Doctor
from sync.ending import Ending
from sync.errors import BatchSyncError, ConnectError, LeaseHeld, StoreError, UnknownRun
from sync.history import History
from sync.locking.holder import current_holder, current_user, on_this_host
from sync.locking.lease import not_taken, take_lease
from sync.locking.lock import ASK_AGAIN_S
from sync.model import (
    CancelMode,
    Conflict,
    Only,
    Progress,
    RunId,
    RunRequest,
    RunStatus,
    RunView,
    Verdict,
)
from sync.order import Order
from sync.pairing import chosen_tables, look, pair_tables
from sync.plan import Plan
from sync.planning import plan_range
from sync.runner import Runner
from sync.store import NewRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sync.copying.group import Way
    from sync.databases.audit import Audit
    from sync.doctor import Finding
    from sync.locking.lease import Closed, Lease
    from sync.locking.lock import Held
    from sync.model import Holder, TakeoverPlan
    from sync.pairing import TablePair
    from sync.parts import Parts
    from sync.snapshot import Snapshot


class Operations:
    """One object a process.

    Made by `sync.wiring.open_operations(settings)`; safe to call from any thread.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._history = History(parts.store, parts.looker, parts.target_name)
        self._ending = Ending(parts)
        self._starting = threading.Lock()

    def start(
        self, request: RunRequest, *, user: str | None = None, key: str | None = None
    ) -> RunId:
        """Take the lease and start the run in a background thread; final when it returns.

        `key` makes a start idempotent: the same key a second time gives the same run's id.
        Raises LeaseHeld (with the conflict), RangeError, UnknownTable, ConnectError, SchemaError,
        RightsError, StoreError, LockError; then no run was made and the lock is free.
        """
        with self._starting:
            if key and (known := self._parts.store.by_key(key)):
                return known
            try:
                return self._start(request, user=user, key=key)
            except (LeaseHeld, StoreError) as refusal:
                if key and (known := self._begun_elsewhere(key, refusal)):
                    return known
                raise

    def _begun_elsewhere(self, key: str, refusal: LeaseHeld | StoreError) -> RunId | None:
        """The run that another process has begun under `key` since we looked."""
        parts = self._parts
        for _ in range(1 + int(parts.settings.run.start_wait_s / ASK_AGAIN_S)):
            again = isinstance(refusal, LeaseHeld) and self._just_begins(refusal.conflict)
            if (known := parts.store.by_key(key)) or not again:
                return known
            parts.clock.wait(threading.Event(), ASK_AGAIN_S)
        return None

    def _just_begins(self, conflict: Conflict) -> bool:
        """Whether a holder on this machine has the lock, but has not told the store yet."""
        if conflict.run_id is None or not (conflict.holder and on_this_host(conflict.holder)):
            return False
        try:
            self._parts.store.run(conflict.run_id)
        except UnknownRun:
            return True
        return False

    def _start(self, request: RunRequest, *, user: str | None, key: str | None) -> RunId:
        parts = self._parts
        checked(request.days)
        tables = chosen_tables(parts.settings.tables, request.tables)
        names = tuple(table.target for table in tables)
        among = self._history.failed_before(request) if request.only is Only.FAILED else None
        run_id = RunId(f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}")
        holder = current_holder(user)
        parts.store.open()
        try:
            held = parts.lock.acquire(run_id=run_id, holder=holder, days=request.days, tables=names)
        except LeaseHeld as refusal:
            raise LeaseHeld(self._enriched(refusal.conflict, user)) from None
        with ExitStack() as undo:
            undo.callback(held.release)
            way = parts.way(run_id)
            undo.callback(way.close)
            reading, writing = way.open()
            pairs = self._pairs(request, reading=reading, writing=writing)
            # The source is busy with counting while the target is with the lease.
            counting = self._counting(pairs, request, reading)
            undo.callback(counting.close)
            lease, closed = self._take(
                held, way, run_id=run_id, holder=holder, request=request, names=names
            )
            undo.push(partial(_close_unstarted, lease))
            self._record(lease, closed, holder=holder, request=request, names=names, key=key)
            order = Order(
                request=request,
                pairs=pairs,
                counting=counting,
                among=among,
                lease=lease,
                way=way,
                target=parts.target,
                store=parts.store,
                run=parts.settings.run,
                zone=parts.settings.zone,
                clock=parts.clock,
            )
            parts.engine.start(run_id, Runner(order))
            undo.pop_all()
        return run_id

    def _pairs(
        self, request: RunRequest, *, reading: Connection, writing: Connection
    ) -> Sequence[TablePair]:
        """Every table of a request, looked at on both sides. Raises SchemaError."""
        parts = self._parts
        tables = chosen_tables(parts.settings.tables, request.tables)
        there, here = look(
            tables, source=parts.source, target=parts.target, reading=reading, writing=writing
        )
        zone = parts.settings.zone
        pairs = [pair_tables(table, source=there, target=here, zone=zone) for table in tables]
        writing.rollback()
        return pairs

    def _counting(
        self, pairs: Sequence[TablePair], request: RunRequest, reading: Connection
    ) -> Counting:
        parts = self._parts
        return Counting(
            pairs,
            request.days,
            source=parts.source,
            reading=reading,
            zone=parts.settings.zone,
            closely=request.closely,
        )

    def _take(
        self,
        held: Held,
        way: Way,
        *,
        run_id: RunId,
        holder: Holder,
        request: RunRequest,
        names: tuple[str, ...],
    ) -> tuple[Lease, list[Closed]]:
        parts = self._parts
        try:
            return take_lease(
                held,
                way.write(),
                lock=parts.lock,
                target=parts.target,
                run_id=run_id,
                holder=holder,
                days=request.days,
                tables=names,
            )
        except DRIVER_ERRORS as error:
            raise not_taken(error, parts.target) from None

    def _record(
        self,
        lease: Lease,
        closed: Sequence[Closed],
        *,
        holder: Holder,
        request: RunRequest,
        names: tuple[str, ...],
        key: str | None,
    ) -> None:
        """Write how former runs ended, and that this one runs, into the store.

        Raises StoreError.
        """
        parts = self._parts
        for former in closed:
            parts.store.finish(
                former.run_id, RunStatus.INTERRUPTED, error=former.reason, at=parts.clock.now()
            )
        # A run that ended while its store could not be written still stands there as running.
        if forgotten := parts.store.running(parts.target_name):
            parts.snapshots.close_dead(forgotten)
        parts.store.start(
            NewRun(
                id=lease.run_id,
                target=parts.target_name,
                request=request,
                tables=names,
                token=lease.token,
                holder=holder,
                key=key,
            )
        )

    def _enriched(self, conflict: Conflict, user: str | None) -> Conflict:
        """A conflict with the progress and the verdict that store and target know."""
        if conflict.run_id is None or conflict.holder is None:
            return conflict
        mine = conflict.holder.user == (user or current_user())
        try:
            run, look = self._ending.look(conflict.run_id)
            told = Verdict.UNKNOWN if look.verdict is Verdict.DEAD else look.verdict
            return replace(conflict, progress=run.progress, verdict=told, yours=mine)
        except (BatchSyncError, *DRIVER_ERRORS):
            return replace(conflict, yours=mine)

    def resume(
        self,
        run_id: RunId | None = None,
        *,
        user: str | None = None,
        key: str | None = None,
        allow_shrink: bool = False,
    ) -> RunId | None:
        """Start a run over what a stopped one left undone.

        None: nothing to resume. Raises as `start`, UnknownRun.
        """
        # A dead holder's run is closed first, so that it can be resumed.
        self._parts.snapshots.present()
        run = self.run(run_id) if run_id else self._history.resumable()
        if run is None or run.status is RunStatus.SUCCEEDED:
            return None
        request = RunRequest(
            days=run.days,
            tables=tuple(name for name in run.tables if name in self._table_names()),
            only=run.only,
            allow_shrink=run.allow_shrink or allow_shrink,
            since_token=run.since_token or run.token,
        )
        return self.start(request, user=user, key=key)

    def _table_names(self) -> set[str]:
        return {table.target for table in self._parts.settings.tables}

    def cancel(
        self, run_id: RunId | None = None, mode: CancelMode = CancelMode.AFTER_GROUP
    ) -> RunId | None:
        """Ask the present run to stop.

        None when nothing runs. Raises UnknownRun when `run_id` is not running.
        """
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
            with suppress(ConnectError, *DRIVER_ERRORS):
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
        parts = self._parts
        checked(request.days)
        with parts.source.connect() as reading, parts.target.connect(reads=True) as writing:
            pairs = self._pairs(request, reading=reading, writing=writing)
            with closing(self._counting(pairs, request, reading)) as counting:
                plan = plan_range(
                    pairs,
                    request,
                    counting=counting,
                    target=parts.target,
                    writing=writing,
                    ledger=parts.lock.ledger,
                    zone=parts.settings.zone,
                    shrink_max=parts.settings.run.shrink_max,
                )
        if request.only is Only.FAILED:
            return plan.among(self._history.failed_before(request))
        return plan

    def history(self, limit: int = 50) -> tuple[RunView, ...]:
        """The newest runs first.

        The store's, and those that only the target remembers (another host's).
        """
        return self._history.recent(limit)

    def audit(self) -> Audit:
        """Whether the target's own record shows any two runs at once. Raises ConnectError."""
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
        """Cancel the runs of this process and wait for them."""
        for run_id in self._parts.engine.active():
            self._parts.engine.cancel(run_id, CancelMode.NOW)
            self._parts.engine.wait(run_id)


def _close_unstarted(
    lease: Lease, kind: object, error: BaseException | None, trace: object
) -> None:
    del kind, trace
    lease.close(RunStatus.FAILED, why=str(error), progress=Progress())
