"""One run reads one state of the source, whatever is written there meanwhile."""

from pathlib import Path
from sqlite3 import OperationalError

import pytest

from tests.installation import Both, SqliteSide, table

MONDAY, TUESDAY = "2025-01-06", "2025-01-07"
QUERY = "SELECT id, note FROM orders ORDER BY id"
OLD = [(1, "old"), (2, "old"), (3, "old")]
NEW = [(1, "new"), (3, "new"), (4, "new")]


@pytest.fixture
def busy(both: Both) -> Both:
    """A source whose writers need not wait for its readers."""
    if both.kind == "sqlite":
        both.source.execute("PRAGMA journal_mode = WAL")
    both.source.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)")
    both.source.insert("orders", [(1, MONDAY, "old"), (2, MONDAY, "old"), (3, TUESDAY, "old")])
    return both


@pytest.mark.parametrize(("settings", "seen"), [({}, OLD), ({"snapshot": False}, NEW)])
def test_a_change_during_a_run_is_seen_only_where_the_settings_want_no_snapshot(
    busy: Both, tmp_path: Path, settings: dict[str, object], seen: list[object]
) -> None:
    def change() -> None:
        busy.source.execute("DELETE FROM orders WHERE id = 2")
        busy.source.execute("UPDATE orders SET note = 'new'")
        busy.source.insert("orders", [(4, TUESDAY, "new")])

    installation = busy.installation(tmp_path, table("orders", "day"), run=settings)
    run = installation.run(MONDAY, TUESDAY, before_copying=change)
    rows = busy.target.execute("SELECT sum(rows) FROM batch_sync_checkpoint")[0][0]
    assert (run.error, run.progress.rows_done, rows, busy.target.execute(QUERY)) == (
        None,
        3,
        3,
        seen,
    )


def test_every_kind_of_value_arrives_from_a_source_that_is_written_to(
    sqlite: Both, tmp_path: Path
) -> None:
    sqlite.source.execute("PRAGMA journal_mode = WAL")
    sqlite.source.execute("CREATE TABLE odd (id INTEGER PRIMARY KEY, day DATE, any_)")
    values = ["", "密\n\0é", b"\x00\xff", 9007199254740993, 0.1, None, "0123"]
    sqlite.source.insert("odd", [(n, MONDAY, value) for n, value in enumerate(values)])
    run = sqlite.installation(tmp_path, table("odd", "day")).run(
        MONDAY, before_copying=lambda: sqlite.source.execute("UPDATE odd SET any_ = 'changed'")
    )
    here = sqlite.target.execute("SELECT any_ FROM odd ORDER BY id")
    assert (run.error, here) == (None, [(value,) for value in values])


def test_an_sqlite_source_without_wal_keeps_its_writers_waiting(
    sqlite: Both, tmp_path: Path
) -> None:
    sqlite.source.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE)")
    sqlite.source.insert("orders", [(1, MONDAY)])
    assert isinstance(sqlite.source, SqliteSide)
    impatient = SqliteSide(sqlite.source.file)
    impatient.execute("PRAGMA busy_timeout = 0")
    refused = []

    def change() -> None:
        with pytest.raises(OperationalError, match="locked"):
            impatient.execute("DELETE FROM orders")
        refused.append(True)

    run = sqlite.installation(tmp_path, table("orders", "day")).run(MONDAY, before_copying=change)
    impatient.execute("DELETE FROM orders")
    impatient.close()
    assert (run.error, refused, sqlite.target.execute("SELECT id FROM orders")) == (
        None,
        [True],
        [(1,)],
    )
