"""How a run begins: the lock, both sides looked at, the lease, the store; then the engine has it.

Each step that has begun is undone when a later one fails: then no run was made and the lock is
free. A queued run begins the same way, under the id that it has.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sync.changes import with_changes
from sync.circumstances import circumstances
from sync.counting import Counting
from sync.databases.failures import DRIVER_ERRORS, asking, reason
from sync.databases.stop import shut_down_unless
from sync.dates import checked
from sync.errors import (
    N_,
    BatchSyncError,
    Cancelled,
    CopyError,
    LeaseHeld,
    StoreError,
    UnknownRun,
)
from sync.locking.holder import current_holder, current_user, on_this_host
from sync.locking.lease import take_lease
from sync.locking.lock import ASK_AGAIN_S
from sync.model import Only, Progress, RunStatus, Verdict
from sync.order import Order
from sync.pairing.pair import chosen_tables, look, pair_all
from sync.planning import plan_range
from sync.queueing import new_run_id
from sync.runner import Runner
from sync.store import NewRun
from sync.verifying import BothSides, Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from sqlalchemy import Connection

    from sync.copying.group import Way
    from sync.differences import Verification
    from sync.ending import Ending
    from sync.history import History
    from sync.locking.lease import Closed, Lease
    from sync.locking.lock import Held
    from sync.model import Conflict, Holder, RunId, RunRequest, RunView
    from sync.pairing.pair import TablePair
    from sync.parts import Parts
    from sync.plan import Plan
    from sync.queueing import Queue


class Starting:
    """Starts runs of one target."""

    def __init__(self, parts: Parts, history: History, ending: Ending, queue: Queue) -> None:
        self._parts = parts
        self._history = history
        self._ending = ending
        self._queue = queue
        self._one_key = threading.Lock()

    def start(self, request: RunRequest, *, user: str | None, key: str | None) -> RunId:
        """Begin a run of somebody who waits for the answer. Raises as `Operations.start`."""
        with self._one_key:
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
        return not self._stored(conflict.run_id)

    def _stored(self, run_id: RunId) -> bool:
        try:
            self._parts.store.run(run_id)
        except UnknownRun:
            return False
        return True

    def begin(self, run: RunView) -> None:
        """Begin a queued run whose turn has come.

        Raises as `Operations.start`, and Cancelled when it waits no longer or is not the first.
        """
        self._start(run.request, user=run.holder.user, key=None, queued=run.id)

    def _start(
        self,
        request: RunRequest,
        *,
        user: str | None,
        key: str | None,
        queued: RunId | None = None,
    ) -> RunId:
        parts = self._parts
        checked(request.days)
        tables = chosen_tables(parts.settings.tables, request.tables)
        names = tuple(table.target for table in tables)
        among = self._among(request)
        run_id = queued or new_run_id()
        holder = current_holder(user)
        parts.store.open()
        try:
            held = parts.lock.acquire(run_id=run_id, holder=holder, days=request.days, tables=names)
        except LeaseHeld as refusal:
            raise LeaseHeld(self._enriched(refusal.conflict, user)) from None
        with ExitStack() as undo:
            undo.callback(held.release)
            if queued:
                self._queue.check_turn(queued)
            way = parts.way(run_id)
            undo.callback(way.close)
            reading, writing = way.open()
            # There is no run yet that could be taken over: a server that hangs must not keep the
            # locks for ever.
            begun = threading.Event()
            undo.callback(begun.set)
            patience_s = parts.settings.run.stall_after_s
            shut_down_unless(begun, patience_s, (reading, writing), held.shut_down)
            pairs = self._pairs(request, reading=reading, writing=writing)
            # The source is busy with counting while the target is with the lease.
            counting = self._counting(pairs, request, reading)
            undo.callback(counting.close)
            lease, closed = self._take(
                held, way, run_id=run_id, holder=holder, request=request, names=names
            )
            undo.push(partial(_close_unstarted, lease))
            new = NewRun(
                id=run_id,
                target=parts.target_name,
                request=request,
                tables=names,
                token=lease.token,
                holder=holder,
                key=key,
                queued=queued is not None,
                circumstances=circumstances(
                    parts.settings,
                    request,
                    pairs,
                    source=(parts.source, reading),
                    target=(parts.target, writing),
                    locks=held.fingerprint,
                ),
            )
            self._record(new, closed)
            self._hand_over(request, lease, way, pairs, counting, among)
            begun.set()
            undo.pop_all()
        return run_id

    def _among(self, request: RunRequest) -> frozenset[tuple[str, date]] | None:
        """The partitions that a request is narrowed to; None: to none."""
        if request.among is None and request.only is Only.FAILED:
            return self._history.failed_before(request)
        return request.among

    def _hand_over(
        self,
        request: RunRequest,
        lease: Lease,
        way: Way,
        pairs: Sequence[TablePair],
        counting: Counting,
        among: frozenset[tuple[str, date]] | None,
    ) -> None:
        parts = self._parts
        order = Order(
            request=request,
            pairs=pairs,
            counting=counting,
            among=among,
            lease=lease,
            way=way,
            source=parts.source,
            target=parts.target,
            store=parts.store,
            run=parts.settings.run,
            zone=parts.settings.zone,
            clock=parts.clock,
        )
        parts.engine.start(lease.run_id, Runner(order))

    def _pairs(
        self,
        request: RunRequest,
        *,
        reading: Connection,
        writing: Connection,
        adds: bool = True,
    ) -> Sequence[TablePair]:
        """Every table of a request, looked at on both sides. Raises SchemaError, ConnectError."""
        parts = self._parts
        tables = chosen_tables(parts.settings.tables, request.tables)
        there, here = look(
            tables, source=parts.source, target=parts.target, reading=reading, writing=writing
        )
        zone = parts.settings.zone
        with asking(parts.target):
            pairs = pair_all(tables, request.days, source=there, target=here, zone=zone, adds=adds)
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
            marks=parts.store.marks,
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
        with asking(parts.target):
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

    def _record(self, new: NewRun, closed: Sequence[Closed]) -> None:
        """Write how former runs ended, and that this one runs, into the store.

        Raises StoreError; Cancelled when it was withdrawn from the queue meanwhile.
        """
        parts = self._parts
        for former in closed:
            parts.store.finish(
                former.run_id, RunStatus.INTERRUPTED, error=former.reason, at=parts.clock.now()
            )
        # A run that ended while its store could not be written still stands there as running.
        if forgotten := parts.store.running(parts.target_name):
            parts.snapshots.close_dead(forgotten)
        parts.store.start(new)

    def _enriched(self, conflict: Conflict, user: str | None) -> Conflict:
        """A conflict with the progress and the verdict that store and target know."""
        run_id = conflict.run_id
        if run_id is None or conflict.holder is None:
            return conflict
        mine = conflict.holder.user == (user or current_user())
        try:
            conflict = replace(conflict, reached=self._stored(run_id))
            run, look = self._ending.look(run_id)
            if run.status is RunStatus.QUEUED:  # its turn has come, and it is just starting
                return replace(conflict, yours=mine)
            told = Verdict.UNKNOWN if look.verdict is Verdict.DEAD else look.verdict
            return replace(conflict, progress=run.progress, verdict=told, yours=mine)
        except (BatchSyncError, *DRIVER_ERRORS):
            return replace(conflict, yours=mine)

    def plan(self, request: RunRequest) -> Plan:
        """What a run would do. Raises as `Operations.plan`."""
        parts = self._parts
        with self._compared(request) as (sides, pairs):
            (_, reading), (_, writing) = sides.source, sides.target
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
            among = self._among(request)
            if among is not None:
                plan = plan.among(among)
            if request.rows:
                plan = with_changes(plan, pairs, request.days, sides, zone=parts.settings.zone)
        estimate_s = self._history.estimate_s(
            plan,
            at_once=parts.settings.run.max_parallel if parts.target.kind == "postgresql" else 1,
            allow_shrink=request.allow_shrink,
        )
        return replace(plan, estimate_s=estimate_s)

    def verify(self, request: RunRequest) -> Verification:
        """What differs between source and target. Raises as `Operations.verify`."""
        with self._compared(request, adds=False) as (sides, pairs):
            return Verifier(sides, zone=self._parts.settings.zone).verify(pairs, request.days)

    @contextmanager
    def _compared(
        self, request: RunRequest, *, adds: bool = True
    ) -> Iterator[tuple[BothSides, Sequence[TablePair]]]:
        """Both databases to read only, each in one snapshot, and the tables of a request in them.

        Raises what a refused start raises, and CopyError where a database fails in between.
        """
        parts = self._parts
        checked(request.days)
        with parts.source.connect() as reading, parts.target.connect(reads=True) as target:
            snapshot = parts.target.kind == "postgresql"
            writing = (
                target.execution_options(isolation_level="REPEATABLE READ") if snapshot else target
            )
            pairs = self._pairs(request, reading=reading, writing=writing, adds=adds)
            try:
                with BothSides((parts.source, reading), (parts.target, writing)) as sides:
                    yield sides, pairs
            except DRIVER_ERRORS as error:
                failed = N_("A database failed while it was compared: {reason}")
                raise CopyError(failed, hint="", reason=reason(error)) from None


def _close_unstarted(
    lease: Lease, kind: object, error: BaseException | None, trace: object
) -> None:
    del kind, trace
    status = RunStatus.CANCELLED if isinstance(error, Cancelled) else RunStatus.FAILED
    lease.close(status, why=str(error), progress=Progress())
