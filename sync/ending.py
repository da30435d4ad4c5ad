"""How somebody else's run is ended: asked to stop, or taken over.

A takeover of a holder that lives goes in steps (`sync.locking.takeover`); between them the store
notes who did it and why, so that history tells it however the run ends after that.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sync.errors import (
    N_,
    HeldElsewhere,
    LeaseHeld,
    LeaseLost,
    StoreError,
    TakeoverRefused,
    UnknownRun,
    UsageError,
)
from sync.locking.holder import current_holder
from sync.locking.takeover import Fate, Taking
from sync.model import CancelMode, LogLine, RunStatus, TakeoverPlan, Verdict
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sync.databases.ledger_rows import LedgerRun
    from sync.locking.looking import Look
    from sync.model import RunId, RunView
    from sync.parts import Parts

REASON_MAX = 500  # characters


class Ending:
    """Ends runs of one target, whoever holds them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def cancel(self, run_id: RunId | None, mode: CancelMode) -> RunId | None:
        """Ask the present run to stop; None when nothing runs, or that run has ended already.

        Raises as `Operations.cancel`.
        """
        parts = self._parts
        present = parts.store.running(parts.target_name)
        if present is None or (run_id and run_id != present.id):
            self._refuse_unreached(run_id)
            return None
        if not parts.store.request_cancel(present.id, mode):
            return None
        parts.engine.cancel(present.id, mode)
        return present.id

    def _refuse_unreached(self, run_id: RunId | None) -> None:
        """Return when that run, or whoever holds the target, has ended. Raises as `cancel`."""
        parts = self._parts
        if run_id is None and (conflict := parts.looker.elsewhere()):
            run_id = conflict.run_id
        if run_id is None:
            return
        run, entry = self._find(run_id)
        if run.status.final:
            return
        if entry and self._verdict(run, entry).verdict is Verdict.DEAD:
            parts.snapshots.close_dead(run)
            return
        who = run.holder
        raise HeldElsewhere(run_id=run_id, user=who.user, host=who.host, pid=who.pid)

    def look(self, run_id: RunId) -> tuple[RunView, Look]:
        """A run and the verdict on its holder, by the store or else by the target.

        Raises UnknownRun, StoreError, ConnectError, LockError.
        """
        run, entry = self._find(run_id)
        return run, self._verdict(run, entry)

    def _find(self, run_id: RunId) -> tuple[RunView, LedgerRun | None]:
        parts = self._parts
        try:
            run = parts.store.run(run_id, target=parts.target_name)
            if run.status is not RunStatus.QUEUED:
                return run, None
            # Its turn may have come, while its holder hangs before the store says so.
            entry = parts.looker.entry(run_id)
            return (entry.view(), entry) if entry and not entry.released_at else (run, None)
        except (UnknownRun, StoreError):
            if entry := parts.looker.entry(run_id):
                return entry.view(), entry
            # Its holder has the locks, and hangs before its run stands anywhere else.
            beginning = parts.lock.beginning(run_id)
            if beginning and (seen := beginning.view()):
                return seen, None
            raise

    def _verdict(self, run: RunView, entry: LedgerRun | None) -> Look:
        looker = self._parts.looker
        if entry:
            return looker.look_from_afar(entry)
        return looker.look_at(run, self._parts.clock.now())

    def plan(self, run_id: RunId) -> TakeoverPlan:
        """What a takeover would break, and what speaks for it. Raises as `look`, UsageError."""
        run, entry = self._find(run_id)
        if run.status is RunStatus.QUEUED:
            raise UsageError(
                N_("Run {run_id} waits in the queue; it holds nothing."),
                hint=N_("Cancel withdraws it."),
                run_id=run_id,
            )
        if run.status.final:
            ended = Told(N_("It has ended already; nothing is left to do."))
            return TakeoverPlan(
                run=run, verdict=Verdict.DEAD, evidence=(), breaks=(ended,), needs_force=False
            )
        look = self._verdict(run, entry)
        return TakeoverPlan(
            run=run,
            verdict=look.verdict,
            evidence=look.evidence,
            breaks=tuple(self._breaks(run, look.verdict)),
            needs_force=look.verdict is Verdict.RUNNING,
        )

    def _breaks(self, run: RunView, verdict: Verdict) -> Iterator[Told]:
        taker = self._parts.taker
        if verdict is Verdict.DEAD:
            yield Told(
                N_(
                    "Nothing has to be ended: its lock is free."
                    " It is closed as interrupted, as the next start would do."
                )
            )
            return
        if total := run.progress.partitions_total:
            named = N_(
                "What is being copied ({what}) is rolled back; {done} of {total} partitions stay."
            )
            unnamed = N_("What is being copied is rolled back; {done} of {total} partitions stay.")
            done, what = run.progress.partitions_done, run.current or ""
            yield Told(named if what else unnamed, what=what, done=done, total=total)
        else:
            yield Told(N_("It has not begun to copy; nothing is rolled back."))
        if count := taker.sessions(run.id):
            yield Told(N_("Database sessions that are ended: {count}."), count=count)
        yield taker.consequence(run.holder)
        if not self._goes(run) and taker.has_file(run.id):
            yield Told(
                N_("Its file lock stays held: the next start waits until that process ends.")
            )

    def _goes(self, run: RunView) -> bool:
        """Whether the holder goes, or lets go, when it is ended from here."""
        return self._parts.taker.fate(run.holder) not in {Fate.UNSEEN, Fate.DENIED}

    def take_over(self, run_id: RunId, *, reason: str, user: str | None, force: bool) -> RunView:
        """End a holder and close its run; a run that has ended stays as it is.

        Raises as `Operations.take_over`.
        """
        said = _plain(reason)
        plan = self.plan(run_id)
        if plan.run.status.final:
            return plan.run
        if plan.needs_force and not force:
            raise TakeoverRefused(run_id=run_id)
        if plan.verdict is Verdict.DEAD and plan.run.error is None:
            with suppress(StoreError):  # as in `_close`
                self._parts.snapshots.close_dead(plan.run)
        else:
            taker = current_holder(user)
            by = f"{taker.user}@{taker.host}"
            why = Told(N_("Taken over by {by}: {reason}"), by=by, reason=said)
            try:
                self._end(Taking(run=plan.run, by=by, why=why))
            finally:
                self._parts.snapshots.look_anew()
            if plan.run.token is None:  # it stood at its locks alone
                return replace(plan.run, status=RunStatus.INTERRUPTED, error=why)
        return self._find(run_id)[0]

    def _end(self, taking: Taking) -> None:
        for step in self._steps(taking.run):
            step(taking)
            if third := self._parts.taker.successor(taking):
                # Who takes the lease ends what is left of the run before him in the target.
                self._close(taking)
                raise LeaseHeld(third)

    def _steps(self, run: RunView) -> tuple[Callable[[Taking], object], ...]:
        """In their order: a kill between two leaves a run that the next takeover ends."""
        taker = self._parts.taker
        closing = (taker.close, self._close)
        if taker.ends_sessions:
            return taker.raise_token, self._note, taker.end_backends, self._end_holder, *closing
        if self._goes(run):
            # It may have the one lock that writes, and then nobody reads.
            return self._note_and_end, taker.raise_token, taker.end_backends, *closing
        return taker.raise_token, self._note, taker.end_backends, *closing

    def _note(self, taking: Taking) -> None:
        line = LogLine(at=self._parts.clock.now(), event="run.taken_over", text=taking.why)
        # Who was paused while he wrote the store is ended all the same, and `_close` notes it.
        with suppress(StoreError):
            self._parts.store.take_over(taking.run.id, line)

    def _note_and_end(self, taking: Taking) -> None:
        self._note(taking)
        self._end_holder(taking)

    def _end_holder(self, taking: Taking) -> None:
        if self._parts.engine.take_from(taking.run.id, LeaseLost(reason=taking.why)):
            return
        # A run that has ended by itself leaves a process that may do other work by now.
        if not self._parts.taker.has_let_go(taking):
            self._parts.taker.end_process(taking)

    def _close(self, taking: Taking) -> None:
        # The target has the end already; who looks when the store answers writes it there, too.
        with suppress(StoreError):
            self._parts.store.finish(
                taking.run.id, RunStatus.INTERRUPTED, error=taking.why, at=self._parts.clock.now()
            )


def _plain(reason: str) -> str:
    """A reason as one line that every database can keep. Raises UsageError."""
    said = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    if not said:
        raise UsageError(
            N_("A takeover wants a reason."), hint=N_("It stands in the history of that run.")
        )
    return said[:REASON_MAX]
