"""Runs a run in a background thread of this process.

The thread is no daemon: an interpreter that shuts down waits for it, and the runner, which notices,
stops at once and rolls its open transaction back. A thread that hangs cannot be ended, but what it
has can be taken from it: its connections, its locks, its place here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sync.errors import BatchSyncError
    from sync.model import CancelMode, RunId
    from sync.runner import Runner

REMEMBERED = 20
END_S = 1.0  # a thread that does not hang ends by itself


class ThreadEngine:
    """The runs of this process; the lease sees to it that at most one of a target is under way.

    Every engine of the process can stop each of them, and waits at its end for its own.
    """

    _runs: ClassVar[dict[RunId, tuple[threading.Thread, Runner]]] = {}
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._mine: set[RunId] = set()

    def start(self, run_id: RunId, runner: Runner) -> None:
        """Begin; returns at once."""
        thread = threading.Thread(target=runner.run, name=f"batch-sync-{run_id}", daemon=False)
        with self._guard:
            for old in [known for known, (other, _) in self._runs.items() if not other.is_alive()][
                :-REMEMBERED
            ]:
                del self._runs[old]
            self._runs[run_id] = (thread, runner)
            self._mine = {known for known in self._mine if known in self._runs} | {run_id}
        thread.start()

    def cancel(self, run_id: RunId, mode: CancelMode) -> bool:
        """Ask a run of this process to stop; False when it is none."""
        with self._guard:
            thread, runner = self._runs.get(run_id, (None, None))
        if thread is None or runner is None or not thread.is_alive():
            return False
        runner.cancel(mode)
        return True

    def has(self, run_id: RunId) -> bool:
        """Whether a run is under way in this process."""
        with self._guard:
            thread, _ = self._runs.get(run_id, (None, None))
        return thread is not None and thread.is_alive()

    def take_from(self, run_id: RunId, why: BatchSyncError) -> bool:
        """Take connections, locks and place from a run of this process; False when it is none.

        A thread that does not hang ends by itself meanwhile.
        """
        with self._guard:
            known = self._runs.get(run_id)
        if known is None:
            return False
        thread, runner = known
        runner.abandon(why)
        thread.join(END_S)
        runner.let_go()
        with self._guard:
            if self._runs.get(run_id) is known:
                del self._runs[run_id]
        return True

    def wait(self, run_id: RunId, timeout_s: float | None = None) -> bool:
        """Wait until a run of this process has let go of its lease.

        False when it still holds it.
        """
        with self._guard:
            thread, _ = self._runs.get(run_id, (None, None))
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def active(self) -> tuple[RunId, ...]:
        """The runs that were begun here and are under way."""
        with self._guard:
            return tuple(
                run_id
                for run_id, (thread, _) in self._runs.items()
                if run_id in self._mine and thread.is_alive()
            )
