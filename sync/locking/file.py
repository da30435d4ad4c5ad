"""The lock on this machine: a native file lock that the kernel frees when its process dies.

Contract: at most one `FileLease` of a path is held, among all threads and processes of this
machine. Limit: a network file system may lie; the file must lie on a local disk. Removing the file
while it is held makes room for a second holder, which `check` finds out before each group. The
file is never unlinked by us. The record in it is evidence: emptied when the lock is taken, written
once its holder has every other lock too, emptied again on release. So it names no loser.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import filelock

from sync.errors import N_, LeaseLost, LockError
from sync.locking.holder import ProcessState, process_state
from sync.locking.port import Lock
from sync.locking.record import conflict_in
from sync.model import Conflict
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECORD_MAX = 65_536  # bytes


class FileLease(Lock):
    """The lock file at `path`."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._record = b""
        # Whose run was taken over may let go late, when its descriptor is another file's.
        self._guard = threading.Lock()
        self._lock = _native(path, on_acquired=self._took)

    def acquire(self, record: str) -> bool:
        """Take the lock, without waiting; False when it is held. Raises LockError."""
        # Whoever has it would be granted it again.
        if self._lock.is_locked:
            return False
        self._record = record.encode()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise LockError(lock=str(self.path), reason=str(error)) from None
        return True

    def _took(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)

    def announce(self) -> None:
        """Write the record. Raises LockError."""
        try:
            os.pwrite(self._descriptor, self._record, 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise LockError(lock=str(self.path), reason=str(error)) from None

    def holding(self) -> tuple[Conflict, bool] | None:
        """Who wrote the file.

        Lock and record are two steps, so a record whose process is gone is a former holder's, and
        one whose process cannot be seen from here is not certain.
        """
        conflict = read_record(self.path)
        if is_free(self.path):
            return None
        state = process_state(conflict.holder) if conflict and conflict.holder else None
        if conflict is None or state is ProcessState.GONE:
            return Conflict(), False
        return conflict, state is not ProcessState.UNSEEN

    def check(self) -> None:
        """Raise LeaseLost when the path no longer names the file that is locked."""
        try:
            here, there = os.fstat(self._descriptor), self.path.stat()
            same = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
        except OSError:
            same = False
        if not (same and self._lock.is_locked):
            gone = N_("the lock file {path} was removed or replaced")
            raise LeaseLost(reason=Told(gone, path=self.path))

    def forget(self) -> None:
        """Empty the record, still holding the lock; nothing once it was released."""
        # Whatever becomes of the record, the lock must come free.
        with self._guard, suppress(OSError):
            os.ftruncate(self._descriptor, 0)

    def release(self) -> None:
        """Empty the record and free the lock; from any thread, a second time does nothing."""
        self.forget()
        with self._guard:
            self._descriptor = -1
            if self._lock.is_locked:
                self._lock.release(force=True)


def read_record(path: Path) -> Conflict | None:
    """What the holder of the lock file wrote; None when there is nothing (whole) to read."""
    try:
        with path.open("rb") as file:
            return conflict_in(file.read(RECORD_MAX))
    except OSError:
        return None


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock file.

    Asking takes it for an instant; a start that meets that asks again.
    """
    if not path.exists():
        return True
    probe = _native(path)
    try:
        probe.acquire(blocking=False)
    except filelock.Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        raise LockError(lock=str(path), reason=str(error)) from None
    probe.release(force=True)
    return True


def _native(path: Path, on_acquired: Callable[[int], None] | None = None) -> filelock.BaseFileLock:
    # thread_local=False: released by another thread than the one that took it.
    return filelock.FileLock(
        path,
        thread_local=False,
        fallback_to_soft=False,
        preserve_lock_file=True,
        on_acquired=on_acquired,
    )
