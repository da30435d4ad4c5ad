"""What one lock is, whichever kind: the file, a session of a database, a key in Redis.

A kind is decided by what is left of it when its holder dies: the kernel frees a file at once, a
database server its session when that ends, Redis a key when its time is over. None of them stops a
holder that was paused and wakes; the fence does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sync.model import Conflict, RunId


class Lock(Protocol):
    """One lock as one run sees it, a new object a run; many threads may `check`, one does the rest.

    `name` tells kind and place, never a password.
    """

    name: str

    def acquire(self, record: str) -> bool:
        """Take it without waiting, with the whole identity in that step; False when it is held.

        Raises LockError: what cannot be asked counts as held.
        """
        ...

    def holding(self) -> tuple[Conflict, bool] | None:
        """Who holds it now, as far as it tells, and whether that is certain; None when it is free.

        Raises LockError.
        """
        ...

    def release(self) -> None:
        """Give it back, if it is still ours; never raises. It may be taken again."""
        ...

    def check(self) -> None:
        """Raise LeaseLost when it can be told from here, at once, that it is ours no more."""
        ...

    def ask(self) -> None:
        """As `check`, after asking who keeps the lock."""
        self.check()

    def announce(self) -> None:
        """Say beside it who holds it, now that its holder has all others too. Raises LockError."""
        return

    def forget(self) -> None:
        """Take the name off it, still holding it: its run has ended."""
        return

    def revoke(self, run_id: RunId) -> None:
        """Take it away from a run, if that run holds it. Raises LockError."""
        del run_id

    def shut_down(self) -> None:
        """Wake a thread that waits for an answer, with an error."""
        return

    def close(self) -> None:
        """Give it back for good, with whatever was opened for it."""
        self.release()


def held_by(lock: Lock, run_id: RunId) -> bool:
    """Whether that run may still have the lock; a holder without a name may be anybody.

    Raises LockError.
    """
    found = lock.holding()
    return found is not None and found[0].run_id in {None, run_id}
