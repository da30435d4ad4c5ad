"""The store: at most one run of a target runs, runs move along their arrows, and it may be lost."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import URL

from sync.errors import StoreError
from sync.locking.holder import current_holder
from sync.model import MOVES, CancelMode, RunId, RunStatus, Token
from sync.settings import load
from sync.store import NewRun, Store
from sync.told import Told
from sync.wiring import STORE_FILE
from tests.crash.days import FIRST_DAY, Days, days_in_sqlite
from tests.installation import asked, until

NOW = datetime(2025, 1, 1, tzinfo=UTC)
ENDS = [status for status in RunStatus if status.final]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(URL.create("sqlite", database=str(tmp_path / "state" / "store.db")))
    made.open()
    return made


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    """Two days that were synced in version 1 and are in version 2 in the source now."""
    with days_in_sqlite(tmp_path, 2, heartbeat_s=0.1, heartbeat_old_s=0.3) as days:
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days


def begin(store: Store, run_id: str, *, target: str = "target", key: str | None = None) -> RunId:
    """Write a run that runs."""
    store.start(
        NewRun(
            id=RunId(run_id),
            target=target,
            request=asked(FIRST_DAY),
            tables=("orders",),
            token=Token(1),
            holder=current_holder(None),
            key=key,
        )
    )
    return RunId(run_id)


def test_a_second_run_of_a_target_is_refused_by_the_database_itself(store: Store) -> None:
    first = begin(store, "first")
    begin(store, "elsewhere", target="another")
    with pytest.raises(StoreError):
        begin(store, "second")
    store.finish(first, RunStatus.SUCCEEDED, error=None, at=NOW)
    begin(store, "second")
    running = store.running("target")
    assert running is not None
    assert running.id == "second"


def test_a_key_belongs_to_one_run_for_ever(store: Store) -> None:
    first = begin(store, "first", key="click")
    store.finish(first, RunStatus.SUCCEEDED, error=None, at=NOW)
    with pytest.raises(StoreError):
        begin(store, "second", key="click")
    assert store.by_key("click") == first


@pytest.mark.parametrize(("first_end", "second_end"), [*product(ENDS, ENDS)])
def test_a_run_that_has_ended_does_not_end_again(
    store: Store, first_end: RunStatus, second_end: RunStatus
) -> None:
    run_id = begin(store, "run")
    first = store.finish(run_id, first_end, error=Told("first"), at=NOW)
    second = store.finish(run_id, second_end, error=Told("second"), at=NOW)
    run = store.run(run_id)
    assert (first, second, run.status, run.error) == (True, False, first_end, Told("first"))


def test_every_status_but_the_last_four_has_a_next_one() -> None:
    final = {"succeeded", "failed", "cancelled", "interrupted"}
    assert {status for status, following in MOVES.items() if not following} == final


def test_cancel_now_is_not_weakened_and_reaches_only_a_run_that_runs(store: Store) -> None:
    run_id = begin(store, "run")
    seen = []
    for mode in (CancelMode.AFTER_GROUP, CancelMode.NOW, CancelMode.AFTER_GROUP):
        assert store.request_cancel(run_id, mode)
        seen.append(store.run(run_id).cancel)
    store.finish(run_id, RunStatus.CANCELLED, error=None, at=NOW)
    assert seen == [CancelMode.AFTER_GROUP, CancelMode.NOW, CancelMode.NOW]
    assert not store.request_cancel(run_id, CancelMode.NOW)


def test_a_store_that_cannot_be_written_makes_no_start_and_leaves_the_lock_free(
    days: Days,
) -> None:
    operations = days.installation.operations()
    with closing(store_file(days)) as store:
        store.execute("ALTER TABLE run RENAME TO lost")
        with pytest.raises(StoreError):
            operations.start(days.request)
        store.execute("ALTER TABLE lost RENAME TO run")
    assert {version for version, _ in days.standing().values()} == {1}
    assert operations.snapshot().state == "idle"
    assert operations.wait(operations.start(days.request)).status is RunStatus.SUCCEEDED


def test_a_run_goes_on_without_its_store_and_its_history_is_told_by_the_target(days: Days) -> None:
    gate = threading.Event()
    operations = days.installation.operations(before_copying=gate.wait)
    run_id = operations.start(days.request)
    with closing(store_file(days)) as store:
        store.execute("ALTER TABLE run RENAME TO lost")
        gate.set()
        with pytest.raises(StoreError):
            operations.wait(run_id)
        store.execute("ALTER TABLE lost RENAME TO run")
    source, target = days.rows()
    assert source == target
    # Its process lives, so it is looked at more closely only when its last heartbeat is old.
    until(lambda: operations.snapshot().state == "idle")
    run = operations.run(run_id)
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, None)


def store_file(days: Days) -> sqlite3.Connection:
    """The store, as an administrator may open it."""
    file = load(days.installation.settings_file).state_dir / STORE_FILE
    return sqlite3.connect(file, isolation_level=None)
