"""Many real processes at one barrier: one of them holds the lease, the others are told who."""

import os
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import groupby
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from sync.databases.ledger import Ledger
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.errors import LeaseHeld
from sync.locking.holder import current_holder
from sync.locking.lease import take_lease
from sync.locking.lock import TargetLock
from sync.model import DateRange, Progress, RunId, RunStatus
from sync.settings import load
from sync.wiring import database
from tests.crash.children import Child, context
from tests.crash.days import FIRST_DAY, Days, days_in_postgres, days_in_sqlite
from tests.servers import Databases, PostgresServer

PROCESSES = 16
BARRIER_TIMEOUT_S = 60
# What was written, by whom, when: the database itself keeps the log.
POSTGRES_LOG = """
    CREATE TABLE ink (run_id text, step integer);
    CREATE TABLE log (id bigserial, txid bigint, who text, at timestamptz);
    CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO log (txid, who, at) VALUES
        (txid_current(), current_setting('application_name'), clock_timestamp());
        RETURN NULL; END $$"""
POSTGRES_TRIGGER = "CREATE TRIGGER log AFTER INSERT OR DELETE ON {table} EXECUTE FUNCTION log()"
SQLITE_LOG = """
    CREATE TABLE ink (run_id text, step integer);
    CREATE TABLE log (id integer PRIMARY KEY AUTOINCREMENT, who text);
    CREATE TRIGGER log AFTER INSERT ON ink BEGIN INSERT INTO log (who) VALUES (NEW.run_id); END;"""


@pytest.fixture
def postgres_days(postgres: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[Days]:
    with days_in_postgres(postgres, databases, tmp_path, 10) as days:
        days.both.target.execute(POSTGRES_LOG)
        yield days


@pytest.fixture
def sqlite_days(tmp_path: Path) -> Iterator[Days]:
    with days_in_sqlite(tmp_path, 10) as days:
        yield days


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.matrix)])
def test_of_16_processes_one_holds_a_postgresql_target_and_15_are_told_its_pid(
    postgres_days: Days, rounds: int
) -> None:
    postgres_days.both.target.execute(POSTGRES_TRIGGER.format(table="ink"))
    winners = race(postgres_days, rounds=rounds)
    log = postgres_days.both.target.execute("SELECT who FROM log ORDER BY at, id")
    assert [who for who, _ in groupby(log)] == [(f"batch_sync {run}",) for run in winners]
    written = postgres_days.both.target.execute("SELECT count(DISTINCT txid), count(*) FROM log")
    assert written == [(2 * rounds, 2 * rounds)]


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.matrix)])
def test_of_16_processes_one_holds_an_sqlite_target_and_15_are_told_its_pid(
    sqlite_days: Days, rounds: int
) -> None:
    sqlite_days.both.target.execute(SQLITE_LOG)
    winners = race(sqlite_days, rounds=rounds)
    log = sqlite_days.both.target.execute("SELECT who FROM log ORDER BY id")
    assert [who for who, _ in groupby(log)] == [(run,) for run in winners]


def test_of_16_fresh_command_lines_one_syncs_and_15_name_it_and_exit_3(
    postgres_days: Days, postgres: PostgresServer, databases: Databases
) -> None:
    days = postgres_days
    days.installation.run(FIRST_DAY, days.last_day)
    days.both.target.execute(POSTGRES_TRIGGER.format(table="orders"))
    days.write(2)
    blocker = postgres.connect(databases.target)
    blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")  # who got in, waits
    command = days.installation.command("run", FIRST_DAY, days.last_day)
    processes = [
        subprocess.Popen(
            command, env=days.installation.environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    while len(left := [process for process in processes if process.poll() is None]) > 1:
        time.sleep(0.05)
    [winner] = left
    blocker.rollback()
    blocker.close()
    answers = {process: process.communicate()[1] for process in processes}
    assert Counter(process.returncode for process in processes) == {0: 1, 3: PROCESSES - 1}
    assert winner.returncode == 0
    told = [answers[process].splitlines()[0] for process in processes if process is not winner]
    assert all(f"PID {winner.pid} " in line for line in told), told
    source, target = days.rows()
    assert source == target
    assert len(days.both.target.execute("SELECT DISTINCT who FROM log")) == 1


def race(days: Days, *, rounds: int) -> list[RunId]:
    """The winner of each round, after a check that all others were told it was he."""
    asking, answered = context.Barrier(PROCESSES), context.Barrier(PROCESSES)
    arguments = (days.installation.settings_file, asking, answered, rounds)
    children = [Child(contend, *arguments) for _ in range(PROCESSES)]
    told = [child.told() for child in children]
    winners: list[RunId] = []
    for answers in zip(*told, strict=True):
        [(winner, run_id)] = {named for won, named in answers if won}
        assert Counter(answers) == {
            (True, (winner, run_id)): 1,
            (False, (winner, run_id)): PROCESSES - 1,
        }
        winners.append(run_id)
    assert {child.pid for child in children} >= {pid for a in told for _, (pid, _) in a}
    return winners


def contend(
    pipe: Connection, settings_file: Path, asking: Barrier, answered: Barrier, rounds: int
) -> None:
    """In every round ask for the lease; say who was told to have it."""
    settings = load(settings_file)
    assert settings.target is not None
    target = database(
        settings.target.url, role="target", schema=settings.target.schema_name, run=settings.run
    )
    lock = TargetLock(target, Ledger(target.schema), state_dir=settings.state_dir, run=settings.run)
    answers: list[tuple[bool, tuple[int | None, RunId | None]]] = []
    try:
        for _ in range(rounds):
            asking.wait(BARRIER_TIMEOUT_S)
            try:
                winner = win(lock, target, answered)
                answers.append((True, winner))
            except LeaseHeld as refusal:
                holder = refusal.conflict.holder
                answers.append((False, (holder.pid if holder else None, refusal.conflict.run_id)))
                answered.wait(BARRIER_TIMEOUT_S)
    except BaseException:
        asking.abort()
        answered.abort()
        raise
    pipe.send(answers)


def win(
    lock: TargetLock, target: PostgresDatabase | SqliteDatabase, answered: Barrier
) -> tuple[int, RunId]:
    """Take the lease, write, keep it until all others have their answer, write again, let go."""
    facts: dict[str, Any] = {
        "run_id": RunId(secrets.token_hex(4)),
        "holder": current_holder(None),
        "days": DateRange(date(2025, 1, 1), date(2025, 1, 2)),
        "tables": (),
    }
    held = lock.acquire(**facts)
    with target.connect(run_id=facts["run_id"]) as connection:
        lease, _ = take_lease(held, connection, lock=lock, target=target, **facts)
        for step in range(2):
            with connection.begin():
                ink = text("INSERT INTO ink VALUES (:run_id, :step)")
                connection.execute(ink, {"run_id": lease.run_id, "step": step})
                lease.fence(connection)
            if step == 0:
                answered.wait(BARRIER_TIMEOUT_S)
    lease.close(RunStatus.SUCCEEDED, why=None, progress=Progress())
    lease.release()
    return os.getpid(), lease.run_id
