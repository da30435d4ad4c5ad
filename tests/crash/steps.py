"""The steps of a run from click to release, and how a test gets between them.

A step is a call of a port, before or after it. The composition root of a child wraps that port;
nothing in the product knows of it.
"""

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sync.store.store
from sync.copying.attach import AttachMover, AttachWay
from sync.copying.into_postgres import PostgresMover
from sync.copying.pipe import Pipe
from sync.copying.stream import StreamWay
from sync.counting import Counting
from sync.databases.ledger import Ledger
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.locking.file import FileLease
from sync.locking.lease import Lease
from sync.locking.session import SessionLock
from sync.store import Store
from sync.tracking import Tracker

Kind = Literal["postgresql", "sqlite"]
DATABASE = {"postgresql": PostgresDatabase, "sqlite": SqliteDatabase}
WAY = {"postgresql": StreamWay, "sqlite": AttachWay}
MOVER = {"postgresql": PostgresMover, "sqlite": AttachMover}
AWAITED_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The `nth` call of a port's method, before it or `after` it.

    `awaited`: another thread does this, so copying begins once it was done. `former`: there is the
    open run of a holder that died. `large`: the transaction has outgrown SQLite's cache, so that
    nobody else can read. `only` one kind of target has this step.
    """

    name: str
    port: Any
    method: str
    after: bool = False
    nth: int = 1
    awaited: bool = False
    former: bool = False
    large: bool = False
    only: Kind | None = None

    def __str__(self) -> str:
        return self.name

    def owner(self, kind: Kind) -> Any:
        """The class or module that has the method, for this kind of target."""
        return self.port[kind] if isinstance(self.port, Mapping) else self.port


BEFORE_LOCKS = (
    Step(name="store opens", port=Store, method="open"),
    Step(name="file lock asked", port=FileLease, method="acquire"),
)
BEFORE_SESSION_LOCK = (
    *BEFORE_LOCKS,
    Step(name="file lock held", port=FileLease, method="acquire", after=True),
)
BEFORE_TOKEN = (
    *BEFORE_SESSION_LOCK,
    Step(
        name="session lock held",
        port=SessionLock,
        method="acquire",
        after=True,
        only="postgresql",
    ),
    Step(name="record written", port=FileLease, method="announce", after=True),
    Step(name="both sides connected", port=WAY, method="open", after=True),
    Step(name="table looked at", port=DATABASE, method="table", after=True),
    Step(name="source counted", port=DATABASE, method="count_by_day", after=True),
    Step(name="former runs read", port=Ledger, method="runs", after=True),
    Step(name="token raised", port=Ledger, method="take", after=True),
)
HOLDING = (
    Step(name="former run closed", port=Ledger, method="close", after=True, former=True),
    Step(name="store hears of the start", port=Store, method="start"),
    Step(name="store knows the start", port=Store, method="start", after=True),
    # Its first call connects.
    Step(name="thread begins", port=WAY, method="read", nth=2),
    Step(name="counts come", port=Counting, method="result", after=True),
    Step(name="plan stored", port=Store, method="plan", after=True),
    Step(name="first group prefetched", port=MOVER, method="prefetch", after=True),
    Step(name="day to be deleted", port=MOVER, method="delete_days"),
    Step(name="day deleted", port=MOVER, method="delete_days", after=True),
    Step(name="mid-copy", port=Pipe, method="read", nth=2),
    Step(name="copied", port=MOVER, method="load", after=True),
    Step(name="checkpoint written", port=Ledger, method="write_checkpoints", after=True),
    Step(name="fence passed", port=Lease, method="fence", after=True),
    Step(
        name="fence passed, cache outgrown",
        port=Lease,
        method="fence",
        after=True,
        large=True,
        only="sqlite",
    ),
    Step(name="committed", port=Tracker, method="done"),
    Step(name="third group", port=MOVER, method="delete_days", nth=3, after=True),
    Step(name="heartbeat", port=Lease, method="beat", awaited=True),
    Step(name="progress reported", port=Store, method="tick", awaited=True),
    # The plan has written each of the five days before; each of its calls is for one.
    Step(
        name="store being written",
        port=sync.store.store,
        method="partition_row",
        nth=6,
        awaited=True,
    ),
    Step(name="lease to be closed", port=Lease, method="close"),
)
ENDED = (
    Step(name="end in the ledger", port=Ledger, method="close", after=True),
    Step(name="store hears of the end", port=Store, method="finish"),
    Step(name="store knows the end", port=Store, method="finish", after=True),
    Step(name="file lock to be freed", port=FileLease, method="release"),
)
FREE = (Step(name="all free", port=FileLease, method="release", after=True),)
STEPS = {step.name: step for step in (*BEFORE_TOKEN, *HOLDING, *ENDED, *FREE)}


def interpose(step: Step, kind: Kind, befall: Callable[[], None]) -> None:
    """From now on `befall` is called once in this process, where it comes to that step."""
    reached = threading.Event()

    def act() -> None:
        reached.set()
        befall()

    if step.method == "read" and step.port is Pipe and kind == "sqlite":
        _within_statement(act)
    else:
        _around(step.owner(kind), step.method, act, nth=step.nth, after=step.after)
    if step.large:
        _when_fresh(_have_a_small_cache)
    if step.awaited:
        _around(MOVER[kind], "delete_days", lambda: reached.wait(AWAITED_S))


def _around(
    owner: Any, method: str, act: Callable[[], object], *, nth: int = 1, after: bool = False
) -> None:
    original, calls = getattr(owner, method), itertools.count(1)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        here = next(calls) == nth
        if here and not after:
            act()
        result = original(*arguments, **named)
        if here and after:
            act()
        return result

    setattr(owner, method, wrapped)


def _have_a_small_cache(driver: Any) -> None:
    # Both in pages: what is over it goes to the file before the commit.
    for setting in ("cache_size", "cache_spill"):
        driver.execute(f"PRAGMA {setting} = 1")


def _within_statement(act: Callable[[], None]) -> None:
    """In the middle of the first INSERT … SELECT of an SQLite target.

    Only the writing connection of this process has the trigger.
    """
    rows = itertools.count(1)

    def in_fifth_row() -> None:
        if next(rows) == 5:
            act()

    def prepare(driver: Any) -> None:
        driver.create_function("in_fifth_row", 0, in_fifth_row)
        driver.execute(
            "CREATE TEMP TRIGGER in_middle AFTER INSERT ON main.orders"
            " BEGIN SELECT in_fifth_row(); END"
        )

    _when_fresh(prepare)


def _when_fresh(prepare: Callable[[Any], object]) -> None:
    """Have a say on each connection that writes an SQLite target."""
    original = AttachMover.writer

    def writer(mover: AttachMover) -> Any:
        fresh = mover._writer is None  # noqa: SLF001 - a port is wrapped
        connection = original(mover)
        if fresh:
            prepare(connection.connection.driver_connection)
        return connection

    AttachMover.writer = writer  # type: ignore[method-assign]  # a port is wrapped
