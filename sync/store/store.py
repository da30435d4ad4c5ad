"""What is written and asked: one method a question, each a transaction of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlalchemy import bindparam, case, func, literal, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree

from sync.errors import Cancelled, StoreError, UnknownRun
from sync.model import (
    MOVES,
    CancelMode,
    Holder,
    LogLine,
    PartitionStatus,
    PartitionView,
    Progress,
    RunId,
    RunRequest,
    RunStatus,
    RunView,
    Sample,
    Token,
)
from sync.store.engine import private_folder, transactions
from sync.store.marks import StoredMarks
from sync.store.past import Past
from sync.store.queue import StoredQueue
from sync.store.rows import (
    event_row,
    partition_row,
    partition_view,
    progress_row,
    request_row,
    run_view,
)
from sync.store.schema import ToldText, event_table, partition_table, run_table, sample_table
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlalchemy import URL, ColumnElement, Connection

REVISION = "0004"
MIGRATION_S = 60
MIGRATIONS = Path(__file__).parent.parent / "migrations"
UPDATE_PARTITION = (
    update(partition_table)
    .where(
        partition_table.c.run_id == bindparam("b_run_id"),
        partition_table.c.table_name == bindparam("b_table_name"),
        partition_table.c.day == bindparam("b_day"),
    )
    .values(
        status=bindparam("b_status"),
        rows=bindparam("b_rows"),
        target_rows=bindparam("b_target_rows"),
        seconds=bindparam("b_seconds"),
        error=bindparam("b_error"),
        committed_at=bindparam("b_committed_at"),
        digest=bindparam("b_digest"),
        digest_kind=bindparam("b_digest_kind"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What a run tells the store at one go: everything that changed since the last time."""

    at: datetime
    progress_at: datetime
    progress: Progress
    current: str | None
    partitions: tuple[PartitionView, ...] = ()
    events: tuple[LogLine, ...] = ()
    sample: Sample | None = None
    held_back: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run that begins, by a holder who has the lease; `queued` when it stands in the queue."""

    id: RunId
    target: str
    request: RunRequest
    tables: tuple[str, ...]
    token: Token
    holder: Holder
    key: str | None = None
    queued: bool = False
    circumstances: Mapping[str, Any] | None = None


class Store:
    """Runs, their partitions, samples and events.

    Safe from any thread: each call has its own transaction.
    """

    def __init__(self, url: URL) -> None:
        self.address = url.database or str(url)
        self._url = url
        self._begin = transactions(url)
        self.marks = StoredMarks(self._transaction)

    def open(self) -> None:
        """Make or bring up to date the schema. Raises StoreError."""
        if self._url.get_backend_name() == "sqlite":
            private_folder(Path(self._url.database or ""))
        with self._transaction() as connection:
            known = connection.dialect.has_table(
                connection, "alembic_version"
            ) and connection.scalar(text("SELECT version_num FROM alembic_version"))
        if known != REVISION:
            self._migrate()

    def clock(self) -> Callable[[], datetime] | None:
        """What asks the store's own clock; None where that is this machine's. Raises StoreError."""

        def now() -> datetime:
            with self._transaction() as connection:
                found: datetime = connection.scalar(text("SELECT clock_timestamp()"))
                return found

        return None if self._url.get_backend_name() == "sqlite" else now

    def _migrate(self) -> None:
        # Imported here: on nearly every start there is nothing to migrate. Two processes take
        # turns.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._one_migrates(), self._transaction(MIGRATION_S) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _one_migrates(self) -> AbstractContextManager[object]:
        if self._url.get_backend_name() != "sqlite":
            return nullcontext()
        return FileLock(f"{self._url.database}.migrating", timeout=MIGRATION_S)

    @contextmanager
    def _transaction(self, seconds: float | None = None) -> Iterator[Connection]:
        try:
            with self._begin(seconds) as connection:
                yield connection
        except (DBAPIError, NoneFree, OSError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise StoreError(address=self.address, reason=reason) from None

    def start(self, new: NewRun) -> None:
        """Write that a run is running.

        Raises StoreError, also when another one of the target is, or has its key; Cancelled when
        it was to come from the queue and waits there no longer.
        """
        run = run_table.c
        values = request_row(new.target, new.request, new.tables, new.holder, datetime.now(UTC)) | {
            "status": RunStatus.RUNNING.value,
            "token": new.token,
            "circumstances": new.circumstances,
        }
        with self._transaction() as connection:
            if not new.queued:
                connection.execute(
                    run_table.insert().values(values | {"id": new.id, "start_key": new.key})
                )
                return
            waits = (run.id == new.id, run.status == RunStatus.QUEUED.value)
            begun = connection.execute(
                update(run_table).where(*waits).values(values | {"error": None})
            )
            if not begun.rowcount:
                raise Cancelled

    def plan(self, run_id: RunId, partitions: Iterable[PartitionView], progress: Progress) -> None:
        """Write the whole plan of a run in one transaction, before its first row moves."""
        rows = [partition_row(run_id, partition) for partition in partitions]
        with self._transaction() as connection:
            if rows:
                connection.execute(partition_table.insert(), rows)
            connection.execute(
                update(run_table).where(run_table.c.id == run_id).values(**progress_row(progress))
            )

    def tick(self, run_id: RunId, tick: Tick) -> CancelMode | None:
        """Write what changed; answer how the run was asked to stop, if it was.

        Of a run that somebody has closed, only what it has to say is kept.
        """
        run = run_table.c
        with self._transaction() as connection:
            asked = connection.execute(
                update(run_table)
                .where(run.id == run_id, run.status == RunStatus.RUNNING.value)
                .values(
                    beat_at=tick.at.timestamp(),
                    progress_at=tick.progress_at.timestamp(),
                    current=tick.current,
                    held_back=tick.held_back,
                    failed=tick.failed,
                    **progress_row(tick.progress),
                )
                .returning(run.cancel)
            ).first()
            if tick.partitions and asked:
                connection.execute(
                    UPDATE_PARTITION, [partition_row(run_id, p, "b_") for p in tick.partitions]
                )
            if tick.events:
                connection.execute(
                    event_table.insert(), [event_row(run_id, line) for line in tick.events]
                )
            if tick.sample and asked:
                connection.execute(
                    sample_table.insert().values(
                        run_id=run_id,
                        at=tick.sample.at.timestamp(),
                        rows_per_s=tick.sample.rows_per_s,
                    )
                )
        return CancelMode(asked[0]) if asked and asked[0] else None

    def take_over(self, run_id: RunId, line: LogLine) -> None:
        """Note that a running run is taken over, and why: however it ends, it was interrupted."""
        running = (run_table.c.id == run_id, run_table.c.status == RunStatus.RUNNING.value)
        with self._transaction() as connection:
            noted = connection.execute(update(run_table).where(*running).values(error=line.text))
            if noted.rowcount:
                connection.execute(event_table.insert().values(**event_row(run_id, line)))

    def finish(self, run_id: RunId, status: RunStatus, *, error: Told | None, at: datetime) -> bool:
        """Move a run to its end, if it has not ended; True when this call did it.

        A run that did not succeed and that somebody has taken over was interrupted, by him; of its
        rows, those that were rolled back are no longer counted.
        """
        before = [state.value for state, following in MOVES.items() if status in following]
        end: dict[str, Any] = {"status": status.value, "error": error}
        if status is not RunStatus.SUCCEEDED:
            noted = run_table.c.error
            interrupted = (noted.is_not(None), RunStatus.INTERRUPTED.value)
            end["status"] = case(interrupted, else_=status.value)
            end["error"] = func.coalesce(noted, literal(error, ToldText))
            end["rows_done"] = _committed(run_id)
        with self._transaction() as connection:
            moved = connection.execute(
                update(run_table)
                .where(run_table.c.id == run_id, run_table.c.status.in_(before))
                .values(
                    **end,
                    finished_at=at.timestamp(),
                    eta_s=None,
                    current=None,
                )
            )
            if moved.rowcount:
                # What was under way when the run ended was rolled back.
                connection.execute(
                    update(partition_table)
                    .where(
                        partition_table.c.run_id == run_id,
                        partition_table.c.status == PartitionStatus.COPYING.value,
                    )
                    .values(status=PartitionStatus.PENDING.value)
                )
        return bool(moved.rowcount)

    def request_cancel(self, run_id: RunId, mode: CancelMode) -> bool:
        """Ask a running run to stop; False when it does not run. `now` is never weakened again."""
        run = run_table.c
        with self._transaction() as connection:
            asked = connection.execute(
                update(run_table)
                .where(run.id == run_id, run.status == RunStatus.RUNNING.value)
                .values(
                    cancel=mode.value
                    if mode is CancelMode.NOW
                    else func.coalesce(run.cancel, mode.value)
                )
            )
        return bool(asked.rowcount)

    def queue(self, target: str) -> StoredQueue:
        """The requests for a target that wait for their turn."""
        return StoredQueue(self._transaction, target)

    def past(self, target: str) -> Past:
        """What is asked of a target's past runs."""
        return Past(self._transaction, target)

    def by_key(self, key: str) -> RunId | None:
        """The run that was started under this key."""
        with self._transaction() as connection:
            found = connection.scalar(select(run_table.c.id).where(run_table.c.start_key == key))
        return RunId(found) if found else None

    def run(self, run_id: RunId, *, target: str | None = None) -> RunView:
        """One run; with a `target`, of that one only. Raises UnknownRun."""
        wanted = select(run_table).where(run_table.c.id == run_id)
        if target is not None:
            wanted = wanted.where(run_table.c.target == target)
        with self._transaction() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            raise UnknownRun(run_id=run_id)
        return run_view(row)

    def circumstances(self, run_id: RunId) -> Mapping[str, Any]:
        """Under what a run went; empty where that is not known."""
        wanted = select(run_table.c.circumstances).where(run_table.c.id == run_id)
        with self._transaction() as connection:
            return connection.scalar(wanted) or {}

    def recent(self, target: str, limit: int) -> tuple[RunView, ...]:
        """The newest runs of a target first; what still waits in the queue is none of them."""
        wanted = (
            select(run_table)
            .where(run_table.c.target == target, run_table.c.status != RunStatus.QUEUED.value)
            .order_by(run_table.c.started_at.desc(), run_table.c.token.desc())
            .limit(limit)
        )
        with self._transaction() as connection:
            return tuple(run_view(row) for row in connection.execute(wanted))

    def running(self, target: str) -> RunView | None:
        """The run that the store knows as running; whether its holder lives is another question."""
        wanted = select(run_table).where(
            run_table.c.target == target, run_table.c.status == RunStatus.RUNNING.value
        )
        with self._transaction() as connection:
            row = connection.execute(wanted).first()
        return run_view(row) if row else None

    def partitions(self, run_id: RunId) -> tuple[PartitionView, ...]:
        """A run's partitions by table and day."""
        p = partition_table.c
        wanted = select(partition_table).where(p.run_id == run_id).order_by(p.table_name, p.day)
        with self._transaction() as connection:
            return tuple(partition_view(row) for row in connection.execute(wanted))

    def samples(self, run_id: RunId, limit: int) -> tuple[Sample, ...]:
        """At most about `limit` samples spread evenly over the run."""
        s = sample_table.c
        number = func.row_number().over(order_by=s.at).label("number")
        numbered = select(s.at, s.rows_per_s, number).where(s.run_id == run_id).subquery()
        with self._transaction() as connection:
            total = connection.scalar(select(func.count()).where(s.run_id == run_id)) or 0
            step = max(1, -(-total // limit))
            wanted = select(numbered).where(numbered.c.number % step == 0).order_by(numbered.c.at)
            return tuple(
                Sample(at=datetime.fromtimestamp(row.at, UTC), rows_per_s=row.rows_per_s)
                for row in connection.execute(wanted)
            )

    def sparklines(self, run_ids: list[RunId], limit: int) -> dict[str, tuple[float, ...]]:
        """For each run at most about `limit` rates, spread evenly over it."""
        return {
            run_id: tuple(s.rows_per_s for s in self.samples(run_id, limit)) for run_id in run_ids
        }

    def log(self, run_id: RunId, limit: int) -> tuple[LogLine, ...]:
        """The newest events of a run, oldest first."""
        e = event_table.c
        wanted = (
            select(e.at, e.event, e.text)
            .where(e.run_id == run_id)
            .order_by(e.id.desc())
            .limit(limit)
        )
        with self._transaction() as connection:
            lines = [
                LogLine(at=datetime.fromtimestamp(row.at, UTC), event=row.event, text=row.text)
                for row in connection.execute(wanted)
            ]
        return tuple(reversed(lines))


def _committed(run_id: RunId) -> ColumnElement[int]:
    """The rows of a run's partitions that are done; all it has told where it has no partitions."""
    p = partition_table.c
    done = case((p.status == PartitionStatus.DONE.value, p.rows), else_=0)
    rows = select(func.sum(done)).where(p.run_id == run_id).scalar_subquery()
    return func.coalesce(rows, run_table.c.rows_done)
