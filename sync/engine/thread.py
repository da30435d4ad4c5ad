"""Runs a run in a background thread of this process.

The thread is no daemon: an interpreter that shuts down waits for it, and the runner, which notices,
stops at once and rolls its open transaction back.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sync.model import CancelMode, RunId
    from sync.runner import Runner

REMEMBERED = 20


class ThreadEngine:
    """The runs of this process; the lease sees to it that at most one of a target is under way."""

    def __init__(self) -> None:
        self._runs: dict[RunId, tuple[threading.Thread, Runner]] = {}
        self._guard = threading.Lock()

    def start(self, run_id: RunId, runner: Runner) -> None:
        """Begin; returns at once."""
        thread = threading.Thread(target=runner.run, name=f"batch-sync-{run_id}", daemon=False)
        with self._guard:
            for old in [known for known, (other, _) in self._runs.items() if not other.is_alive()][
                :-REMEMBERED
            ]:
                del self._runs[old]
            self._runs[run_id] = (thread, runner)
        thread.start()

    def cancel(self, run_id: RunId, mode: CancelMode) -> bool:
        """Ask a run of this process to stop; False when it is none."""
        with self._guard:
            thread, runner = self._runs.get(run_id, (None, None))
        if thread is None or runner is None or not thread.is_alive():
            return False
        runner.cancel(mode)
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
        """The runs under way in this process."""
        with self._guard:
            return tuple(run_id for run_id, (thread, _) in self._runs.items() if thread.is_alive())
