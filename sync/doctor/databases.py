"""Both databases: whether they answer, what stands before them, their clocks and their tables."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sync.counting import undated
from sync.databases.pooler import Pooling, pooling
from sync.doctor.finding import Finding, failed
from sync.errors import N_, BatchSyncError
from sync.model import DateRange
from sync.pairing import types
from sync.pairing.changes import left_alone, will_add
from sync.pairing.pair import look, pair_tables
from sync.pairing.rules import circle, warnings_of
from sync.plan import Undated
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from sync.clock import Clock
    from sync.databases.port import Database
    from sync.databases.postgres import PostgresDatabase
    from sync.pairing.pair import Side, TablePair
    from sync.settings import Settings

TABLE = N_("table {table}")
KEYLESS = N_("Without a key a row that moved stands twice until both of its days are synced.")
ASKED = 3
SKEW_MAX_S = 2.0
POOLED = {
    Pooling.BY_SESSION: N_(
        "A pooler stands before the {role} {address}; it keeps one backend a session, but drops the"
        " settings that a connection asks for: a lost client is noticed late, and values may be"
        " written in other forms."
    ),
    Pooling.BY_TRANSACTION: N_(
        "A pooler stands before the {role} {address} and changes backends between transactions:"
        " session locks do not hold there, and a run's settings are lost."
    ),
}
GO_DIRECT = N_("Give [{role}] url the server's own host and port, past the pooler.")
OR_LOCK = N_(
    "Give [{role}] url the server's own host and port, past the pooler;"
    " or keep the lock elsewhere: [lock] url."
)


def look_at_answer(database: Database, connection: Connection) -> Iterator[Finding]:
    """The name that the database gives itself."""
    identity = database.identity(connection)
    told = Told(N_("{address} answers ({name})."), address=database.address, name=identity)
    yield Finding(name=Told(database.role), ok=True, told=told)


def look_for_pooler(database: PostgresDatabase, *, locks: bool) -> Iterator[Finding]:
    """Whether a pooler stands between us and the server; nothing where there is none.

    `locks` tells that a session lock is wanted there; else a pooler is only a warning.
    """
    with database.session() as first, database.session() as second:
        found = pooling(first, second)
    if found is not Pooling.DIRECT:
        told = Told(
            POOLED[found],
            hint=OR_LOCK if locks else GO_DIRECT,
            role=database.role,
            address=database.address,
        )
        yield Finding(name=Told(N_("pooler")), ok=False if locks else None, told=told)


def look_at_clock(
    name: str, address: str, ask: Callable[[], datetime], clock: Clock
) -> Iterator[Finding]:
    """How far a server's clock is from this machine's, at least; `ask` is one round trip.

    The shortest of some round trips bounds it best.
    """
    ahead_s = min((_ahead_s(ask, clock) for _ in range(ASKED)), key=abs)
    ok = abs(ahead_s) <= SKEW_MAX_S
    ahead, behind = (
        N_("The clock of the {role} {address} is {seconds} s ahead of this machine's."),
        N_("The clock of the {role} {address} is {seconds} s behind this machine's."),
    )
    agrees = N_("The clock of the {role} {address} agrees with this machine's within 2 s.")
    yield Finding(
        name=Told(N_("clock")),
        ok=ok,
        told=Told(
            agrees if ok else ahead if ahead_s > 0 else behind,
            hint=""
            if ok
            else N_("Let both follow a time server (NTP); ages are told wrong till then."),
            role=name,
            address=address,
            seconds=round(abs(ahead_s), 1),
        ),
    )


def _ahead_s(ask: Callable[[], datetime], clock: Clock) -> float:
    """How far the server is ahead of us for certain: it answered between two looks at our clock."""
    before = clock.now()
    theirs = ask()
    after = clock.now()
    if theirs < before:
        return (theirs - before).total_seconds()
    return max(0.0, (theirs - after).total_seconds())


def look_at_tables(
    settings: Settings,
    *,
    source: Database,
    target: Database,
    reading: Connection,
    writing: Connection,
) -> Iterator[Finding]:
    """Every table of the settings, on both sides."""
    there, here = look(
        settings.tables, source=source, target=target, reading=reading, writing=writing
    )
    for table in settings.tables:
        name = Told(TABLE, table=table.target)
        try:
            pair = pair_tables(table, source=there, target=here, zone=settings.zone)
        except BatchSyncError as error:
            yield failed(name, error)
            continue
        yield from _fits(pair)
        for lost in _undated(pair, there, here, settings.zone):
            yield Finding(name=name, ok=None, told=lost)
    if told := circle([table for table in here.tables.values() if table]):
        yield Finding(name=Told(N_("tables")), ok=None, told=told)


def _undated(pair: TablePair, there: Side, here: Side, zone: ZoneInfo) -> tuple[Told, ...]:
    """What is said of rows that are in no day."""
    today = datetime.now(zone).date()
    found = (
        undated(pair, DateRange(today, today), side.database, side.connection, zone=zone)
        if side is there or pair.exists
        else 0
        for side in (there, here)
    )
    source, target = found
    return Undated(table=pair.name, column=pair.date_column.name, source=source, target=target).told


def _fits(pair: TablePair) -> Iterator[Finding]:
    stands = N_("It stands in the target; date column {column} ({type}), key {key}.")
    to_make = N_("It will be made in the target; date column {column} ({type}), key {key}.")
    told = Told(
        stands if pair.exists else to_make,
        hint="" if pair.key else KEYLESS,
        column=pair.date_column.name,
        type=pair.date_column.type,
        key=", ".join(pair.key) or Told(N_("none")),
    )
    name = Told(TABLE, table=pair.name)
    yield Finding(name=name, ok=True, told=told)
    for what in types.told_of(pair.source, pair.columns, exists=pair.exists):
        yield Finding(name=name, ok=True, told=what)
    warnings = [
        *will_add(pair),
        *left_alone(pair),
        *warnings_of(pair.target, pair.columns),
    ]
    yield from (Finding(name=name, ok=None, told=warning) for warning in warnings)
