"""Who we are, and what became of a process: the evidence that stands beside a lock."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from sync.model import Holder

if TYPE_CHECKING:
    from collections.abc import Iterable

START_TOLERANCE_S = (
    2.0  # psutil derives a start from the boot time, which a clock adjustment shifts a little
)


class ProcessState(StrEnum):
    """What the kernel says of a holder's process; UNSEEN when it lives elsewhere."""

    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"
    UNSEEN = "unseen"


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(int(psutil.boot_time()))


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def current_user() -> str:
    """The name of the account this process runs under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def current_holder(user: str | None) -> Holder:
    """This process as a holder, with a random name of its own.

    No command line: arguments carry secrets.
    """
    return Holder(
        user=user or current_user(),
        host=socket.gethostname(),
        pid=os.getpid(),
        process_start=psutil.Process().create_time(),
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        nonce=secrets.token_hex(8),
        since=datetime.now(UTC),
    )


def on_this_host(holder: Holder) -> bool:
    """Whether this process can see the holder's.

    Same boot, same PID namespace. A host's name may change.
    """
    return holder.boot_id == _boot_id() and holder.pid_namespace == _pid_namespace()


def process_of(holder: Holder) -> psutil.Process | None:
    """The holder's process on this host.

    None when it has ended, also when its PID was given to another one meanwhile.
    """
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(holder.pid)
        if abs(process.create_time() - holder.process_start) <= START_TOLERANCE_S:
            return process
    return None


def process_state(holder: Holder) -> ProcessState:
    """What became of the holder's process.

    A PID that was given to another process, or a zombie, is gone.
    """
    if not on_this_host(holder):
        return ProcessState.UNSEEN
    try:
        process = process_of(holder)
        status = process.status() if process else psutil.STATUS_DEAD
    except psutil.NoSuchProcess:
        return ProcessState.GONE
    except psutil.AccessDenied:
        return ProcessState.RUNNING
    if status in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
        return ProcessState.GONE
    return ProcessState.STOPPED if status == psutil.STATUS_STOPPED else ProcessState.RUNNING


def any_lives(processes: Iterable[Holder]) -> bool:
    """Whether one of those that were heard of lately can do anything now.

    One that is seen gone or stopped cannot; one that cannot be seen is believed.
    """
    dead = {ProcessState.GONE, ProcessState.STOPPED}
    return any(process_state(process) not in dead for process in processes)
