"""The proof that a lock is refused to a second one: on this machine's disk, and in the target.

Believed is what was seen, not what a file system or server promises. Every lock taken here has a
name of its own, so that no start and no other check is refused because of it.
"""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sync.doctor.finding import Finding
from sync.errors import N_
from sync.locking import session as sessions
from sync.locking.witness import HELD, TAKEN
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sync.databases.postgres import PostgresDatabase
    from sync.locking.lock import TargetLock

DEADLINE_S = 10.0
CHECK = ".check-"
LEFT_S = 600.0  # no check takes that long
FREED_S = 2.0  # a server notices within this that a session has ended
PACKAGES = Path(__file__).parents[2]
ONE_HOLDS = N_("In {place} a second one was refused the lock while the first held it.")
TWO_HOLD = N_("In {place} two held one lock at once: locks do not hold there.")
NOT_FREED = N_("In {place} a lock was not free again after its holder had ended.")
NOT_TRIED = N_("In {place} no lock could be taken to try it out: {answer}")
LOCAL_DISK = N_("Lock files must lie on a local disk, not on a network file system such as NFS.")
DIRECT = N_("Such a lock needs a direct connection to one server that takes writes.")


def look_at_files(lock_file: Path) -> Iterator[Finding]:
    """Two processes try for a file beside the lock file.

    Both are others than this one: a file system that hangs must not hang the doctor.
    """
    _clear_away(lock_file)
    probe = lock_file.with_name(f"{lock_file.name}{CHECK}{secrets.token_hex(4)}")
    try:
        with _witness(probe) as first, _witness(probe) as second:
            answers = [first.tries(), second.tries()]
            first.ends()
            answers.append(second.tries())
    finally:
        # Nobody else knows its name.
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    yield _judged(N_("lock file"), str(lock_file.parent), answers, hint=LOCAL_DISK)


def _clear_away(lock_file: Path) -> None:
    """Remove the files of checks that were killed."""
    with suppress(OSError):
        for file in lock_file.parent.glob(f"{escape(lock_file.name)}{CHECK}*"):
            with suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > LEFT_S:
                    file.unlink()


def look_at_sessions(target: PostgresDatabase) -> Iterator[Finding]:
    """Two sessions of the target try for a key that no start asks for."""
    name = f"check {secrets.token_hex(8)}"
    with target.session() as second:
        with target.session() as first:
            answers = [_answer(sessions.try_lock(session, name)) for session in (first, second)]
        deadline = time.monotonic() + FREED_S
        while not (free := sessions.try_lock(second, name)) and time.monotonic() < deadline:
            time.sleep(sessions.POLL_S)
        answers.append(_answer(free))
    yield _judged(N_("session lock"), target.address, answers, hint=DIRECT)


def look_at_url(lock: TargetLock) -> Iterator[Finding]:
    """Two holders try for a lock at `[lock] url`, under a name that no start asks for."""
    name = f"check {secrets.token_hex(8)}"
    first, second = lock.at_url(name), lock.at_url(name)
    if first is None or second is None:
        return
    with closing(first), closing(second):
        answers = [_answer(one.acquire(f'"{n}"')) for n, one in enumerate((first, second))]
        first.release()
        answers.append(_answer(second.acquire('"1"')))
    yield _judged(N_("[lock] url"), first.name, answers, hint=DIRECT)


def _answer(taken: bool) -> str:  # noqa: FBT001 - the database's own answer
    return TAKEN if taken else HELD


def _judged(name: str, place: str, answers: list[str], *, hint: str) -> Finding:
    match answers:
        case [first, second, _] if first == second == TAKEN:
            told = TWO_HOLD
        case [_, _, _] if answers == [TAKEN, HELD, TAKEN]:
            told = ONE_HOLDS
        case [_, _, _] if answers == [TAKEN, HELD, HELD]:
            told = NOT_FREED
        case _:
            told = NOT_TRIED
    ok = told is ONE_HOLDS
    unknown = next((answer for answer in answers if answer not in {TAKEN, HELD}), HELD)
    return Finding(
        name=Told(name),
        ok=ok,
        told=Told(told, hint="" if ok else hint, place=place, answer=unknown),
    )


class _Witness:
    """A process that tries for a lock file when told to."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "sync.locking.witness", str(path)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGES), *sys.path])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def tries(self) -> str:
        """What it says after one try; `no answer within …` when it says nothing in time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        # Nothing is left in Python's buffer between two answers, so the pipe tells.
        ready, _, _ = select.select([self._process.stdout], [], [], DEADLINE_S)
        answer = self._process.stdout.readline().strip() if ready else ""
        return answer or f"no answer within {DEADLINE_S:.0f} s"

    def ends(self) -> None:
        """Let it end, and with it what it holds."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()
        try:
            self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            # One that hangs in a file system may not even die of that.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(DEADLINE_S)


@contextmanager
def _witness(path: Path) -> Iterator[_Witness]:
    witness = _Witness(path)
    try:
        yield witness
    finally:
        witness.ends()
