"""Traps in which rows would be lost while a run told of success; and a server that hangs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.errors import SchemaError
from sync.model import CancelMode, RunStatus
from tests.installation import Both, PostgresSide, asked, table
from tests.servers import PostgresServer

MONDAY, TUESDAY = DAYS = "2025-01-06", "2025-01-07"
KEYED = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
STANDING = "SELECT count(*) FROM orders"
only_postgresql = pytest.mark.parametrize("both", ["postgresql"], indirect=True)
only_sqlite = pytest.mark.parametrize("both", ["sqlite"], indirect=True)


@pytest.fixture
def both(both: Both) -> Both:
    """Ten rows a day in the source."""
    both.source.execute(KEYED)
    both.source.insert("orders", [(n, DAYS[n % 2], "fine") for n in range(20)])
    return both


@only_postgresql
def test_a_table_whose_deleted_rows_would_take_others_along_is_refused(
    both: Both, tmp_path: Path
) -> None:
    both.target.execute(KEYED)
    both.target.execute("CREATE TABLE items (id INT, oid INT REFERENCES orders ON DELETE CASCADE)")
    with pytest.raises(SchemaError, match=r"rows of public\.items go or change when orders's go"):
        both.installation(tmp_path, table("orders", "day")).run(*DAYS)


def test_a_key_that_stands_on_two_days_of_the_source_fails_instead_of_losing_a_row(
    both: Both, tmp_path: Path
) -> None:
    both.source.execute("CREATE TABLE visits (who INTEGER, day DATE)")
    both.source.insert("visits", [(1, MONDAY), (1, TUESDAY), (2, TUESDAY)])
    installation = both.installation(
        tmp_path, table("visits", "day", key=["who"]), run={"group_rows": 1}
    )
    run = installation.run(*DAYS)
    assert (run.status, "rows of one key stand on 2025-01-06" in str(run.error)) == (
        RunStatus.FAILED,
        True,
    )
    assert both.target.execute("SELECT who FROM visits") == [(1,)]


@only_sqlite
def test_a_where_that_asks_another_table_of_an_sqlite_source_is_refused(
    both: Both, tmp_path: Path
) -> None:
    narrowed = table("orders", "day", where="id IN (SELECT id FROM good)")
    both.source.execute("CREATE TABLE good (id INTEGER)")
    with pytest.raises(SchemaError, match="asks another table"):
        both.installation(tmp_path, narrowed).run(*DAYS)


@only_sqlite
@pytest.mark.parametrize(
    "does",
    ["DELETE FROM orders WHERE id = 3", f"UPDATE orders SET day = '{MONDAY}' WHERE id = 3"],
    ids=["drops it", "puts it on another day"],
)
def test_a_trigger_that_meddles_with_what_comes_in_is_found_out(
    both: Both, tmp_path: Path, does: str
) -> None:
    both.target.execute(KEYED)
    both.target.execute(f"CREATE TRIGGER meddler AFTER INSERT ON orders BEGIN {does}; END")
    run = both.installation(tmp_path, table("orders", "day")).run(*DAYS)
    assert (run.status, "Look for triggers" in str(run.error)) == (RunStatus.FAILED, True)


def test_a_source_that_is_emptied_between_plan_and_copy_does_not_empty_the_target(
    both: Both, tmp_path: Path
) -> None:
    installation = both.installation(
        tmp_path, table("orders", "day"), run={"snapshot": False, "heartbeat_s": 2}
    )
    assert installation.run(*DAYS).status is RunStatus.SUCCEEDED
    run = installation.run(*DAYS, before_copying=lambda: both.source.execute("DELETE FROM orders"))
    assert (run.status, both.target.execute(STANDING)) == (RunStatus.FAILED, [(20,)])


@pytest.fixture
def frozen() -> Iterator[PostgresServer]:
    """A server of its own, to be frozen."""
    with PostgresServer() as server:
        yield server


def test_cancel_now_ends_a_run_whose_target_hangs(
    frozen: PostgresServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    source, target = (
        PostgresSide(server.connect(name), server.url(name))
        for server, name in ((s, s.create_database()) for s in (postgres, frozen))
    )
    both = Both(kind="postgresql", source=source, target=target)
    both.source.execute(KEYED)
    both.source.execute(
        f"INSERT INTO orders SELECT n, '{MONDAY}', 'x' FROM generate_series(1, 300000) n"
    )
    run = {"connect_timeout_s": 2}
    operations = both.installation(tmp_path, table("orders", "day"), run=run).operations()
    run_id = operations.start(asked(MONDAY))
    with frozen.paused():
        operations.cancel(run_id, CancelMode.NOW)
        began = time.monotonic()
        ended = operations.wait(run_id, timeout_s=30)
        assert (ended.status, time.monotonic() - began < 15) == (RunStatus.CANCELLED, True)
