"""Stores of older versions are brought up to the newest, and nothing in them is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, create_engine, make_url

from sync.locking.holder import current_holder
from sync.model import LogLine, RunId, RunStatus
from sync.store import Store
from sync.store.schema import metadata
from sync.store.store import MIGRATIONS
from sync.told import Told
from tests.installation import asked
from tests.servers import Databases

FIRST_RELEASE = "0001"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """Where a store is to stand; for PostgreSQL in the database of a target."""
    if request.param == "sqlite":
        yield URL.create("sqlite", database=str(tmp_path / "store.db"))
    else:
        databases: Databases = request.getfixturevalue("databases")
        yield make_url(databases.target_url)


def migrate(connection: Connection, revision: str) -> None:
    """Bring the schema to this revision."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def test_a_store_of_the_first_release_keeps_its_runs_and_takes_in_requests(url: URL) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection, FIRST_RELEASE)
        connection.exec_driver_sql(OLD_RUN)
    store = Store(url)
    store.open()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()

    queue, at = store.queue("target"), datetime.now(UTC)
    for name in ("a", "b"):
        line = LogLine(at=at, event="run.queued", text=Told("queued"))
        holder = current_holder(None)
        queue.add(
            RunId(name), asked("2025-01-01"), tables=("t",), holder=holder, key=None, line=line
        )
    old = store.run(RunId("old"))
    assert (old.status, old.progress.rows_done) == (RunStatus.SUCCEEDED, 7)
    assert [run.id for run in queue.waiting()] == ["a", "b"]
    assert [run.id for run in store.recent("target", 10)] == ["old"]


OLD_RUN = """
    INSERT INTO run (id, target, status, start_date, end_date, tables, "only", allow_shrink, token,
        holder, started_at, beat_at, progress_at, finished_at, partitions_done, partitions_total,
        rows_done, rows_total, rows_per_s, held_back, failed)
    VALUES ('old', 'target', 'succeeded', '2025-01-01', '2025-01-02', '["t"]', 'all', false, 1,
        '{"user": "u", "host": "h", "pid": 1, "process_start": 1.0, "boot_id": "b",
          "pid_namespace": "p", "nonce": "n", "since": "2025-01-01T00:00:00+00:00"}',
        1.0, 1.0, 1.0, 2.0, 1, 1, 7, 7, 0.0, 0, 0)"""
