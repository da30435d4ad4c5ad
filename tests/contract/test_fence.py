"""The fence: whose token and run id are not the lease's commits nothing. Two real connections."""

import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sync.databases.ledger import Ledger
from sync.databases.postgres import PostgresDatabase
from sync.databases.sqlite import SqliteDatabase
from sync.errors import LeaseLost
from sync.locking.holder import current_holder
from sync.model import DateRange, RunId, RunStatus, Token
from sync.settings import RunSettings
from sync.urls import normalized_url
from tests.servers import Databases

RUN = RunSettings(lock_timeout_s=5)
FIRST, SECOND = RunId("first"), RunId("second")


class Target:
    """One target, its ledger, and a table to write into."""

    def __init__(self, database: PostgresDatabase | SqliteDatabase) -> None:
        self.database = database
        self.ledger = Ledger(database.schema)
        with database.connect() as connection, connection.begin():
            self.ledger.create(connection)
            connection.execute(text("CREATE TABLE ink (run_id VARCHAR(64))"))

    def take(self, connection: Connection, run_id: RunId) -> Token:
        """Raise the token for a run, in the caller's transaction."""
        return self.ledger.take(
            connection,
            run_id=run_id,
            holder=current_holder(None),
            days=DateRange(date(2025, 1, 1), date(2025, 1, 1)),
            tables=(),
            fingerprint="file",
            backend=None,
        )

    def taken(self, run_id: RunId) -> Token:
        """The same, committed."""
        with self.database.connect() as connection, connection.begin():
            return self.take(connection, run_id)

    def taken_away(self, token: Token, run_id: RunId) -> None:
        """Raise the token above a run's, committed."""
        with self.database.connect() as connection, connection.begin():
            self.ledger.take_away(
                connection, token=token, run_id=run_id, ended_by="somebody", reason="it hangs"
            )

    def write(self, connection: Connection, token: Token, run_id: RunId) -> None:
        """What a run does in each of its transactions."""
        connection.execute(text("INSERT INTO ink VALUES (:run_id)"), {"run_id": run_id})
        self.ledger.fence(connection, token=token, run_id=run_id)

    def written(self) -> list[Any]:
        """Whose rows were committed."""
        with self.database.connect() as connection, connection.begin():
            return list(connection.scalars(text("SELECT run_id FROM ink")))


@pytest.fixture
def postgres_target(databases: Databases) -> Target:
    url = normalized_url(databases.target_url)
    return Target(PostgresDatabase(url, role="target", schema="public", run=RUN))


@pytest.fixture(params=["postgresql", "sqlite"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres_target")
    else:
        url = normalized_url(f"sqlite:///{tmp_path}/target.db")
        yield Target(SqliteDatabase(url, role="target", run=RUN))


def test_the_present_holder_commits(target: Target) -> None:
    token = target.taken(FIRST)
    with target.database.connect() as connection, connection.begin():
        target.write(connection, token, FIRST)
    assert target.written() == [FIRST]


def test_tokens_only_grow_even_over_a_lease_from_an_old_backup(target: Target) -> None:
    tokens = [target.taken(FIRST), target.taken(SECOND)]
    with target.database.connect() as connection, connection.begin():
        connection.execute(text("UPDATE batch_sync_lease SET token = 1"))
    tokens.append(target.taken(FIRST))
    with target.database.connect() as connection, connection.begin():
        connection.execute(text("DELETE FROM batch_sync_run"))
    tokens.append(target.taken(FIRST))
    assert tokens == [1, 2, 3, 4]


def test_a_stale_token_commits_nothing(target: Target) -> None:
    token = target.taken(FIRST)
    target.taken(SECOND)
    with (
        target.database.connect() as connection,
        pytest.raises(LeaseLost),
        connection.begin(),
    ):
        target.write(connection, token, FIRST)
    assert target.written() == []


def test_the_same_token_of_another_run_commits_nothing(target: Target) -> None:
    token = target.taken(FIRST)
    with (
        target.database.connect() as connection,
        pytest.raises(LeaseLost),
        connection.begin(),
    ):
        target.write(connection, token, SECOND)
    assert target.written() == []


def test_a_run_that_somebody_closed_as_dead_commits_nothing(target: Target) -> None:
    token = target.taken(FIRST)
    with target.database.connect() as connection, connection.begin():
        closed = target.ledger.close(
            connection,
            token=token,
            run_id=FIRST,
            outcome=RunStatus.INTERRUPTED,
            ended_by="somebody",
            reason="thought dead",
        )
    with (
        target.database.connect() as connection,
        pytest.raises(LeaseLost),
        connection.begin(),
    ):
        target.write(connection, token, FIRST)
    assert (closed, target.written()) == (True, [])


def test_a_takeover_of_a_former_run_takes_nothing_from_the_present_one(target: Target) -> None:
    former, present = target.taken(FIRST), target.taken(SECOND)
    target.taken_away(former, FIRST)
    with target.database.connect() as connection, connection.begin():
        target.write(connection, present, SECOND)
    assert target.written() == [SECOND]


def test_a_run_that_was_taken_over_commits_nothing_and_the_next_token_is_above_all(
    target: Target,
) -> None:
    token = target.taken(FIRST)
    target.taken_away(token, FIRST)
    target.taken_away(token, FIRST)
    with (
        target.database.connect() as connection,
        pytest.raises(LeaseLost),
        connection.begin(),
    ):
        target.write(connection, token, FIRST)
    assert target.written() == []
    assert target.taken(SECOND) == token + 2


def test_a_takeover_between_fence_and_commit_waits_for_the_commit(postgres_target: Target) -> None:
    target, taken_at = postgres_target, []
    token = target.taken(FIRST)

    def take_over() -> None:
        target.taken(SECOND)
        taken_at.append(time.monotonic())

    with target.database.connect() as writer:
        with writer.begin():
            target.write(writer, token, FIRST)
            taker = threading.Thread(target=take_over)
            taker.start()
            time.sleep(0.3)
            assert taken_at == []
        committed_at = time.monotonic()
    taker.join()
    assert taken_at[0] > committed_at - 0.05
    assert target.written() == [FIRST]


def test_a_fence_behind_a_takeover_under_way_waits_for_it_and_fails(
    postgres_target: Target,
) -> None:
    target, refused = postgres_target, []
    token = target.taken(FIRST)

    def write() -> None:
        with target.database.connect() as writer:
            try:
                with writer.begin():
                    target.write(writer, token, FIRST)
            except (LeaseLost, DBAPIError) as error:
                refused.append(error)

    with target.database.connect() as taker, taker.begin():
        target.take(taker, SECOND)
        writing = threading.Thread(target=write)
        writing.start()
        time.sleep(0.3)
        assert refused == []
    writing.join()
    assert [type(error) for error in refused] == [LeaseLost]
    assert target.written() == []
