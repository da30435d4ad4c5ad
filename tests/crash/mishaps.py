"""What may befall a run at a step: what it does to itself, and what the test does to it."""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path

from sync import foreground
from sync.errors import BatchSyncError
from sync.foreground import Signals
from sync.locking import holder
from sync.settings import load
from sync.wiring import open_operations
from tests.crash.children import fill_disk
from tests.crash.steps import STEPS, Kind, interpose
from tests.installation import asked
from tests.wires import enter

ANOTHER_BOOT = "8d0c8f6e-another-boot"


class PlantedError(Exception):
    """An error that nobody expects."""


class After(StrEnum):
    """What a process is after its mishap."""

    DEAD = "dead"
    ON_ITS_WAY = "on its way to an end of its own"
    HELD_UP = "held up until it is let go"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """One kind of mishap; `servers` are those of whose servers it takes one."""

    name: str
    after: After
    servers: bool = False

    def __str__(self) -> str:
        return self.name


EXCEPTION = Mishap(name="exception", after=After.ON_ITS_WAY)
EXIT = Mishap(name="os._exit", after=After.DEAD)
SIGTERM = Mishap(name="SIGTERM", after=After.ON_ITS_WAY)
SIGKILL = Mishap(name="SIGKILL", after=After.DEAD)
SIGSTOP = Mishap(name="SIGSTOP", after=After.HELD_UP)
LOCK_ENDED = Mishap(name="lock's backend ended", after=After.ON_ITS_WAY, servers=True)
BACKENDS_ENDED = Mishap(name="all backends ended", after=After.ON_ITS_WAY, servers=True)
RESTART = Mishap(name="database restarted", after=After.ON_ITS_WAY, servers=True)
CUT_OFF = Mishap(name="connections black-holed", after=After.HELD_UP, servers=True)
DISK_FULL = Mishap(name="disk full", after=After.ON_ITS_WAY)
MISHAPS = {
    mishap.name: mishap
    for mishap in (
        EXCEPTION,
        EXIT,
        SIGTERM,
        SIGKILL,
        SIGSTOP,
        LOCK_ENDED,
        BACKENDS_ENDED,
        RESTART,
        CUT_OFF,
        DISK_FULL,
    )
}


def sync_into(
    pipe: Connection,
    settings_file: Path,
    start: str,
    end: str,
    step: str,
    mishap: str,
    kind: Kind,
    elsewhere: bool,  # noqa: FBT001 - arguments of a process have no names
    namespace: str | None,
) -> None:
    """A run as the command line makes it, with its mishap; say `at` there, and how it ended.

    `elsewhere`, it takes itself for one of another host; that may be a network namespace.
    """
    if elsewhere:
        holder._boot_id = lambda: ANOTHER_BOOT  # noqa: SLF001 - its own composition root says so
    if namespace:
        enter(namespace)
    operations = open_operations(load(settings_file))

    def befall() -> None:
        pipe.send("at")
        _befall(mishap, pipe)

    interpose(STEPS[step], kind, befall)
    with Signals() as signals:
        try:
            run_id = foreground.start(
                lambda: operations.start(asked(start, end)),
                wait_s=None,
                signals=signals,
                locale="en",
            )
            assert run_id is not None
            run = foreground.follow(operations, run_id, signals=signals, locale="en")
            pipe.send(run.status)
        except (BatchSyncError, PlantedError) as error:
            pipe.send(f"{type(error).__name__}: {error}")
    pipe.recv()  # it stays, so that a lock which it forgot is found out


def _befall(mishap: str, pipe: Connection) -> None:
    deeds: Mapping[str, Callable[[], object]] = {
        EXCEPTION.name: _fail,
        EXIT.name: lambda: os._exit(9),
        SIGTERM.name: lambda: os.kill(os.getpid(), signal.SIGTERM),
        SIGKILL.name: lambda: os.kill(os.getpid(), signal.SIGKILL),
        # To this thread: any other one would let it run on for a moment.
        SIGSTOP.name: lambda: signal.pthread_kill(threading.get_ident(), signal.SIGSTOP),
        DISK_FULL.name: fill_disk,
    }
    # What befalls servers and wires is the test's to do; it tells when it is done.
    deeds.get(mishap, pipe.recv)()


def _fail() -> None:
    raise PlantedError("planted")
