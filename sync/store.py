"""The progress store: what every view polls. The truth about rows stands in the target.

SQLite (WAL) in the state directory by default. Instants are seconds since the epoch, days are ISO
text. That at most one run of a target is running is kept by a unique index, not by asking first.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.types import TypeDecorator

from sync.errors import StoreError, UnknownRun
from sync.model import (
    MOVES,
    CancelMode,
    DateRange,
    Holder,
    LogLine,
    Only,
    PartitionStatus,
    PartitionView,
    Progress,
    RunId,
    RunRequest,
    RunStatus,
    RunView,
    Sample,
    Token,
    Told,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import URL, Connection, Dialect, Row

REVISION = "0001"
MIGRATION_S = 60


class ToldText(TypeDecorator[Told]):
    """A Told as JSON text; pure ASCII, so that no fact is too odd for a database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Told | None, dialect: Dialect) -> str | None:
        """To text."""
        del dialect
        return json.dumps(value.to_json()) if value else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> Told | None:
        """From text."""
        del dialect
        return Told.from_json(json.loads(value)) if value else None


metadata = MetaData()
run_table = Table(
    "run",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("target", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("start_date", String(10), nullable=False),
    Column("end_date", String(10), nullable=False),
    Column("tables", JSON, nullable=False),
    Column("only", String(16), nullable=False),
    Column("allow_shrink", Boolean, nullable=False),
    Column("token", BigInteger),
    Column("since_token", BigInteger),
    Column("holder", JSON, nullable=False),
    Column("start_key", String(128)),
    Column("started_at", Float, nullable=False),
    Column("beat_at", Float, nullable=False),
    Column("progress_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("partitions_done", Integer, nullable=False, default=0),
    Column("partitions_total", Integer, nullable=False, default=0),
    Column("rows_done", BigInteger, nullable=False, default=0),
    Column("rows_total", BigInteger, nullable=False, default=0),
    Column("rows_per_s", Float, nullable=False, default=0.0),
    Column("eta_s", Float),
    Column("cancel", String(16)),
    Column("current", Text),
    Column("held_back", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("error", ToldText),
    Index("run_newest", "target", "started_at"),
    Index("run_start_key", "start_key", unique=True),
    Index(
        "one_running",
        "target",
        unique=True,
        sqlite_where=text("status = 'running'"),
        postgresql_where=text("status = 'running'"),
    ),
)
partition_table = Table(
    "partition",
    metadata,
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("target_rows", BigInteger, nullable=False),
    Column("seconds", Float),
    Column("error", ToldText),
)
sample_table = Table(
    "sample",
    metadata,
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Float, primary_key=True),
    Column("rows_per_s", Float, nullable=False),
)
event_table = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("event", String(64), nullable=False),
    Column("text", ToldText, nullable=False),
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
    """A run at its birth: it is born running, by a holder who has the lease."""

    id: RunId
    target: str
    request: RunRequest
    tables: tuple[str, ...]
    token: Token
    holder: Holder
    key: str | None = None


class Store:
    """Runs, their partitions, samples and events.

    Safe from any thread: each call has its own transaction.
    """

    def __init__(self, url: URL) -> None:
        self.address = url.database or str(url)
        self._url = url
        self._engine = create_engine(url)
        if url.get_backend_name() == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)

    def open(self) -> None:
        """Make or bring up to date the schema. Raises StoreError."""
        if self._url.get_backend_name() == "sqlite":
            _private_folder(Path(self._url.database or ""))
        with self._transaction() as connection:
            known = connection.dialect.has_table(
                connection, "alembic_version"
            ) and connection.scalar(text("SELECT version_num FROM alembic_version"))
        if known != REVISION:
            self._migrate()

    def _migrate(self) -> None:
        # Imported here: on nearly every start there is nothing to migrate. Two processes take
        # turns.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._one_migrates(), self._transaction() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _one_migrates(self) -> AbstractContextManager[object]:
        if self._url.get_backend_name() != "sqlite":
            return nullcontext()
        return FileLock(f"{self._url.database}.migrating", timeout=MIGRATION_S)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (DBAPIError, OSError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise StoreError(address=self.address, reason=reason) from None

    def start(self, new: NewRun) -> None:
        """Write a run that is running.

        Raises StoreError; IntegrityError when another one of the target is.
        """
        now = datetime.now(UTC).timestamp()
        with self._transaction() as connection:
            connection.execute(
                run_table.insert().values(
                    id=new.id,
                    target=new.target,
                    status=RunStatus.RUNNING.value,
                    start_date=new.request.days.start.isoformat(),
                    end_date=new.request.days.end.isoformat(),
                    tables=list(new.tables),
                    only=new.request.only.value,
                    allow_shrink=new.request.allow_shrink,
                    token=new.token,
                    since_token=new.request.since_token,
                    holder=new.holder.to_json(),
                    start_key=new.key,
                    started_at=now,
                    beat_at=now,
                    progress_at=now,
                )
            )

    def plan(self, run_id: RunId, partitions: Iterable[PartitionView], progress: Progress) -> None:
        """Write the whole plan of a run in one transaction, before its first row moves."""
        rows = [_partition_row(run_id, partition) for partition in partitions]
        with self._transaction() as connection:
            if rows:
                connection.execute(partition_table.insert(), rows)
            connection.execute(
                update(run_table).where(run_table.c.id == run_id).values(**_progress_row(progress))
            )

    def tick(self, run_id: RunId, tick: Tick) -> CancelMode | None:
        """Write what changed; answer how the run was asked to stop, if it was."""
        run = run_table.c
        with self._transaction() as connection:
            asked = connection.execute(
                update(run_table)
                .where(run.id == run_id)
                .values(
                    beat_at=tick.at.timestamp(),
                    progress_at=tick.progress_at.timestamp(),
                    current=tick.current,
                    held_back=tick.held_back,
                    failed=tick.failed,
                    **_progress_row(tick.progress),
                )
                .returning(run.cancel)
            ).scalar()
            if tick.partitions:
                connection.execute(
                    _UPDATE_PARTITION, [_partition_row(run_id, p, "b_") for p in tick.partitions]
                )
            if tick.events:
                connection.execute(
                    event_table.insert(),
                    [
                        {
                            "run_id": run_id,
                            "at": line.at.timestamp(),
                            "event": line.event,
                            "text": line.text,
                        }
                        for line in tick.events
                    ],
                )
            if tick.sample:
                connection.execute(
                    sample_table.insert().values(
                        run_id=run_id,
                        at=tick.sample.at.timestamp(),
                        rows_per_s=tick.sample.rows_per_s,
                    )
                )
        return CancelMode(asked) if asked else None

    def finish(self, run_id: RunId, status: RunStatus, *, error: Told | None, at: datetime) -> bool:
        """Move a run to its end, if it has not ended; True when this call did it."""
        before = [state.value for state, following in MOVES.items() if status in following]
        with self._transaction() as connection:
            moved = connection.execute(
                update(run_table)
                .where(run_table.c.id == run_id, run_table.c.status.in_(before))
                .values(
                    status=status.value,
                    error=error,
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

    def by_key(self, key: str) -> RunId | None:
        """The run that was started under this key."""
        with self._transaction() as connection:
            found = connection.scalar(select(run_table.c.id).where(run_table.c.start_key == key))
        return RunId(found) if found else None

    def run(self, run_id: RunId) -> RunView:
        """One run. Raises UnknownRun."""
        with self._transaction() as connection:
            row = connection.execute(select(run_table).where(run_table.c.id == run_id)).first()
        if row is None:
            raise UnknownRun(run_id=run_id)
        return _run_view(row)

    def recent(self, target: str, limit: int) -> tuple[RunView, ...]:
        """The newest runs of a target first."""
        wanted = (
            select(run_table)
            .where(run_table.c.target == target)
            .order_by(run_table.c.started_at.desc(), run_table.c.token.desc())
            .limit(limit)
        )
        with self._transaction() as connection:
            return tuple(_run_view(row) for row in connection.execute(wanted))

    def running(self, target: str) -> RunView | None:
        """The run that the store knows as running; whether its holder lives is another question."""
        wanted = select(run_table).where(
            run_table.c.target == target, run_table.c.status == RunStatus.RUNNING.value
        )
        with self._transaction() as connection:
            row = connection.execute(wanted).first()
        return _run_view(row) if row else None

    def partitions(self, run_id: RunId) -> tuple[PartitionView, ...]:
        """A run's partitions by table and day."""
        p = partition_table.c
        wanted = select(partition_table).where(p.run_id == run_id).order_by(p.table_name, p.day)
        with self._transaction() as connection:
            return tuple(
                PartitionView(
                    table=row.table_name,
                    day=date.fromisoformat(row.day),
                    status=PartitionStatus(row.status),
                    rows=row.rows,
                    target_rows=row.target_rows,
                    seconds=row.seconds,
                    error=row.error,
                )
                for row in connection.execute(wanted)
            )

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


_UPDATE_PARTITION = (
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
    )
)


def _prepare_sqlite(connection: Any, record: object) -> None:
    del record
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA foreign_keys = ON")


def _private_folder(file: Path) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(address=str(file), reason=str(error)) from None


def _progress_row(progress: Progress) -> dict[str, Any]:
    return {
        "partitions_done": progress.partitions_done,
        "partitions_total": progress.partitions_total,
        "rows_done": progress.rows_done,
        "rows_total": progress.rows_total,
        "rows_per_s": progress.rows_per_s,
        "eta_s": progress.eta_s,
    }


def _partition_row(run_id: RunId, partition: PartitionView, prefix: str = "") -> dict[str, Any]:
    values = {
        "run_id": run_id,
        "table_name": partition.table,
        "day": partition.day.isoformat(),
        "status": partition.status.value,
        "rows": partition.rows,
        "target_rows": partition.target_rows,
        "seconds": partition.seconds,
        "error": partition.error,
    }
    return {prefix + name: value for name, value in values.items()}


def _run_view(row: Row[Any]) -> RunView:
    instants = {
        name: datetime.fromtimestamp(getattr(row, name), UTC)
        for name in ("started_at", "beat_at", "progress_at")
    }
    return RunView(
        id=RunId(row.id),
        status=RunStatus(row.status),
        days=DateRange(date.fromisoformat(row.start_date), date.fromisoformat(row.end_date)),
        tables=tuple(row.tables),
        only=Only(row.only),
        allow_shrink=row.allow_shrink,
        token=Token(row.token) if row.token is not None else None,
        since_token=Token(row.since_token) if row.since_token is not None else None,
        holder=Holder.from_json(row.holder),
        progress=Progress(
            partitions_done=row.partitions_done,
            partitions_total=row.partitions_total,
            rows_done=row.rows_done,
            rows_total=row.rows_total,
            rows_per_s=row.rows_per_s,
            eta_s=row.eta_s,
        ),
        finished_at=datetime.fromtimestamp(row.finished_at, UTC) if row.finished_at else None,
        cancel=CancelMode(row.cancel) if row.cancel else None,
        error=row.error,
        held_back=row.held_back,
        failed=row.failed,
        current=row.current,
        **instants,
    )
