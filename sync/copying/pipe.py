"""Bytes on their way from one thread to another, with room for a few blocks."""

from __future__ import annotations

import io
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sync.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sync.databases.digest import Digest
    from sync.planning import Group

BLOCKS = 64  # wait in a pipe at most


class Pipe(io.RawIOBase):
    """Bytes of one group on their way from the reader's thread to the writer's."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.error: BaseException | None = None
        self.counts: Mapping[date, int] = {p.day: p.source_rows for p in group.partitions}
        self.digests: Mapping[date, Digest] = {}
        self._blocks: queue.Queue[bytes] = queue.Queue(BLOCKS)
        self._dropped = threading.Event()

    def writable(self) -> bool:
        """It is written by the reader's COPY."""
        return True

    def write(self, data: Any) -> int:
        """Wait for room and put a block in; once the pipe is dropped, throw it away."""
        block = bytes(data)
        while not self._dropped.is_set():
            with suppress(queue.Full):
                self._blocks.put(block, timeout=0.1)
                break
        return len(block)

    def finish(self, error: BaseException | None) -> None:
        """Say that nothing follows, and why."""
        self.error = error
        self.write(b"")

    def read(self, size: int = -1) -> bytes:
        """The next block, of whatever size; empty at the end. Raises what stopped the reader."""
        del size
        while True:
            if self._dropped.is_set():
                raise Cancelled
            with suppress(queue.Empty):
                block = self._blocks.get(timeout=0.1)
                if not block and self.error:
                    raise self.error
                return block

    @property
    def dropped(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._dropped.is_set()

    def drop(self) -> None:
        """Make both sides stop waiting: what is still to come is thrown away."""
        self._dropped.set()
