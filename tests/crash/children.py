"""Processes that tests pause, signal and kill.

Each is forked in milliseconds, from a server that has imported everything.
"""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from sync.errors import BatchSyncError
from sync.settings import load
from sync.wiring import open_operations
from tests.installation import asked

TOLD_TIMEOUT_S = 100
# The fork server has one thread, whatever threads the test process has.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["pytest", "sync.wiring", "sync.cli", "tests.installation"])


class Child:
    """A real process that runs `work(its end of a pipe, *arguments)`."""

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Its number while it lives."""
        assert self.process.pid is not None
        return self.process.pid

    def told(self) -> Any:
        """The next thing that it says."""
        assert self._pipe.poll(TOLD_TIMEOUT_S), "the child said nothing"
        return self._pipe.recv()

    def tell(self, what: object) -> None:
        """Say something to it."""
        self._pipe.send(what)

    def stop(self) -> None:
        """Pause it: SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on: SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.join()


def sync_days(pipe: Connection, settings_file: Path, start: str, end: str) -> None:
    """Open everything and say so; when told, start a run, say its id and how it ended; stay."""
    operations = open_operations(load(settings_file))
    pipe.send("ready")
    pipe.recv()
    run_id = operations.start(asked(start, end))
    pipe.send(run_id)
    pipe.send(operations.wait(run_id).status)
    pipe.recv()


def sync_days_on_full_disk(
    pipe: Connection, settings_file: Path, start: str, end: str, when: str
) -> None:
    """As `sync_days`, with a disk that is full `before` the start or `after` it.

    Locks are not to blame: their files are smaller than what the disk still takes.
    """
    operations = open_operations(load(settings_file))
    try:
        if when == "before":
            _fill_disk()
        run_id = operations.start(asked(start, end))
    except BatchSyncError as error:
        pipe.send((type(error).__name__, str(error)))
        return
    _fill_disk()
    pipe.send(run_id)
    pipe.recv()
    operations.wait(run_id)
    pipe.send("ended")
    pipe.recv()


def _fill_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
