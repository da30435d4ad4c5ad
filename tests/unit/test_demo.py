"""The sample databases: the same day has the same rows, whenever and by whomever it is made."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

from sync import demo

TODAY = date(2026, 3, 3)


def ensure(folder: Path, *, today: date = TODAY, days: int = 10) -> demo.DemoFiles:
    return demo.ensure(folder, today=today, days=days, scale=0.01)


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    return {table: ask(path, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table, _ in demo.TABLES}


def test_every_table_has_every_day_up_to_yesterday_and_nothing_of_today(tmp_path):
    files = ensure(tmp_path / "new" / "state")

    for table, column in demo.TABLES:
        if table != "refunds":  # of so few orders not every day has one
            span = f"min({column}), max({column}), count(DISTINCT date({column}))"
            [(first, last, days)] = ask(files.source, f"SELECT {span} FROM {table}")
            assert (first[:10], last[:10], days) == ("2026-02-21", "2026-03-02", 10)
    assert ask(files.source, "PRAGMA journal_mode") == [("wal",)]
    assert ask(files.source, "PRAGMA integrity_check") == [("ok",)]
    assert ask(files.target, "SELECT name FROM sqlite_master") == []
    made = {path.name for path in files.source.parent.iterdir()}
    assert made == {"demo.lock", "demo_source.db", "demo_target.db"}
    assert files.source.parent.stat().st_mode & 0o777 == 0o700


def test_the_sums_of_orders_items_and_refunds_agree(tmp_path):
    source = ensure(tmp_path).source
    assert ask(source, """SELECT count(*) FROM orders AS o WHERE currency = 'EUR' AND amount <>
        (SELECT round(sum(quantity * list_price), 2) FROM order_items WHERE order_id = o.id)
    """) == [(0,)]  # fmt: skip
    assert ask(source, """SELECT id, amount FROM orders WHERE status = 'refunded'
        EXCEPT SELECT order_id, amount FROM refunds""") == []  # fmt: skip
    kinds = ask(source, "SELECT DISTINCT typeof(amount), typeof(created_at) FROM orders")
    assert set(kinds) <= {("real", "text"), ("integer", "text")}


def test_a_day_that_was_appended_equals_the_same_day_made_afresh(tmp_path):
    grown = ensure(tmp_path / "grown", today=date(2026, 2, 27), days=4).source
    ensure(tmp_path / "grown", days=8)
    assert rows(grown) == rows(ensure(tmp_path / "fresh", days=8).source)


def test_asked_again_for_the_same_day_or_an_earlier_one_it_changes_nothing(tmp_path):
    files = ensure(tmp_path)
    stood = files.source.read_bytes(), files.target.stat().st_ino
    ensure(tmp_path)
    ensure(tmp_path, today=date(2026, 1, 1))
    assert (files.source.read_bytes(), files.target.stat().st_ino) == stood


def test_after_a_long_sleep_only_the_last_days_are_filled_in(tmp_path):
    source = ensure(tmp_path, today=date(2020, 1, 2), days=1).source
    ensure(tmp_path, days=2)
    assert ask(source, "SELECT DISTINCT counted_on FROM stock_levels ORDER BY 1") == [
        ("2020-01-01",), ("2026-03-01",), ("2026-03-02",)]  # fmt: skip


def test_what_a_killed_process_left_over_does_no_harm(tmp_path):
    other = ensure(tmp_path / "other", days=2).source
    with closing(sqlite3.connect(other, isolation_level=None)) as db:
        db.execute("DELETE FROM orders")
        log = other.with_name("demo_source.db-wal").read_bytes()

    (tmp_path / "demo_source.db-wal").write_bytes(log)  # SQLite would replay it
    (tmp_path / "demo_source.db.new").write_bytes(b"half a file")
    source = ensure(tmp_path, days=2).source
    assert ask(source, "PRAGMA integrity_check") == [("ok",)]
    assert rows(source)["orders"]
    assert not (tmp_path / "demo_source.db.new").exists()


def test_two_processes_at_once_make_one_shop(tmp_path):
    script = (
        "import sys; from datetime import date; from pathlib import Path; from sync import demo;"
        "sys.stdin.read();"  # until both are told to go
        "demo.ensure(Path(sys.argv[1]), today=date(2026, 3, 3), days=30, scale=0.2)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "shared")]
    root = Path(demo.__file__).parents[1]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, cwd=root) for _ in range(2)]
    for process in both:
        process.stdin.close()
    assert [process.wait(timeout=60) for process in both] == [0, 0]

    alone = demo.ensure(tmp_path / "alone", today=TODAY, days=30, scale=0.2)
    assert rows(tmp_path / "shared" / "demo_source.db") == rows(alone.source)
