"""The run: hold the lease, walk the plan, stop cleanly.

    plan ──► make what lacks ──► group by group ──► close ──► release
               │                       │
               └── a stop (cancel, lease lost, source lost) ends it after or within a group

Threads: this one copies (with helpers when `max_parallel` > 1); the beater tells the target that
the run lives and finds out when the lease is lost; the reporter tells the store how far it is, and
hears of cancels.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from sync.copying import failing
from sync.copying.fitting import refuse_unheld
from sync.copying.group import replace_group
from sync.databases.failures import DRIVER_ERRORS, Failure, reason
from sync.databases.stop import end_statements_of
from sync.errors import (
    N_,
    BatchSyncError,
    Cancelled,
    ConnectError,
    CopyError,
    LeaseLost,
    StoreError,
    together,
)
from sync.making import move_sequences, prepare
from sync.model import CancelMode, PartitionStatus, RunStatus
from sync.plan import refuse_other
from sync.planning import cut_groups, plan_range
from sync.told import Told
from sync.tracking import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from sync.copying.group import Mover
    from sync.order import Order
    from sync.planning import Group

log = structlog.get_logger()
SAMPLE_EVERY_S = 1.0
STORE_END_S = 10.0  # the lease is free after this, whether or not the store knows of the end
ENDS = {Cancelled: RunStatus.CANCELLED, LeaseLost: RunStatus.INTERRUPTED}
HOPELESS = {Failure.NO_ROOM, Failure.RIGHTS}  # would fail every other group too
ASKED = {
    CancelMode.AFTER_GROUP: N_("Asked to stop after what is being copied."),
    CancelMode.NOW: N_("Asked to stop at once."),
}


class Runner:
    """One run from its lease to its end; `run` is called once, in the run's own thread."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._tracker = Tracker(order.clock, sample_every_s=SAMPLE_EVERY_S)
        self._reporter = threading.Thread(target=self._report, name="reporter", daemon=True)
        self._ended = threading.Event()
        self._todo: deque[Group] = deque()
        self._later: list[Group] | None = []  # tried once more at the end; None: that is now
        self._guard = threading.Lock()
        self._movers: list[Mover] = []
        self._planning: tuple[Connection, ...] = ()
        self._planned = threading.Event()
        self._closed = threading.Event()
        self._cancel: CancelMode | None = None
        self._halt: BatchSyncError | None = None
        self._let_go = False
        self._errors: list[Told] = []

    def cancel(self, mode: CancelMode) -> None:
        """Stop after the groups under way, or at once; from any thread."""
        if self._cancel is not CancelMode.NOW:
            self._cancel = mode
            self._tracker.note("run.cancel_requested", Told(ASKED[mode]))
        if mode is CancelMode.NOW:
            self._stop_now(Cancelled())

    def abandon(self, why: BatchSyncError) -> None:
        """Stop a run whose lease somebody has taken, whatever its threads wait for.

        They lose their connections, and write nothing should they ever wake.
        """
        self._stop_now(why)
        self._ended.set()
        self._order.way.cut()

    def let_go(self) -> None:
        """Free the locks in the place of a thread that hangs, and write no end in its place."""
        self._let_go = True
        self._order.lease.release()

    def _stop_now(self, why: BatchSyncError) -> None:
        with self._guard:
            self._halt = self._halt or why
            ways_out = [mover.interrupt for mover in self._movers]
            if self._planning:
                ways_out.append(partial(end_statements_of, self._planning, self._planned))
        # A server that hangs would keep the beater, and with it the end of the run, for ever.
        ways_out.append(partial(self._order.lease.give_up_session, self._closed))
        for interrupt in ways_out:
            threading.Thread(target=interrupt, name="interrupt", daemon=True).start()

    def run(self) -> RunStatus:
        """Do the work, write the end into target and store, free the lease; never raises."""
        beater = threading.Thread(target=self._beat, name="beater", daemon=True)
        beater.start()
        self._reporter.start()
        try:
            status, error = self._outcome()
        finally:
            self._ended.set()
            beater.join()
        self._finish(status, error)
        return status

    def _outcome(self) -> tuple[RunStatus, Told | None]:
        try:
            self._work()
        except BatchSyncError as error:
            why = self._halt or error
            return ENDS.get(type(why), RunStatus.FAILED), why.told
        except Exception as error:
            if self._halt:
                # Its connections were taken away under it.
                return ENDS.get(type(self._halt), RunStatus.FAILED), self._halt.told
            if isinstance(error, DRIVER_ERRORS):
                early = N_("A database failed before rows were copied: {reason}")
                return RunStatus.FAILED, Told(early, reason=reason(error))
            log.exception("run.crashed", run=self._order.lease.run_id)
            bug = BatchSyncError(reason=f"{type(error).__name__}: {reason(error)}")
            return RunStatus.FAILED, bug.told
        return self._verdict()

    def _verdict(self) -> tuple[RunStatus, Told | None]:
        """How a run ended that walked through its whole plan."""
        held = self._tracker.held_back()
        if held or self._tracker.count(PartitionStatus.FAILED):
            return RunStatus.FAILED, together([*self._errors, *held])
        return RunStatus.SUCCEEDED, None

    def _finish(self, status: RunStatus, error: Told | None) -> None:
        if self._let_go:
            return
        order, why = self._order, str(error) if error else None
        self._tracker.in_flight(0)  # what was not committed was rolled back
        # The store's row ends before the lock is free: a running row with a free lock means a dead
        # holder; but a store that hangs must not keep the lock for ever.
        try:
            ended = order.lease.close(status, why=why, progress=self._tracker.progress())
            self._closed.set()
            if ended:
                status, error = ended.outcome, ended.reason
            self._tracker.note(f"run.{status.value}", error or Told(N_("Done.")))
            last = threading.Thread(target=self._report_end, args=(status, error), daemon=True)
            last.start()
            last.join(STORE_END_S)
        finally:
            order.lease.release()
        log.info("run.ended", run=order.lease.run_id, status=status.value, error=why)

    def _report_end(self, status: RunStatus, error: Told | None) -> None:
        store, run_id = self._order.store, self._order.lease.run_id
        self._reporter.join()
        try:
            store.tick(run_id, self._tracker.tick())
            store.finish(run_id, status, error=error, at=self._order.clock.now())
        except StoreError as problem:
            log.warning("store.unavailable", run=run_id, error=str(problem))

    def _work(self) -> None:
        order = self._order
        try:
            self._copy_all(self._plan(order.way.read()))
        finally:
            for mover in self._movers:
                mover.close()
            order.counting.close()
            order.way.close()
        if self._halt:
            raise self._halt
        if self._todo and self._cancel:
            raise Cancelled

    def _plan(self, reading: Connection) -> Sequence[Group]:
        order = self._order
        writing = order.way.write()
        with self._stoppable(reading, writing):
            plan = plan_range(
                order.pairs,
                order.request,
                counting=order.counting,
                target=order.target,
                writing=writing,
                ledger=order.lease.ledger,
                zone=order.zone,
                shrink_max=order.run.shrink_max,
            )
            if order.among is not None:
                plan = plan.among(order.among)
            refuse_other(plan, order.request.seen)
            writing.rollback()
            groups = cut_groups(
                plan,
                order.pairs,
                group_rows=order.run.group_rows,
                shrink_max=None if order.request.allow_shrink else order.run.shrink_max,
                verify=order.run.verify,
            )
            refuse_unheld(groups, order.source, zone=order.zone, reading=reading, writing=writing)
            prepare(order, groups, writing, self._tracker.note)
        views = self._tracker.planned(plan, allow_shrink=order.request.allow_shrink)
        with suppress(StoreError):
            order.store.plan(order.lease.run_id, views, self._tracker.progress())
        return groups

    @contextmanager
    def _stoppable(self, *connections: Connection) -> Iterator[None]:
        """While the plan is made on these connections, a stop ends what they do."""
        with self._guard:
            self._planning = connections
        if self._halt:
            raise self._halt
        try:
            yield
        finally:
            with self._guard:
                self._planning = ()
            self._planned.set()

    def _copy_all(self, groups: Sequence[Group]) -> None:
        """Copy each generation of tables once the one before it stands."""
        order = self._order
        count = min(order.run.max_parallel, order.way.parallel_max, max(1, len(groups)))
        with self._guard:
            self._movers = [order.way.mover() for _ in range(count)]
            halted = self._halt
        if halted:
            raise halted
        for generation in sorted({group.pair.generation for group in groups}):
            self._walk_all(group for group in groups if group.pair.generation == generation)
        later, self._later = self._later, None
        self._walk_all(later or ())
        move_sequences(order, self._movers[0].writer, self._tracker.note)

    def _walk_all(self, groups: Iterable[Group]) -> None:
        self._todo.extend(groups)
        helpers = [
            threading.Thread(
                target=self._walk_guarded, args=(mover,), name="batch-sync-copy", daemon=True
            )
            for mover in self._movers[1:]
        ]
        for helper in helpers:
            helper.start()
        try:
            self._walk(self._movers[0])
        finally:
            for helper in helpers:
                helper.join()

    def _walk_guarded(self, mover: Mover) -> None:
        try:
            self._walk(mover)
        except BatchSyncError as error:
            self._stop_now(error)
        except Exception as error:  # noqa: BLE001 - its group must not be passed over, whatever it is
            why = reason(error) if isinstance(error, DRIVER_ERRORS) else repr(error)
            self._stop_now(CopyError(N_("{reason}"), hint="", reason=why))

    def _walk(self, mover: Mover) -> None:
        """Copy groups until there are none or the run is to stop; one is read ahead of its turn."""
        if (ahead := self._next()) is not None:
            mover.prefetch(ahead)
        while group := ahead:
            if self._halt:
                raise self._halt
            self._order.lease.check()
            if (ahead := self._next()) is not None:
                mover.prefetch(ahead)
            self._copy(mover, group)
            if self._cancel and ahead is not None:
                self._todo.appendleft(ahead)
                return
            ahead = ahead or self._next()

    def _next(self) -> Group | None:
        if self._cancel or self._halt:
            return None
        with suppress(IndexError):
            return self._todo.popleft()
        return None

    def _copy(self, mover: Mover, group: Group) -> None:
        order, tracker = self._order, self._tracker
        for attempt in range(1, order.run.attempts_max + 1):
            began = order.clock.monotonic()
            tracker.copying(group)
            try:
                moved = replace_group(mover, group, order.lease)
            except (*DRIVER_ERRORS, ConnectError, CopyError) as error:
                mover.reset()
                kind = failing.kind_of(error)
                again = (
                    kind in {Failure.TRANSIENT, Failure.DISCONNECTED}
                    and attempt < order.run.attempts_max
                )
                if not again:
                    self._give_up(group, error, kind)
                    return
                tracker.note("group.retried", failing.tried_again(group, error))
                order.clock.wait(self._ended, order.run.retry_pause_s * 2 ** (attempt - 1))
                if self._halt:
                    raise self._halt from None
            else:
                tracker.done(group, moved, order.clock.monotonic() - began)
                if moved.elsewhere:
                    text = N_("Rows of {table} moved here from {days}.")
                    days = ", ".join(map(str, moved.elsewhere))
                    tracker.note("rows.moved", Told(text, table=group.pair.name, days=days))
                return

    def _give_up(self, group: Group, error: BaseException, kind: Failure) -> None:
        if self._halt:
            raise self._halt from None
        if len(group.partitions) > 1 and kind not in HOPELESS:
            # One bad day spoils only itself.
            self._tracker.pending(group)
            self._todo.extendleft(reversed(group.singles()))
            return
        if kind is Failure.FOREIGN_KEY and self._later is not None:
            # The rows that it wants there, or gone, may be those of a table that comes later.
            self._tracker.pending(group)
            self._later.append(group)
            return
        worded = failing.given_up(group, error, attempts=self._order.run.attempts_max)
        self._errors.append(worded.told)
        self._tracker.failed(group, worded.told)
        self._tracker.note("group.failed", worded.told)
        if kind in HOPELESS:
            raise worded from None

    def _beat(self) -> None:
        order = self._order
        beaten = order.clock.monotonic() - order.run.heartbeat_s
        while not order.clock.wait(
            self._ended, min(order.run.progress_every_s, order.run.heartbeat_s)
        ):
            if not threading.main_thread().is_alive():
                # The interpreter is shutting down, and waits for this run: a server was told to
                # stop.
                self.cancel(CancelMode.NOW)
            try:
                self._tracker.in_flight(order.lease.rows_in_flight())
                if order.clock.monotonic() - beaten >= order.run.heartbeat_s:
                    beaten = order.clock.monotonic()
                    order.lease.beat(self._tracker.progress())
            except LeaseLost as error:
                self._stop_now(error)
                return
            except Exception as error:
                # Who cannot tell whether he still holds the lease does not.
                log.exception("run.crashed", run=order.lease.run_id)
                self._stop_now(LeaseLost(reason=reason(error)))
                return

    def _report(self) -> None:
        order = self._order
        while not order.clock.wait(self._ended, order.run.progress_every_s):
            tick = self._tracker.tick()
            try:
                asked = order.store.tick(order.lease.run_id, tick)
            except StoreError as error:
                # The rows are what matters: the run goes on, and its history is rebuilt from the
                # target.
                self._tracker.unsaved(tick)
                log.warning("store.unavailable", run=order.lease.run_id, error=str(error))
                continue
            if asked and asked is not self._cancel:
                self.cancel(asked)
