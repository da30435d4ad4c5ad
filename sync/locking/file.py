"""The lock on this machine: a native file lock that the kernel frees when its process dies.

Contract: at most one `FileLease` of a path is held, among all threads and processes of this
machine. Limit: a network file system may lie; the file must lie on a local disk. Removing the file
while it is held makes room for a second holder, which `intact` finds out before each group. The
file is never unlinked by us. The record in it is evidence: emptied when the lock is taken, written
once its holder has every other lock too, emptied again on release. So it names no loser.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from sync.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECORD_MAX = 65_536  # bytes


class FileLease:
    """One holding of the lock file at `path`; a new object a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        # thread_local=False: released by another thread than the one that took it.
        self._lock = FileLock(
            path,
            thread_local=False,
            fallback_to_soft=False,
            preserve_lock_file=True,
            on_acquired=self._took,
        )

    def acquire(self) -> bool:
        """Take the lock, without waiting; False when it is held. Raises LockError."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise LockError(lock=str(self.path), reason=str(error)) from None
        return True

    def _took(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)

    def write(self, record: Mapping[str, Any]) -> None:
        """Say who holds the lock. Raises LockError."""
        try:
            os.pwrite(self._descriptor, json.dumps(record, ensure_ascii=False).encode(), 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise LockError(lock=str(self.path), reason=str(error)) from None

    def intact(self) -> bool:
        """Whether the path still names the file that is locked."""
        try:
            here, there = os.fstat(self._descriptor), self.path.stat()
        except OSError:
            return False
        return self._lock.is_locked and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    def forget(self) -> None:
        """Empty the record, still holding the lock."""
        # Whatever becomes of the record, the lock must come free.
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)

    def release(self) -> None:
        """Empty the record and free the lock."""
        if self._lock.is_locked:
            self.forget()
            self._lock.release(force=True)


def read_record(path: Path) -> dict[str, Any] | None:
    """What the holder of the lock file wrote; None when there is nothing (whole) to read."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(RECORD_MAX))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock file.

    Asking takes it for an instant; a start that meets that asks again.
    """
    if not path.exists():
        return True
    probe = FileLock(path, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        probe.acquire(blocking=False)
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        raise LockError(lock=str(path), reason=str(error)) from None
    probe.release(force=True)
    return True
