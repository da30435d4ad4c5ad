"""Processes that tests pause, signal and kill.

Each is forked in milliseconds, from a server that has imported everything.
"""

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from sync.cli import main
from sync.copying.group import Way
from sync.errors import BatchSyncError
from sync.locking import holder
from sync.model import RunId
from sync.operations import Operations
from sync.planning import Group
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


class Hanging:
    """A way whose movers wait for `go_on` in the middle of each transaction."""

    def __init__(self, way: Way, hangs: threading.Event, go_on: threading.Event) -> None:
        self._way, self._hangs, self._go_on = way, hangs, go_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._way, name)

    def mover(self) -> Any:
        """One that hangs."""
        mover = self._way.mover()
        load = mover.load

        def hang(group: Group) -> Any:
            self._hangs.set()
            self._go_on.wait()
            return load(group)

        mover.load = hang  # type: ignore[method-assign]  # a port is wrapped
        return mover


def hanging(operations: Operations, hangs: threading.Event, go_on: threading.Event) -> Operations:
    """The same operations, whose runs hang."""
    parts = operations._parts  # noqa: SLF001 - a port is wrapped
    return Operations(replace(parts, way=lambda run_id: Hanging(parts.way(run_id), hangs, go_on)))


def sync_days_and_hang(pipe: Connection, settings_file: Path, start: str, end: str) -> None:
    """Start a run; once it hangs within a transaction, say its id; when told, let it go on.

    Then say how it ended; stay.
    """
    hangs, go_on = threading.Event(), threading.Event()
    operations = hanging(open_operations(load(settings_file)), hangs, go_on)
    run_id = operations.start(asked(start, end))
    hangs.wait()
    pipe.send(run_id)
    pipe.recv()
    go_on.set()
    pipe.send(operations.wait(run_id).status)
    pipe.recv()


def take_locks_and_hang(pipe: Connection, settings_file: Path, start: str, end: str) -> None:
    """Start a run that hangs once it has its locks, and say its id."""
    parts = open_operations(load(settings_file))._parts  # noqa: SLF001 - a port is wrapped

    def hang(run_id: RunId) -> Any:
        pipe.send(run_id)
        threading.Event().wait()

    Operations(replace(parts, way=hang)).start(asked(start, end))


def sync_on_another_host(pipe: Connection, settings_file: Path, start: str, end: str) -> None:
    """`python -m sync run` where boot and PID namespace are others; its exit code."""
    holder._boot_id = lambda: "another boot"  # noqa: SLF001 - another host
    os.environ["BATCH_SYNC_CONFIG"] = str(settings_file)
    pipe.send(main(["run", start, end]))


def take_over_and_die(
    pipe: Connection, settings_file: Path, run_id: RunId, part: str, step: str
) -> None:
    """Take a run over, and be killed right after one step."""
    del pipe
    parts = open_operations(load(settings_file))._parts  # noqa: SLF001 - a port is wrapped
    port = getattr(parts, part)
    whole = getattr(port, step)

    def die(*arguments: Any, **facts: Any) -> None:
        whole(*arguments, **facts)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(port, step, die)
    Operations(parts).take_over(run_id, reason="it hangs", user="first")


def sync_days_on_full_disk(
    pipe: Connection, settings_file: Path, start: str, end: str, when: str
) -> None:
    """As `sync_days`, with a disk that is full `before` the start or `after` it.

    Locks are not to blame: their files are smaller than what the disk still takes.
    """
    operations = open_operations(load(settings_file))
    try:
        if when == "before":
            fill_disk()
        run_id = operations.start(asked(start, end))
    except BatchSyncError as error:
        pipe.send((type(error).__name__, str(error)))
        return
    fill_disk()
    pipe.send(run_id)
    pipe.recv()
    operations.wait(run_id)
    pipe.send("ended")
    pipe.recv()


def fill_disk() -> None:
    """From now on no file of this process grows beyond 4 KiB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
