"""The queue: who asks for a run that starts when the present one ends, and who starts it.

    enqueue ──► waits, in order ──► a dispatcher takes the lease, looks that it is still the first,
                    │               and moves it from queued to running: now it is a run
                    ├─ withdrawn ─► cancelled
                    └─ cannot be started (at once for a lasting reason, else after TRIES) ─► failed

Every long-lived process has a dispatcher. There is no claim beside the lease: who holds it may
start the head, and the store's compare-and-set lets a request begin once. So a dispatcher that is
killed before that leaves the request where it was, with its lease free; killed after it, it leaves
a run whose holder died, which is closed as interrupted like any other.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from sync.databases.failures import reason
from sync.dates import checked
from sync.errors import (
    N_,
    BatchSyncError,
    Cancelled,
    ConnectError,
    LeaseHeld,
    LockError,
    NobodyStarts,
    StoreError,
)
from sync.locking.holder import any_lives, current_holder, current_user
from sync.model import LogLine, RunId, RunStatus, Verdict
from sync.pairing.pair import chosen_tables
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sync.clock import Clock
    from sync.model import RunRequest, RunView
    from sync.settings import RunSettings, TableSettings
    from sync.snapshot import SnapshotReader
    from sync.store import Store, StoredQueue

log = structlog.get_logger()
TRIES = 5
CLOSE_S = 30.0
SLACK_S = 5.0  # clocks of two machines


def new_run_id() -> RunId:
    """An id that sorts by time and is nobody else's."""
    return RunId(f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}")


class Queue:
    """The requests of one target; `tables` are all that can be asked for."""

    def __init__(
        self, store: Store, target: str, tables: Sequence[TableSettings], clock: Clock
    ) -> None:
        self.stored = store.queue(target)
        self._store = store
        self._tables = tables
        self._clock = clock
        self._adding = threading.Lock()

    def add(self, request: RunRequest, *, user: str | None, key: str | None) -> RunId:
        """Put a request behind all others; the same key again gives the same run's id.

        Raises RangeError, UnknownTable, NobodyStarts, StoreError.
        """
        checked(request.days)
        tables = tuple(table.target for table in chosen_tables(self._tables, request.tables))
        with self._adding:
            if key and (known := self._store.by_key(key)):
                return known
            self._store.open()
            if not any_lives(self.stored.processes(self._clock.now())):
                raise NobodyStarts
            run_id, holder = new_run_id(), current_holder(user)
            told = Told(N_("Queued by {who}."), who=f"{holder.user}@{holder.host}")
            line = LogLine(at=self._clock.now(), event="run.queued", text=told)
            self.stored.add(run_id, request, tables=tables, holder=holder, key=key, line=line)
        return run_id

    def withdraw(self, run_id: RunId) -> bool:
        """Take a request out; False when it is none, or has just begun."""
        told = Told(N_("Withdrawn from the queue by {who}."), who=current_user())
        return self.stored.end(run_id, RunStatus.CANCELLED, told, at=self._clock.now())

    def check_turn(self, run_id: RunId) -> None:
        """For the one who holds the lease: raise Cancelled unless this is the next to start."""
        head = self.stored.head()
        if head is None or head[0].id != run_id:
            raise Cancelled


class Dispatcher:
    """Starts the requests of one target, one after the other, from a thread of this process."""

    def __init__(
        self,
        stored: StoredQueue,
        snapshots: SnapshotReader,
        start: Callable[[RunView], object],
        run: RunSettings,
        clock: Clock,
    ) -> None:
        self._stored = stored
        self._snapshots = snapshots
        self._start = start
        self._run = run
        self._clock = clock
        self._process = current_holder(None)
        self._beaten: float | None = None
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def open(self) -> None:
        """Begin to look after the queue; from now on requests are taken in."""
        with self._guard:
            if self._thread is not None or self._closed.is_set():
                return
            with suppress(StoreError):  # the thread tries again
                self._beat()
            self._thread = threading.Thread(target=self._go, name="batch-sync-queue", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look at once, if this process looks at all."""
        self._woken.set()

    def close(self) -> None:
        """Start nothing more; what waits stays for others, or for the next process."""
        self._closed.set()
        self._woken.set()
        with self._guard:
            thread = self._thread
        if thread is None:
            return
        thread.join(CLOSE_S)
        with suppress(StoreError):
            self._stored.leave(self._process)

    def _go(self) -> None:
        while not self._closed.is_set():
            try:
                self._beat()
                self._look()
            except StoreError as error:
                log.warning("store.unavailable", error=str(error))
            except Exception:
                # Whatever it was, the others in the queue are not to wait for ever.
                log.exception("queue.crashed")
            self._clock.wait(self._woken, self._run.queue_every_s)
            self._woken.clear()

    def _beat(self) -> None:
        now = self._clock.monotonic()
        if self._beaten is None or now - self._beaten >= self._run.heartbeat_s:
            good_until = self._clock.now() + timedelta(seconds=self._run.heartbeat_old_s)
            self._stored.beat(self._process, good_until=good_until)
            self._beaten = now

    def _look(self) -> None:
        head = self._stored.head()
        if head is None or self._rests(head[1]):
            return
        present, verdict, _ = self._snapshots.present()
        # A start ends what is left of a holder that has lost its lease.
        if present is None or verdict is Verdict.LOST:
            self._try(head[0])

    def _rests(self, until: datetime) -> bool:
        """Whether it is too early to try; no rest is that long, unless the clock was set back."""
        rest_s = (until - self._clock.now()).total_seconds()
        return 0 < rest_s <= TRIES * self._run.queue_pause_s + SLACK_S

    def _try(self, request: RunView) -> None:
        """Start it; what is in the way for a while leaves it where it is."""
        try:
            self._start(request)
        except (LeaseHeld, Cancelled):
            return  # another one was faster, or it was withdrawn
        except StoreError:
            raise
        except (ConnectError, LockError) as error:
            self._postpone(request.id, error.told)
        except BatchSyncError as error:
            self._give_up(request.id, error.told)
        except Exception as error:
            log.exception("queue.crashed", run=request.id)
            bug = BatchSyncError(reason=f"{type(error).__name__}: {reason(error)}")
            self._postpone(request.id, bug.told)

    def _postpone(self, run_id: RunId, why: Told) -> None:
        now, pause_s = self._clock.now(), self._run.queue_pause_s
        tries = self._stored.postpone(run_id, why, at=now, pause_s=pause_s)
        if tries >= TRIES:
            self._give_up(run_id, why)

    def _give_up(self, run_id: RunId, why: Told) -> None:
        if self._stored.end(run_id, RunStatus.FAILED, why, at=self._clock.now()):
            log.warning("queue.given_up", run=run_id, error=str(why))
            self.wake()
