"""The tables we keep in the target: who may commit, what runs there were, what is whole.

`fence` is the heart: the last statement of each transaction that writes rows. It locks the lease's
row, so that a takeover, which raises the token, either waits for this commit or makes it fail. A
plain SELECT would let both commit.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Date,
    String,
    Table,
    Text,
    bindparam,
    case,
    cast,
    column,
    delete,
    func,
    inspect,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from sync.databases.instants import database_now
from sync.databases.ledger_rows import Checkpoint, LedgerRun, ledger_run
from sync.databases.ledger_schema import LedgerTables
from sync.databases.shape import quoted
from sync.errors import N_, LeaseLost, LocksDiffer, SchemaError
from sync.model import DateRange, Holder, Progress, RunId, RunStatus, Token
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

NAME = "batch_sync"
PROTOCOL = 1


class Ledger:
    """Statements over our tables in one schema; every method runs in the caller's transaction."""

    def __init__(self, schema: str | None) -> None:
        self._tables = tables = LedgerTables(schema)
        self.lease, self.run, self.checkpoint = tables.lease, tables.run, tables.checkpoint

    def exists(self, connection: Connection) -> bool:
        """Whether our tables stand there."""
        table = self.checkpoint
        if connection.dialect.name == "postgresql":
            # SQLAlchemy's own question takes ten times as long to make and to answer.
            name = f"{quoted(table.schema or 'public')}.{table.name}"
            return connection.scalar(select(func.to_regclass(name))) is not None
        return inspect(connection).has_table(table.name)

    def create(self, connection: Connection) -> None:
        """Make the tables that are missing."""
        self._tables.metadata.create_all(connection)

    def statements(self, connection: Connection) -> dict[str, str]:
        """The DDL of each of our tables by name, for an administrator to run; may be run again."""
        made = {
            table.name: CreateTable(table, if_not_exists=True).compile(dialect=connection.dialect)
            for table in self._tables.metadata.sorted_tables
        }
        # The driver's dialect doubles each % for a driver that is given parameters.
        return {name: _on_one_line(str(statement) % ()) + ";" for name, statement in made.items()}

    def take(
        self,
        connection: Connection,
        *,
        run_id: RunId,
        holder: Holder,
        days: DateRange,
        tables: tuple[str, ...],
        fingerprint: str,
        backend: tuple[int, str] | None,
    ) -> Token:
        """Take the lease: raise the token above every one there was, and write the run's row.

        Raises SchemaError when a newer program has left a protocol that this one does not know,
        LocksDiffer when a lease that was not released was taken under other locks.
        """
        lease, run = self.lease, self.run
        self._refuse_newer_protocol(connection)
        highest = select(func.coalesce(func.max(run.c.token), 0)).scalar_subquery()
        values = {
            "run_id": run_id,
            "protocol": PROTOCOL,
            "lock_fingerprint": fingerprint,
            "acquired_at": database_now(),
            "released_at": None,
        }
        taken = _upsert(connection, lease).values(name=NAME, token=highest + 1, **values)
        # A restored backup may hold an old lease beside newer runs, or the other way round: stand
        # above both; by no subquery, for SQLAlchemy would leave its schema out. Other locks do not
        # shut out whoever has not released the lease.
        raised = taken.on_conflict_do_update(
            index_elements=[lease.c.name],
            set_=values | {"token": _greatest(connection, lease.c.token + 1, taken.excluded.token)},
            where=or_(lease.c.released_at.is_not(None), lease.c.lock_fingerprint == fingerprint),
        )
        found = connection.scalar(raised.returning(lease.c.token))
        if found is None:
            theirs = connection.execute(select(lease.c.run_id, lease.c.lock_fingerprint)).one()
            raise LocksDiffer(run_id=theirs[0], theirs=theirs[1], ours=fingerprint)
        token = Token(found)
        facts = holder.to_json() | (
            {"backend_pid": backend[0], "backend_start": backend[1]} if backend else {}
        )
        connection.execute(
            run.insert().values(
                token=token,
                run_id=run_id,
                holder=json.dumps(facts, ensure_ascii=False),
                start_date=days.start,
                end_date=days.end,
                tables=json.dumps(tables, ensure_ascii=False),
                acquired_at=database_now(),
                beat_at=database_now(),
            )
        )
        return token

    def under_other_locks(self, connection: Connection, run_id: RunId, fingerprint: str) -> bool:
        """Whether a run has not released its lease, and took it under other locks than these."""
        lease = self.lease
        theirs = select(lease.c.lock_fingerprint).where(
            lease.c.name == NAME, lease.c.run_id == run_id, lease.c.released_at.is_(None)
        )
        found = connection.scalar(theirs) if self.exists(connection) else None
        return found is not None and found != fingerprint

    def take_away(
        self, connection: Connection, *, token: Token, run_id: RunId, ended_by: str, reason: str
    ) -> None:
        """Raise the token above a run's and give it to nobody: that run commits nothing any more.

        A compare-and-set; a lease that is no longer the run's stays as it is. Who did it and why
        is written with it, and stands however the run is closed afterwards.
        """
        lease, run = self.lease, self.run
        highest = select(func.max(run.c.token)).scalar_subquery()
        connection.execute(
            update(lease)
            .where(lease.c.name == NAME, lease.c.token == token, lease.c.run_id == run_id)
            .values(
                token=_greatest(connection, lease.c.token, highest) + 1,
                released_at=database_now(),
            )
        )
        # A holder that obeyed a signal has called itself cancelled meanwhile.
        cancelled = run.c.outcome == RunStatus.CANCELLED.value
        connection.execute(
            update(run)
            .where(
                run.c.token == token,
                run.c.run_id == run_id,
                or_(run.c.outcome.is_(None), cancelled),
            )
            .values(
                ended_by=ended_by,
                reason=reason,
                outcome=case((cancelled, RunStatus.INTERRUPTED.value)),
            )
        )

    def _refuse_newer_protocol(self, connection: Connection) -> None:
        protocol = connection.scalar(select(self.lease.c.protocol).where(self.lease.c.name == NAME))
        if protocol is not None and protocol > PROTOCOL:
            raise SchemaError(
                N_(
                    "A newer Batch Sync (protocol {theirs}) has used this target;"
                    " this one knows protocol {ours}."
                ),
                hint=N_("Update this program."),
                theirs=protocol,
                ours=PROTOCOL,
            )

    def fence(self, connection: Connection, *, token: Token, run_id: RunId) -> None:
        """Prove, under a row lock that lasts to the commit, that the lease is still this run's.

        Raises LeaseLost; the caller's transaction must then roll back.
        """
        lease = self.lease
        mine = (
            select(lease.c.token)
            .where(
                lease.c.name == NAME,
                lease.c.token == token,
                lease.c.run_id == run_id,
                # Whoever closed this run as dead may have been wrong about it.
                lease.c.released_at.is_(None),
            )
            .with_for_update(read=True)
        )
        if connection.execute(mine).first() is None:
            raised = N_("token {token} is no longer the target's")
            raise LeaseLost(reason=Told(raised, token=token))

    def beat(
        self, connection: Connection, *, token: Token, run_id: RunId, progress: Progress
    ) -> None:
        """Write heartbeat and progress.

        Raises LeaseLost when the run's row says that it has ended.
        """
        run = self.run
        beaten = connection.execute(
            update(run)
            .where(run.c.token == token, run.c.run_id == run_id, run.c.released_at.is_(None))
            .values(beat_at=database_now(), **_counts(progress))
        )
        if beaten.rowcount != 1:
            raise LeaseLost(reason=Told(N_("its run was closed by somebody else")))

    def close(
        self,
        connection: Connection,
        *,
        token: Token,
        run_id: RunId,
        outcome: RunStatus,
        ended_by: str,
        reason: str | None,
        progress: Progress | None = None,
    ) -> bool:
        """Write how a run ended, if nobody has; True when this call wrote it.

        A run that did not succeed and that somebody has taken over was interrupted, by him.
        """
        run, lease = self.run, self.lease
        end: dict[str, Any] = {"outcome": outcome.value, "ended_by": ended_by, "reason": reason}
        if outcome is not RunStatus.SUCCEEDED:
            taken = (run.c.ended_by.is_not(None), RunStatus.INTERRUPTED.value)
            end["outcome"] = case(taken, else_=outcome.value)
            end["ended_by"] = func.coalesce(run.c.ended_by, ended_by)
            end["reason"] = func.coalesce(run.c.reason, reason)
        ended = connection.execute(
            update(run)
            .where(run.c.token == token, run.c.run_id == run_id, run.c.released_at.is_(None))
            .values(
                released_at=database_now(),
                **end,
                **(_counts(progress) if progress else {}),
            )
        )
        connection.execute(
            update(lease)
            .where(lease.c.name == NAME, lease.c.token == token, lease.c.run_id == run_id)
            .values(released_at=database_now())
        )
        return ended.rowcount == 1

    def runs(
        self, connection: Connection, *, limit: int, open_only: bool = False
    ) -> list[LedgerRun]:
        """The newest runs first; the age of their heartbeat by the database's clock."""
        wanted = (
            select(self.run, database_now().label("now"))
            .order_by(self.run.c.token.desc())
            .limit(limit)
        )
        if open_only:
            wanted = wanted.where(self.run.c.released_at.is_(None))
        return [ledger_run(row) for row in connection.execute(wanted).mappings()]

    def entry(self, connection: Connection, run_id: RunId) -> LedgerRun | None:
        """One run, None when the target does not know it.

        A queued one whose starter was killed has several entries: the last is the one that counts.
        """
        wanted = select(self.run, database_now().label("now")).where(self.run.c.run_id == run_id)
        newest = wanted.order_by(self.run.c.token.desc())
        row = connection.execute(newest).mappings().first()
        return ledger_run(row) if row else None

    def checkpoints(
        self, connection: Connection, *, tables: Iterable[str], days: DateRange
    ) -> dict[tuple[str, date], Checkpoint]:
        """The checkpoints of a range, by table and day."""
        c = self.checkpoint.c
        wanted = (c.table_name.in_(list(tables)), c.day.between(days.start, days.end))
        found = connection.execute(select(self.checkpoint).where(*wanted))
        return {
            (row.table_name, row.day): Checkpoint(
                table=row.table_name,
                day=row.day,
                rows=row.rows,
                definition=row.definition,
                day_closed=row.day_closed,
                run_id=RunId(row.run_id),
                token=Token(row.token),
                digest=row.digest,
                digest_kind=row.digest_kind,
                committed_at=row.committed_at,
            )
            for row in found
        }

    def write_checkpoints(self, connection: Connection, checkpoints: list[Checkpoint]) -> None:
        """Write the checkpoints of partitions of one table and one run over those that stand."""
        table, first = self.checkpoint, checkpoints[0]
        values: dict[str, ColumnElement[Any]] = {
            "table_name": literal(first.table),
            "definition": literal(first.definition),
            "run_id": literal(first.run_id),
            "token": literal(first.token),
            "digest_kind": literal(first.digest_kind, String),
            "committed_at": database_now(),
            **_unpacked(connection),
        }
        # Without WHERE, SQLite would take ON CONFLICT for the condition of a join.
        rows = select(*values.values()).where(true())
        written = _upsert(connection, table).from_select(list(values), rows)
        new = {name: written.excluded[name] for name in values}
        points = [
            {"day": str(p.day), "rows": p.rows, "day_closed": p.day_closed, "digest": p.digest}
            for p in checkpoints
        ]
        connection.execute(
            written.on_conflict_do_update(
                index_elements=[table.c.table_name, table.c.day], set_=new
            ),
            {"points": json.dumps(points)},
        )

    def forget_checkpoints(
        self, connection: Connection, table: str, days: list[date] | None = None
    ) -> None:
        """Remove the checkpoints of some days, or all: their rows are not what was committed."""
        c = self.checkpoint.c
        these = [] if days is None else [c.day.in_(days)]
        connection.execute(delete(self.checkpoint).where(c.table_name == table, *these))


