"""What goes wrong while rows move: tried again, or held to the day that it concerns."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sync.model import CancelMode, PartitionStatus, RunStatus
from sync.operations import Operations
from tests.installation import Both, Installation, Interposed, Side, SqliteSide, asked, table, until
from tests.servers import ADMIN, Databases, PostgresServer

MONDAY, TUESDAY, WEDNESDAY = DAYS = "2025-01-06", "2025-01-07", "2025-01-08"
KEYED = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
STRICT = KEYED.replace("note TEXT", "note TEXT CHECK (note IS NOT NULL)")
ALL = "SELECT * FROM orders"
DONE, FAILED = PartitionStatus.DONE, PartitionStatus.FAILED
# More than waits in a pipe.
BIG_DAY = f"""
    INSERT INTO orders SELECT n, '{TUESDAY}', CASE WHEN n > 100 THEN repeat('x', 300) END
    FROM generate_series(101, 60000) n"""


@pytest.fixture
def both(both: Both) -> Both:
    """A row a day in the source, and an empty table in the target."""
    both.source.execute(KEYED)
    both.source.insert("orders", [(n, day, "fine") for n, day in enumerate(DAYS)])
    both.target.execute(STRICT)
    return both


@pytest.fixture
def installation(both: Both, tmp_path: Path) -> Installation:
    """Quick to give up waiting for a lock."""
    run = {"lock_timeout_s": 0.2, "attempts_max": 10}
    return both.installation(tmp_path, table("orders", "day"), run=run)


only_postgresql = pytest.mark.parametrize("both", ["postgresql"], indirect=True)


def test_a_bad_day_spoils_only_itself_and_resume_does_only_that(
    both: Both, installation: Installation
) -> None:
    both.source.execute(f"UPDATE orders SET note = NULL WHERE day = '{TUESDAY}'")
    failed = installation.run(MONDAY, WEDNESDAY)
    there = both.target.execute("SELECT id FROM orders ORDER BY id")
    both.source.execute("UPDATE orders SET note = 'mended' WHERE note IS NULL")
    operations = installation.operations()
    resumed = operations.resume()
    assert resumed is not None
    ended = operations.wait(resumed)
    source, target = both.rows(ALL)
    assert (
        failed.status,
        list(installation.partitions(failed.id).values()),
        [word in str(failed.error) for word in (f"orders on {TUESDAY}", "note", "mend the source")],
        there,
        ended.status,
        list(installation.partitions(resumed)),
        target,
        operations.resume(),
    ) == (
        RunStatus.FAILED,
        [DONE, FAILED, DONE],
        [True, True, True],
        [(0,), (2,)],
        RunStatus.SUCCEEDED,
        [("orders", TUESDAY)],
        source,
        None,
    )


@only_postgresql
def test_a_bug_in_one_of_several_copying_threads_fails_the_run(both: Both, tmp_path: Path) -> None:
    run = {"max_parallel": 2, "group_rows": 1}
    installation = both.installation(tmp_path, table("orders", "day"), run=run)
    operations = installation.operations()
    parts = operations._parts  # noqa: SLF001 - a port is wrapped

    bug_met = threading.Event()
    movers: list[Any] = []

    class Way(Interposed):
        def mover(self) -> Any:
            movers.append(Wrapped(super().mover()))
            return movers[-1]

    class Wrapped:
        def __init__(self, mover: Any) -> None:
            self.mover = mover

        def __getattr__(self, name: str) -> Any:
            return getattr(self.mover, name)

        def delete_days(self, group: Any) -> None:
            if self is movers[0]:
                assert bug_met.wait(20)
                return self.mover.delete_days(group)
            bug_met.set()
            raise LookupError(group.days)

    operations = Operations(replace(parts, way=lambda run_id: Way(parts.way(run_id), list)))
    ended = operations.wait(operations.start(asked(MONDAY, WEDNESDAY)), timeout_s=60)
    assert (ended.status, "LookupError" in str(ended.error)) == (RunStatus.FAILED, True)


@only_postgresql
def test_a_bad_row_before_many_others_does_not_stop_the_run(
    both: Both, installation: Installation
) -> None:
    both.source.execute("UPDATE orders SET note = NULL WHERE id = 1;" + BIG_DAY)
    run = installation.run(MONDAY, WEDNESDAY)
    states = list(installation.partitions(run.id).values())
    assert (states, both.target.execute("SELECT count(*) FROM orders")) == (
        [DONE, FAILED, DONE],
        [(2,)],
    )


def test_a_target_that_drops_rows_fails_the_day_and_keeps_the_old_one(
    both: Both, installation: Installation
) -> None:
    both.target.insert("orders", [(50, MONDAY, "old")])
    if both.kind == "sqlite":
        both.target.execute(
            "CREATE TRIGGER drops BEFORE INSERT ON orders WHEN NEW.id = 0"
            " BEGIN SELECT RAISE(IGNORE); END"
        )
    else:
        both.target.execute("""
            CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN IF NEW.id = 0 THEN RETURN NULL; END IF; RETURN NEW; END$$;
            CREATE TRIGGER drops BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION drops()""")
    run = installation.run(MONDAY, WEDNESDAY)
    assert (
        "0 rows came, but 1 were counted" in str(run.error),
        "Look for triggers or rules on the target" in str(run.error),
        both.target.execute("SELECT id FROM orders ORDER BY id"),
    ) == (True, True, [(1,), (2,), (50,)])


@contextlib.contextmanager
def locked(both: Both) -> Iterator[None]:
    """Another session that lets the target be read, but not written."""
    if isinstance(both.target, SqliteSide):
        both.target.execute("BEGIN IMMEDIATE")
    else:
        both.target.execute("BEGIN")
        both.target.execute("LOCK TABLE orders IN SHARE MODE")
    yield
    both.target.execute("ROLLBACK")


def test_a_lock_of_somebody_else_is_waited_for_and_tried_again(
    both: Both, installation: Installation
) -> None:
    with contextlib.ExitStack() as stack:
        operations = installation.operations(
            before_copying=lambda: stack.enter_context(locked(both))
        )
        run_id = operations.start(asked(MONDAY, WEDNESDAY))
        until(lambda: "group.retried" in installation.events(run_id))
    run = operations.wait(run_id)
    source, target = both.rows(ALL)
    assert (run.error, target) == (None, source)


def test_after_the_last_attempt_the_partitions_fail_and_the_error_says_why(
    both: Both, tmp_path: Path
) -> None:
    quick = {"lock_timeout_s": 0.05, "attempts_max": 2}
    installation = both.installation(tmp_path, table("orders", "day"), run=quick)
    with contextlib.ExitStack() as stack:
        run = installation.run(MONDAY, before_copying=lambda: stack.enter_context(locked(both)))
    again = installation.run(MONDAY)
    assert (
        run.status,
        f"orders on {MONDAY} could not be copied" in str(run.error),
        "It was tried 2 times" in str(run.error),
        installation.events(run.id).count("group.retried"),
        again.error,
    ) == (RunStatus.FAILED, True, True, 1, None)


@only_postgresql
def test_a_deadlock_is_tried_again(
    both: Both, installation: Installation, postgres: PostgresServer, databases: Databases
) -> None:
    installation.run(MONDAY, TUESDAY)
    postgres.execute(f"ALTER DATABASE {databases.target} SET deadlock_timeout = '100ms'")
    patient = postgres.connect(databases.target, user=ADMIN)
    with patient, patient.cursor() as cursor:
        # The run waits first and looks first, so it is the one that the server ends.
        cursor.execute("SET deadlock_timeout = '1min'")
        cursor.execute("UPDATE orders SET note = 'theirs' WHERE id = 1")
        operations = installation.operations()
        run_id = operations.start(asked(MONDAY, TUESDAY))
        until(lambda: waiting(postgres, run_id), seconds=5)
        cursor.execute("UPDATE orders SET note = 'theirs' WHERE id = 0")
    patient.close()
    run = operations.wait(run_id)
    source, target = both.rows("SELECT * FROM orders WHERE id < 2")
    assert (run.error, "group.retried" in installation.events(run_id), target) == (
        None,
        True,
        source,
    )


def waiting(postgres: PostgresServer, run_id: str) -> list[tuple[Any, ...]]:
    """The backends of a run that wait for somebody's lock."""
    return postgres.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'",
        f"batch_sync {run_id}",
    )


