"""A store in PostgreSQL whose server hangs: runs end, locks come back, takeovers work."""

import json
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from sync.model import RunStatus
from sync.operations import Operations
from sync.store import patience
from tests.conftest import unavailable
from tests.crash.children import Child, sync_days_and_hang
from tests.crash.days import FIRST_DAY, Days, days_in_sqlite
from tests.crash.takeovers import QUICK, assert_next_start_completes, assert_taken_over, in_target
from tests.installation import until
from tests.servers import PostgresServer, ServerUnavailableError


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of its own: it freezes, and the others' must not."""
    try:
        server = PostgresServer().__enter__()
    except ServerUnavailableError as error:
        unavailable(f"no PostgreSQL: {error}")
    yield server
    server.stop()


@pytest.fixture
def days(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    """Three days in files, and a store on the server that will hang."""
    monkeypatch.setattr(patience, "DEADLINE_S", 2.0)
    monkeypatch.setattr(patience, "CONNECT_S", 2)
    with days_in_sqlite(tmp_path, 3, **QUICK) as days:
        file = days.installation.settings_file
        url = json.dumps(server.url(server.create_database()), ensure_ascii=False)
        text = file.read_text(encoding="utf-8")
        file.write_text(f"{text}\n[store]\nurl = {url}\n", encoding="utf-8")
        yield days


def sync_days_impatiently(pipe: Connection, *where: object) -> None:
    """As `sync_days_and_hang`, where a store that hangs is not waited for as long as usual."""
    patience.DEADLINE_S, patience.CONNECT_S = 2.0, 2
    sync_days_and_hang(pipe, *where)  # type: ignore[arg-type]  # pickled


def lock_is_free(operations: Operations) -> bool:
    lock = operations._parts.lock  # noqa: SLF001 - a start would want the store first
    with lock.open() as held:
        return all(part.acquire("{}") for part in held.locks)


def test_a_run_ends_whole_and_frees_its_lease_while_the_store_hangs_and_is_told_of_later(
    server: PostgresServer, days: Days
) -> None:
    operations = days.installation.operations()
    with Child(
        sync_days_impatiently, days.installation.settings_file, FIRST_DAY, days.last_day
    ) as child:
        run_id = child.told()
        with server.paused():
            child.tell("go")
            until(lambda: in_target(days, run_id)[0] == "succeeded", seconds=60)
            until(lambda: lock_is_free(operations), seconds=60)
            source, target = days.rows()
            assert source == target
            problem = operations.snapshot().problem
            assert problem is not None
            assert "no answer within 2 s" in str(problem)

        until(lambda: operations.snapshot().state == "idle")
        until(lambda: operations.run(run_id).status is RunStatus.SUCCEEDED)


def test_a_holder_that_is_stopped_is_taken_over_while_the_store_hangs(
    server: PostgresServer, days: Days
) -> None:
    operations = days.installation.operations()
    with Child(
        sync_days_impatiently, days.installation.settings_file, FIRST_DAY, days.last_day
    ) as child:
        run_id = child.told()
        child.stop()
        with server.paused():
            taken = operations.take_over(run_id, reason="it hangs", user="ada")
            assert taken.status is RunStatus.INTERRUPTED
            assert lock_is_free(operations)

    until(lambda: operations.snapshot().state == "idle")
    assert_taken_over(days, operations.run(run_id), by="ada", reason="it hangs")
    assert_next_start_completes(days)
