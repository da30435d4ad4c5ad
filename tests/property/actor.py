"""One host's hold on the lease as a process of its own, which does one step whenever it is told."""

from contextlib import suppress
from datetime import date
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sync.databases.ledger_rows import Checkpoint
from sync.errors import BatchSyncError
from sync.locking import holder as holders
from sync.locking.holder import current_holder
from sync.locking.lease import Lease, take_lease
from sync.model import DateRange, Progress, RunId, RunStatus
from sync.settings import load
from sync.wiring import open_operations


def act(pipe: Pipe, settings_file: Path, boot_id: str | None) -> None:
    """Do what comes over the pipe, and answer: whether it went well, and what it gave.

    With a `boot_id` of its own, no process of this machine can see this one.
    """
    if boot_id:
        holders._boot_id = lambda: boot_id  # type: ignore[assignment]  # noqa: SLF001 - a host
    actor = Actor(settings_file)
    pipe.send((True, None))
    while True:
        step, *arguments = pipe.recv()
        try:
            pipe.send((True, getattr(actor, step)(*arguments)))
        except (BatchSyncError, DBAPIError) as error:
            actor.let_go()
            pipe.send((False, f"{type(error).__name__}: {error}"))


class Actor:
    """The steps of a run, each by the product's own lock, lease, ledger and fence."""

    def __init__(self, settings_file: Path) -> None:
        self._parts = open_operations(load(settings_file))._parts  # noqa: SLF001 - steps of a run
        self._lease: Lease | None = None
        self._writing: Connection | None = None

    def acquire(self, run_id: str, start: date, end: date) -> None:
        """Take the locks and the token."""
        parts, days = self._parts, DateRange(start, end)
        holder = current_holder(None)
        facts: dict[str, Any] = {
            "run_id": RunId(run_id),
            "holder": holder,
            "days": days,
            "tables": ("orders",),
        }
        held = parts.lock.acquire(**facts)
        try:
            self._writing = parts.target.connect(run_id=RunId(run_id))
            self._lease, _ = take_lease(
                held, self._writing, lock=parts.lock, target=parts.target, **facts
            )
        except BaseException:
            held.release()
            raise

    def beat(self) -> None:
        """As the run's beater does."""
        self._held.beat(Progress())

    def copy(self, day: date, version: int, rows: int) -> None:
        """Put a day's rows and its checkpoint into an open transaction.

        As the product does: look at the lock first, and connect anew where the connection broke.
        """
        self._held.check()
        try:
            self._copy(day, version, rows)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self._writing = self._parts.target.connect(run_id=self._held.run_id)
            self._copy(day, version, rows)

    def _copy(self, day: date, version: int, rows: int) -> None:
        writing, lease = self._connection, self._held
        writing.begin()
        writing.execute(text("DELETE FROM orders WHERE day = :day"), {"day": day.isoformat()})
        first = day.toordinal() * rows
        writing.execute(
            text("INSERT INTO orders VALUES (:id, :day, :version)"),
            [{"id": first + n, "day": day.isoformat(), "version": version} for n in range(rows)],
        )
        point = Checkpoint(
            table="orders",
            day=day,
            rows=rows,
            definition="",
            day_closed=True,
            run_id=lease.run_id,
            token=lease.token,
        )
        lease.ledger.write_checkpoints(writing, [point])

    def commit(self) -> tuple[int, str]:
        """As a group ends: the fence, then COMMIT. The token and run id that it was under."""
        lease = self._held
        lease.fence(self._connection)
        self._connection.commit()
        return lease.token, lease.run_id

    def end(self, outcome: str) -> None:
        """Roll back what is open, write how the run ended, and free the locks."""
        self._connection.rollback()
        lease = self._held
        lease.close(RunStatus(outcome), why=None, progress=Progress())
        self.let_go()

    def let_go(self) -> None:
        """After an error or the end: nothing is open or held any more."""
        if self._writing is not None:
            with suppress(DBAPIError):
                self._writing.invalidate()
                self._writing.close()
        if self._lease is not None:
            self._lease.release()
        self._lease = self._writing = None

    @property
    def _held(self) -> Lease:
        assert self._lease is not None
        return self._lease

    @property
    def _connection(self) -> Connection:
        assert self._writing is not None
        return self._writing
