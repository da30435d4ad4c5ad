"""The queue: in order, each once, never two at a time, whichever process dies and when."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import pytest

from sync.databases.audit import Audit
from sync.errors import NobodyStarts, UnknownRun
from sync.model import RunId, RunStatus
from sync.operations import Operations
from sync.settings import load
from sync.wiring import STORE_FILE, open_operations
from tests.crash.children import Child
from tests.crash.days import FIRST_DAY, Days, days_in_postgres, days_in_sqlite
from tests.installation import asked, table, until
from tests.servers import Databases, PostgresServer

PACE = {"queue_every_s": 0.05, "queue_pause_s": 0.01, "heartbeat_s": 0.1}
QUEUED, SUCCEEDED = RunStatus.QUEUED, RunStatus.SUCCEEDED
CANCELLED, FAILED, INTERRUPTED = RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.INTERRUPTED


class HaltsBefore:
    """A port whose caller goes no further when it reaches for one of its methods, or calls it."""

    def __init__(self, port: object, method: str, pipe: Connection) -> None:
        self._port, self._method, self._pipe = port, method, pipe

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._pipe.send(name)
            threading.Event().wait()
        return getattr(self._port, name)

    def __call__(self, *_: object) -> Any:
        return self.__getattr__("__call__")


def serve_queue(pipe: Connection, settings_file: Path, halt: str = "") -> None:
    """Look after the queue and say so; halt before a method of a port; end when told."""
    operations = open_operations(load(settings_file))
    if halt:
        port, method = halt.split(".")
        parts = operations._parts  # noqa: SLF001 - a port is wrapped
        halting = HaltsBefore(getattr(parts, port), method, pipe)
        changed: dict[str, Any] = {port: halting}
        operations = Operations(replace(parts, **changed))
    operations.serve_queue()
    pipe.send("ready")
    pipe.recv()
    operations.close()
    pipe.send("closed")


def server(days: Days, halt: str = "") -> Child:
    """A process that looks after the queue."""
    child = Child(serve_queue, days.installation.settings_file, halt)
    assert child.told() == "ready"
    return child


@pytest.fixture(params=["sqlite", "postgresql"])
def days(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Days]:
    if request.param == "sqlite":
        with days_in_sqlite(tmp_path, 10, **PACE) as days:
            yield days
    else:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        databases: Databases = request.getfixturevalue("databases")
        with days_in_postgres(postgres, databases, tmp_path, 10, **PACE) as days:
            yield days


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Days]:
    """Days in SQLite, where the kind of database makes no difference."""
    with days_in_sqlite(tmp_path, 2, **PACE) as days:
        yield days


@contextmanager
def gated(days: Days) -> Iterator[tuple[Operations, threading.Event]]:
    """Operations whose own runs copy nothing until the event is set."""
    gate = threading.Event()
    try:
        yield days.installation.operations(before_copying=gate.wait), gate
    finally:
        gate.set()


def statuses(operations: Operations, runs: list[RunId]) -> list[RunStatus]:
    """Where they stand."""
    return [operations.run(run_id).status for run_id in runs]


def ended(operations: Operations, runs: list[RunId]) -> list[RunStatus]:
    """How they ended, when all have."""
    until(lambda: not operations.queue() and operations.run(runs[-1]).status.final, seconds=60)
    until(lambda: all(status.final for status in statuses(operations, runs)))
    return statuses(operations, runs)


def leases(days: Days) -> list[tuple[str, str]]:
    """Who took the lease, in order, and how that ended; fails where two had it at once.

    What a dead holder left open is closed by the next one.
    """
    found = days.both.target.execute(
        "SELECT run_id, outcome, acquired_at, released_at FROM batch_sync_run ORDER BY token"
    )
    for (_, outcome, _, released), (_, _, acquired, _) in pairwise(found):
        assert released <= acquired or outcome == "interrupted"
    return [(run_id, outcome) for run_id, outcome, *_ in found]


def test_of_two_processes_each_request_is_started_by_one_in_order_and_never_two_at_a_time(
    days: Days,
) -> None:
    with gated(days) as (operations, gate), server(days), server(days):
        present = operations.start(days.request)
        runs = [operations.enqueue(asked(f"2025-01-{day:02}")) for day in range(1, 11)]
        assert [run.id for run in operations.queue()] == runs
        assert [run.id for run in operations.history()] == [present]
        gate.set()
        assert ended(operations, runs) == [SUCCEEDED] * 10
    assert leases(days) == [(run_id, "succeeded") for run_id in [present, *runs]]
    assert days.rows()[0] == days.rows()[1]
    assert operations.audit() == Audit(runs=11)


def test_a_process_killed_amid_its_runs_leaves_the_rest_of_the_queue_to_the_other(
    few: Days,
) -> None:
    operations = few.installation.operations()
    with server(few) as first, server(few):
        runs = [operations.enqueue(few.request) for _ in range(6)]
        until(lambda: len(operations.queue()) < 4)
        first.kill()
        found = ended(operations, runs)
    assert set(found) <= {SUCCEEDED, INTERRUPTED}
    assert found.count(INTERRUPTED) <= 1
    taken = leases(few)
    assert [*dict.fromkeys(run_id for run_id, _ in taken)] == runs
    assert len(taken) <= 7
    assert sum(outcome == "succeeded" for _, outcome in taken) == found.count(SUCCEEDED)


@pytest.mark.parametrize(
    ("halt", "before"), [("way.__call__", []), ("store.start", ["interrupted"])]
)
def test_killed_before_a_request_has_begun_it_is_started_once_by_the_next_process(
    days: Days, halt: str, before: list[str]
) -> None:
    operations = days.installation.operations()
    with server(days, halt) as first:
        runs = [operations.enqueue(days.request) for _ in range(2)]
        first.told()
        assert statuses(operations, runs) == [QUEUED, QUEUED]
    with server(days):
        assert ended(operations, runs) == [SUCCEEDED, SUCCEEDED]
    assert leases(days) == [
        *((runs[0], outcome) for outcome in before),
        *((run_id, "succeeded") for run_id in runs),
    ]


def test_killed_as_a_request_has_just_begun_it_is_told_as_interrupted_and_not_begun_again(
    few: Days,
) -> None:
    operations = few.installation.operations()
    with server(few, "engine.start") as first:
        runs = [operations.enqueue(few.request) for _ in range(2)]
        assert first.told() == "start"
        assert operations.snapshot().run == operations.run(runs[0])
    with server(few):
        assert ended(operations, runs) == [INTERRUPTED, SUCCEEDED]
    assert "died" in str(operations.run(runs[0]).error)
    assert leases(few) == [(runs[0], "interrupted"), (runs[1], "succeeded")]


def test_a_withdrawn_request_is_never_started_and_told_as_such(few: Days) -> None:
    with gated(few) as (operations, gate), server(few):
        present = operations.start(few.request)
        runs = [operations.enqueue(few.request) for _ in range(3)]
        assert operations.cancel(runs[1]) == runs[1]
        assert operations.cancel(runs[1]) is None  # it has ended already
        gate.set()
        assert ended(operations, runs) == [SUCCEEDED, CANCELLED, SUCCEEDED]
    withdrawn = operations.run(runs[1])
    assert withdrawn.withdrawn
    assert str(withdrawn.error).startswith("Withdrawn from the queue by ")
    assert [run_id for run_id, _ in leases(few)] == [present, runs[0], runs[2]]
    assert operations.resume() is None
    last = operations.snapshot().last_run
    assert last is not None
    assert last.id == runs[2]


def test_withdrawn_while_its_lease_is_taken_it_copies_nothing(few: Days) -> None:
    operations = few.installation.operations()
    parts = operations._parts  # noqa: SLF001 - a port is wrapped

    class Withdraws:
        def __getattr__(self, name: str) -> Any:
            if name == "start" and (queue := operations.queue()):
                operations.cancel(queue[0].id)
            return getattr(parts.store, name)

    with closing(Operations(replace(parts, store=cast("Any", Withdraws())))) as dispatching:
        dispatching.serve_queue()
        run_id = dispatching.enqueue(few.request)
        assert ended(operations, [run_id]) == [CANCELLED]
        until(lambda: operations.snapshot().state == "idle" and leases(few))
    assert leases(few) == [(run_id, "cancelled")]
    assert few.both.target.execute("SELECT count(*) FROM batch_sync_checkpoint") == [(0,)]


def test_nothing_is_queued_where_no_live_process_would_start_it(few: Days) -> None:
    operations = few.installation.operations()

    def refused() -> bool:
        try:
            run_id = operations.enqueue(few.request)
        except NobodyStarts:
            return True
        with suppress(UnknownRun):  # it may have ended already
            operations.cancel(run_id)
        return False

    assert refused()
    assert operations.history() == ()
    with server(few) as child:
        assert not refused()
        child.stop()
        until(refused)
        child.wake()
        until(lambda: not refused())
        child.kill()
        assert refused()
    with server(few) as child:
        child.tell("close")
        assert child.told() == "closed"
        assert refused()


def test_what_cannot_be_started_is_told_as_failed_and_the_next_one_goes(
    few: Days, tmp_path: Path
) -> None:
    both = few.both
    site = both.installation(tmp_path, table("orders", "day"), table("gone", "day"), run=PACE)
    few = replace(few, installation=site)
    operations = site.operations()
    with server(few):
        runs = [operations.enqueue(asked(FIRST_DAY, tables=(name,))) for name in ("gone", "orders")]
        assert ended(operations, runs) == [FAILED, SUCCEEDED]
    assert "gone" in str(operations.run(runs[0]).error)
    assert operations.snapshot().shown == operations.run(runs[1])


def test_a_source_that_does_not_answer_is_tried_again_but_not_for_ever(
    few: Days, tmp_path: Path
) -> None:
    source, away = tmp_path / "source.db", tmp_path / "away.db"
    operations = few.installation.operations()
    source.rename(away)
    with server(few):
        runs = [operations.enqueue(few.request) for _ in range(2)]
        assert ended(operations, runs) == [FAILED, FAILED]
        assert "source.db" in str(operations.run(runs[1]).error)
    away.rename(source)


def test_a_try_that_met_a_silence_says_so_while_it_waits_for_the_next(
    tmp_path: Path,
) -> None:
    source, away = tmp_path / "source.db", tmp_path / "away.db"
    with days_in_sqlite(tmp_path, 1, **(PACE | {"queue_pause_s": 0.5})) as days:
        operations = days.installation.operations()
        source.rename(away)
        with server(days):
            run_id = operations.enqueue(days.request)
            until(lambda: operations.queue()[0].error)
            away.rename(source)
            assert ended(operations, [run_id]) == [SUCCEEDED]
        assert operations.run(run_id).error is None


def test_a_request_does_not_rest_as_long_as_the_clock_was_set_back(tmp_path: Path) -> None:
    source, away = tmp_path / "source.db", tmp_path / "away.db"
    with days_in_sqlite(tmp_path, 1, **(PACE | {"queue_pause_s": 0.5})) as days:
        operations = days.installation.operations()
        source.rename(away)
        with server(days):
            run_id = operations.enqueue(days.request)
            until(lambda: operations.queue()[0].error)
        away.rename(source)
        file = load(days.installation.settings_file).state_dir / STORE_FILE
        with closing(sqlite3.connect(file, isolation_level=None)) as store:
            store.execute("UPDATE run SET retry_at = retry_at + 86400")
        with server(days):
            assert ended(operations, [run_id]) == [SUCCEEDED]