@only_postgresql
def test_a_lost_connection_to_the_target_is_made_again(
    both: Both, tmp_path: Path, postgres: PostgresServer
) -> None:
    installation = both.installation(tmp_path, table("orders", "day"))
    with contextlib.ExitStack() as stack:
        operations = installation.operations(
            before_copying=lambda: stack.enter_context(locked(both))
        )
        run_id = operations.start(asked(MONDAY, WEDNESDAY))
        until(lambda: waiting(postgres, run_id))
        postgres.execute("SELECT pg_terminate_backend(%s)", waiting(postgres, run_id)[0][0])
        until(lambda: "group.retried" in installation.events(run_id))
    run = operations.wait(run_id)
    source, target = both.rows(ALL)
    assert (run.error, target) == (None, source)


@only_postgresql
@pytest.mark.parametrize("snapshot", [True, False])
def test_a_lost_source_ends_the_run_unless_it_reads_without_a_snapshot(
    both: Both, tmp_path: Path, postgres: PostgresServer, databases: Databases, *, snapshot: bool
) -> None:
    settings = {"snapshot": snapshot, "group_rows": 1}
    installation = both.installation(tmp_path, table("orders", "day"), run=settings)
    with contextlib.ExitStack() as stack:
        operations = installation.operations(
            before_copying=lambda: stack.enter_context(locked(both))
        )
        run_id = operations.start(asked(MONDAY, WEDNESDAY))
        until(lambda: waiting(postgres, run_id))
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = %s",
            databases.source,
            f"batch_sync {run_id}",
        )
    run = operations.wait(run_id)
    source, target = both.rows(ALL)
    if snapshot:
        assert (run.status, "its snapshot" in str(run.error)) == (RunStatus.FAILED, True)
        again = installation.operations()
        again.wait(again.resume() or run_id)
        source, target = both.rows(ALL)
    else:
        assert run.error is None
    assert target == source


