"""What the target itself says of exclusion, long after: whether two runs ever wrote at once.

Four things must hold, and each is one question to the tables we keep there:

    overlap   every commit of a token lies before the next token was taken
    order     tokens only grow with the time at which they were taken
    open      every run has an end, save for the one whose lease is held now
    stranger  every checkpoint belongs to a run: token and run id

A takeover raises the token without a run of its own, so tokens may have gaps. A checkpoint is
stamped before its transaction's fence, and a token after the lease's row was locked, so a fence
that holds leaves no overlap. Limit: a checkpoint that was written over is gone, and the instants
are the target's clock's: one that was set back shows as disorder.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, exists, func, select

from sync.databases.ledger_rows import holder_in
from sync.model import RunId, Token

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

    from sync.databases.ledger import Ledger
    from sync.model import Holder

FAULTS_MAX = 100  # of each kind


class FaultKind(StrEnum):
    """Which of the four did not hold."""

    OVERLAP = "overlap"
    ORDER = "order"
    OPEN = "open"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedRun:
    """A run as the target remembers it; no holder and instant where its row is missing."""

    token: Token
    run_id: RunId
    holder: Holder | None
    acquired_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that must not be: `run`, the `next` one, and the checkpoint of `run` concerned."""

    kind: FaultKind
    run: AuditedRun
    next: AuditedRun | None = None
    table: str | None = None
    day: date | None = None
    committed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How many runs the target remembers, and how many commits lie in a later run's time.

    At most `FAULTS_MAX` faults of each kind.
    """

    runs: int
    overlaps: int = 0
    faults: tuple[Fault, ...] = ()


def audit(connection: Connection, ledger: Ledger) -> Audit:
    """Ask the four questions of one target, in the caller's transaction."""
    questions = _questions(ledger)
    overlaps = questions[FaultKind.OVERLAP].subquery()
    return Audit(
        runs=connection.scalar(select(func.count(ledger.run.c.token))) or 0,
        overlaps=connection.scalar(select(func.count()).select_from(overlaps)) or 0,
        faults=tuple(
            _fault(kind, row)
            for kind, question in questions.items()
            for row in connection.execute(question.limit(FAULTS_MAX)).mappings()
        ),
    )


def _questions(ledger: Ledger) -> dict[FaultKind, Select[*tuple[Any, ...]]]:
    run, lease, point = ledger.run, ledger.lease.c, ledger.checkpoint.c
    names = ("token", "run_id", "holder", "acquired_at")
    after = {
        name: func.lead(run.c[name], type_=run.c[name].type).over(order_by=run.c.token)
        for name in names
    }
    follows = select(
        *(run.c[name] for name in names),
        *(column.label(f"next_{name}") for name, column in after.items()),
    ).subquery("follows")
    f = follows.c
    its = and_(point.token == f.token, point.run_id == f.run_id)
    committed = (point.table_name, point.day, point.committed_at)
    held_now = exists().where(
        lease.token == run.c.token, lease.run_id == run.c.run_id, lease.released_at.is_(None)
    )
    known = exists().where(run.c.token == point.token, run.c.run_id == point.run_id)
    return {
        FaultKind.OVERLAP: select(follows, *committed)
        .join(ledger.checkpoint, its)
        .where(point.committed_at > f.next_acquired_at)
        .order_by(f.token, point.committed_at),
        FaultKind.ORDER: select(follows)
        .where(f.acquired_at > f.next_acquired_at)
        .order_by(f.token),
        FaultKind.OPEN: select(*(run.c[name] for name in names))
        .where(run.c.released_at.is_(None), ~held_now)
        .order_by(run.c.token),
        FaultKind.STRANGER: select(point.token, point.run_id, *committed)
        .where(~known)
        .order_by(point.token, point.committed_at),
    }


def _fault(kind: FaultKind, row: Any) -> Fault:
    return Fault(
        kind=kind,
        run=_run(row, ""),
        next=_run(row, "next_") if row.get("next_token") is not None else None,
        table=row.get("table_name"),
        day=row.get("day"),
        committed_at=row.get("committed_at"),
    )


def _run(row: Any, prefix: str) -> AuditedRun:
    holder, since = row.get(prefix + "holder"), row.get(prefix + "acquired_at")
    return AuditedRun(
        token=Token(row[prefix + "token"]),
        run_id=RunId(row[prefix + "run_id"]),
        holder=holder_in(holder, since) if holder else None,
        acquired_at=since,
    )
