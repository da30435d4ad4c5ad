"""A run in the foreground: wait for the lease, show how far it is, stop it on a signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from sync import wording
from sync.errors import BatchSyncError, LeaseHeld, UnknownRun
from sync.model import CancelMode, RunStatus
from sync.wording import translations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from sync.model import RunId, RunView
    from sync.operations import Operations

POLL_S = 0.2
LINE_EVERY_S = 10.0
ASK_AGAIN_S = 1.0
START_GRACE_S = 2.0


def say(text: str) -> None:
    """To stderr: all that is not data."""
    print(text, file=sys.stderr, flush=True)


class Signals:
    """SIGINT and SIGTERM, noted and not obeyed at once, so that a run ends cleanly.

    `received` is the first one. While this is entered, nothing is interrupted: who waits must ask.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> Self:
        self._former = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or number


def start(
    begin: Callable[[], RunId | None], *, wait_s: float | None, signals: Signals, locale: str
) -> RunId | None:
    """Call `begin`; while the lease is held, again and again for `wait_s` seconds (None: once).

    Raises what `begin` raises; SystemExit when a signal came while it waited, or had to.
    """
    give_up_at = time.monotonic() + (wait_s or 0)
    told: RunId | None = None
    while True:
        try:
            return _begun(begin, signals)
        except LeaseHeld as refusal:
            left = give_up_at - time.monotonic()
            if wait_s is None or left <= 0:
                raise
            if told != (told := refusal.conflict.run_id):
                say(
                    translations(locale)
                    .gettext("Waiting for run {run_id} to end …")
                    .format(run_id=told)
                )
        _pause(min(ASK_AGAIN_S, left), signals)


def _begun(begin: Callable[[], RunId | None], signals: Signals) -> RunId | None:
    """In a thread of its own: a server that hangs keeps it waiting, but no signal.

    What it holds goes with this process.
    """
    begun: Future[RunId | None] = Future()

    def work() -> None:
        try:
            begun.set_result(begin())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
            begun.set_exception(error)

    threading.Thread(target=work, name="batch-sync-start", daemon=True).start()
    while not begun.done():
        wait([begun], timeout=POLL_S)
        if signals.received and wait([begun], timeout=START_GRACE_S).not_done:
            raise SystemExit(128 + signals.received)
    return begun.result()


def _pause(seconds: float, signals: Signals) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if signals.received:
            raise SystemExit(128 + signals.received)
        time.sleep(min(POLL_S, left))


def follow(operations: Operations, run_id: RunId, *, signals: Signals, locale: str) -> RunView:
    """Show a run of this process until it has let go of its lease; a signal cancels it, once."""
    asked = False
    with progress_shown(locale) as show, ThreadPoolExecutor(max_workers=1) as waiter:
        end = waiter.submit(operations.wait, run_id)
        while not end.done():
            wait([end], timeout=POLL_S)
            if signals.received and not asked:
                asked = True
                say(translations(locale).gettext("Stopping; what is being copied is rolled back …"))
                with suppress(UnknownRun):  # it has just ended by itself
                    operations.cancel(run_id, CancelMode.NOW)
            with suppress(BatchSyncError):  # a store that cannot be read stops no run
                show(operations.run(run_id))
    return end.result()


def exit_code(run: RunView, signals: Signals) -> int:
    """0 done, 1 failed or held back, 128 + n by signal n.

    6 cancelled by somebody else, taken over, or lease lost.
    """
    if run.status is RunStatus.SUCCEEDED:
        return 0
    # Who takes a run over sends a signal, too.
    if signals.received and run.status is not RunStatus.INTERRUPTED:
        return 128 + signals.received
    return 1 if run.status is RunStatus.FAILED else 6


@contextmanager
def progress_shown(
    locale: str, line_every_s: float = LINE_EVERY_S
) -> Iterator[Callable[[RunView], None]]:
    """What to call with a run's view now and then: a bar on a terminal, else a line every 10 s."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _bar(locale) as show:
            yield show
    else:
        yield _lines(locale, line_every_s)


def _lines(locale: str, every_s: float) -> Callable[[RunView], None]:
    next_at = time.monotonic() + every_s

    def show(run: RunView) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            next_at += every_s
            say(wording.progress_line(run.progress, locale))

    return show


@contextmanager
def _bar(locale: str) -> Iterator[Callable[[RunView], None]]:
    # rich costs as much as all else of the command line: only where a bar is drawn.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    text = TextColumn("{task.description}", markup=False)
    with Progress(
        BarColumn(), TaskProgressColumn(), text, console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("", total=None)

        def show(run: RunView) -> None:
            line = wording.progress_line(run.progress, locale)
            known = run.progress.fraction is not None
            bar.update(
                task,
                description=line,
                total=1.0 if known else None,
                completed=run.progress.fraction or 0,
            )

        yield show
