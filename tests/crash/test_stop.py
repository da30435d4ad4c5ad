"""Runs that are asked to stop, also while a statement of theirs waits."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from sync.model import CancelMode, RunId, RunStatus
from sync.operations import Operations
from tests.crash.days import FIRST_DAY, PER_DAY, Days, days_in_postgres, days_in_sqlite
from tests.installation import until
from tests.servers import Databases, PostgresServer

OF_RUN = "pg_stat_activity WHERE application_name LIKE 'batch_sync 2%'"
NOW_S = 4.0  # a polite cancel has 2 s before sockets are shut down


@pytest.fixture
def days(postgres: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[Days]:
    """Five days that were synced in version 1 and are in version 2 in the source now."""
    with days_in_postgres(postgres, databases, tmp_path, 5) as days:
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days


def stopped(operations: Operations, run_id: RunId) -> tuple[RunStatus, float]:
    """Cancel now; how the run ended and how many seconds that took."""
    began = time.monotonic()
    assert operations.cancel(run_id, CancelMode.NOW) == run_id
    return operations.wait(run_id, timeout_s=30).status, time.monotonic() - began


def versions(days: Days) -> list[int]:
    return [version for _, (version, _) in sorted(days.standing().items())]


def test_cancel_after_group_ends_the_group_under_way_and_begins_no_other(
    days: Days, postgres: PostgresServer, databases: Databases
) -> None:
    operations = days.installation.operations()
    with closing(postgres.connect(databases.target)) as blocker:
        blocker.cursor().execute("SELECT 1 FROM orders WHERE day = '2025-01-03' FOR UPDATE")
        run_id = operations.start(days.request)
        until(lambda: versions(days) == [2, 2, 1, 1, 1])
        until(lambda: postgres.execute(f"SELECT 1 FROM {OF_RUN} AND wait_event_type = 'Lock'"))
        operations.cancel(run_id)
        blocker.rollback()
    assert operations.wait(run_id).status is RunStatus.CANCELLED
    assert versions(days) == [2, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("lock", "waits_in"),
    [
        ("SELECT 1 FROM orders WHERE day = '2025-01-01' FOR UPDATE", "DELETE"),
        ("INSERT INTO orders VALUES (999, '2025-06-01', 0)", "COPY"),
        ("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE", "SELECT"),
    ],
)
def test_cancel_now_ends_a_statement_that_waits_for_a_lock_in_the_target(
    days: Days, postgres: PostgresServer, databases: Databases, lock: str, waits_in: str
) -> None:
    days.both.source.execute(f"UPDATE orders SET id = 999 WHERE id = {PER_DAY - 1}")
    operations = days.installation.operations()
    waiting = f"SELECT 1 FROM {OF_RUN} AND wait_event_type = 'Lock' AND query LIKE '%{waits_in} %'"
    with closing(postgres.connect(databases.target)) as blocker:
        blocker.cursor().execute(lock)
        run_id = operations.start(days.request)
        until(lambda: postgres.execute(waiting))
        status, seconds = stopped(operations, run_id)
        assert status is RunStatus.CANCELLED
        assert seconds < NOW_S
        assert operations.run(run_id).progress.rows_done == 0
        until(lambda: not postgres.execute(f"SELECT 1 FROM {OF_RUN}"), seconds=2)
    assert versions(days) == [1] * 5


def test_cancel_now_ends_a_copy_whose_source_says_nothing_any_more(
    days: Days, postgres: PostgresServer, databases: Databases
) -> None:
    operations = days.installation.operations()
    with closing(postgres.connect(databases.target)) as blocker:
        blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        run_id = operations.start(days.request)
        reading = (
            f"SELECT pid FROM {OF_RUN} AND datname = '{databases.source}' AND query LIKE 'COPY%'"
        )
        until(lambda: postgres.execute(reading))
        time.sleep(0.2)  # the second group is read ahead, the last is not
        [(reader,)] = postgres.execute(reading)
        os.kill(reader, signal.SIGSTOP)
        blocker.rollback()
    try:
        waiting = f"SELECT 1 FROM {OF_RUN} AND state = 'active' AND wait_event = 'ClientRead'"
        until(lambda: postgres.execute(waiting))
        status, seconds = stopped(operations, run_id)
    finally:
        os.kill(reader, signal.SIGCONT)
    assert status is RunStatus.CANCELLED
    assert versions(days) == sorted(versions(days), reverse=True)
    assert versions(days)[-1] == 1
    assert seconds < NOW_S


def test_a_signal_ends_a_start_whose_server_hangs(days: Days, postgres: PostgresServer) -> None:
    environment = days.installation.environment | {"BATCH_SYNC_RUN__CONNECT_TIMEOUT_S": "60"}
    command = days.installation.command("run", FIRST_DAY, days.last_day)
    with postgres.paused(), subprocess.Popen(command, env=environment) as process:
        until(lambda: psutil.Process(process.pid).net_connections("tcp"))
        process.send_signal(signal.SIGTERM)
        patience = threading.Timer(20, process.kill)
        patience.start()
        assert process.wait() == 143
        patience.cancel()
    assert days.installation.run(FIRST_DAY, days.last_day).status is RunStatus.SUCCEEDED


def test_cancel_now_ends_a_statement_of_sqlite_in_its_middle(tmp_path: Path) -> None:
    with days_in_sqlite(tmp_path, 1) as days:
        days.installation.run(FIRST_DAY)
        # Each row of the target makes a million more steps.
        days.both.target.execute(
            "CREATE TRIGGER slow AFTER INSERT ON orders BEGIN"
            " SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            " WHERE i < 3000000) SELECT i FROM n); END"
        )
        days.write(2)
        operations = days.installation.operations()
        run_id = operations.start(days.request)
        until(lambda: operations.run(run_id).current)
        status, seconds = stopped(operations, run_id)
        assert (status, versions(days)) == (RunStatus.CANCELLED, [1])
        assert seconds < 1