def slow_down(target: Side) -> None:
    """Each row takes its time until there is something in `calm`."""
    target.execute("""
        CREATE TABLE calm (); CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM pg_sleep(0.01) WHERE NOT EXISTS (SELECT FROM calm); RETURN NEW; END$$;
        CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION slow()""")


@only_postgresql
def test_a_connection_lost_within_a_copy_is_made_again(
    both: Both, tmp_path: Path, postgres: PostgresServer
) -> None:
    both.source.execute(BIG_DAY)
    slow_down(both.target)
    installation = both.installation(tmp_path, table("orders", "day"))
    operations = installation.operations()
    run_id = operations.start(asked(TUESDAY, WEDNESDAY))
    until(lambda: operations.run(run_id).progress.rows_done > 10)
    both.target.execute("INSERT INTO calm DEFAULT VALUES")
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy WHERE command = 'COPY FROM'"
    )
    run = operations.wait(run_id, timeout_s=30)
    counts = [
        side.execute("SELECT count(*) FROM orders")[0][0] for side in (both.source, both.target)
    ]
    assert (run.error, "group.retried" in installation.events(run_id), counts) == (
        None,
        True,
        [59_903, 59_902],
    )


@only_postgresql
def test_cancel_now_ends_a_copy_under_way_and_rolls_it_back(
    both: Both, installation: Installation
) -> None:
    both.source.execute(BIG_DAY)
    slow_down(both.target)
    operations = installation.operations()
    run_id = operations.start(asked(TUESDAY))
    until(lambda: operations.run(run_id).progress.rows_done > 10)
    operations.cancel(run_id, CancelMode.NOW)
    ended = operations.wait(run_id, timeout_s=10)
    left = [t.name for t in threading.enumerate() if t.name.startswith("batch-sync")]
    assert (ended.status, both.target.execute("SELECT count(*) FROM orders"), left) == (
        RunStatus.CANCELLED,
        [(0,)],
        [],
    )