def _on_one_line(statement: str) -> str:
    """`statement` with each blank, line break and tab outside of names as one blank."""
    kept = re.sub(r'("(?:[^"]|"")*")|\s+', lambda found: found[1] or " ", statement)
    return kept.strip()


def _greatest(connection: Connection, *values: Any) -> ColumnElement[Any]:
    greatest = func.greatest if connection.dialect.name == "postgresql" else func.max
    return greatest(*values)


def _upsert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _unpacked(connection: Connection) -> dict[str, ColumnElement[Any]]:
    """The columns of `:points`, a JSON list: one parameter, however many days there are."""
    points = bindparam("points", type_=Text)
    if connection.dialect.name == "postgresql":
        columns = (
            column("day", Date),
            column("rows", BigInteger),
            column("day_closed", Boolean),
            column("digest", Text),
        )
        list_ = func.json_to_recordset(cast(points, JSON)).table_valued(*columns)
        return dict(list_.render_derived(with_types=True).c.items())
    each = func.json_each(points).table_valued("value").c.value
    names = ("day", "rows", "day_closed", "digest")
    return {name: func.json_extract(each, f"$.{name}") for name in names}


def _counts(progress: Progress) -> dict[str, int]:
    return {
        "rows_done": progress.rows_done,
        "rows_total": progress.rows_total,
        "partitions_done": progress.partitions_done,
        "partitions_total": progress.partitions_total,
    }
