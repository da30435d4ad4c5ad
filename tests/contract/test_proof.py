"""What is compared before a commit: counts, or every value by the digest."""

from pathlib import Path

import pytest

from sync.databases.digest import MD5, RECORD
from sync.model import RunStatus
from tests.installation import Both, table

MONDAY, TUESDAY = DAYS = "2025-01-06", "2025-01-07"
KEYED = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
POINTS = "SELECT digest_kind, length(digest) FROM batch_sync_checkpoint ORDER BY day"
# Somebody's trigger in the target changes a value on its way in.
MEDDLING = {
    "postgresql": """
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.id = 3 THEN NEW.note = 'other'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER meddles BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION meddle()""",
    "sqlite": """
        CREATE TRIGGER meddles AFTER INSERT ON orders WHEN NEW.id = 3
        BEGIN UPDATE orders SET note = 'other' WHERE id = 3; END;""",
}


@pytest.fixture
def both(both: Both) -> Both:
    """Two days of two rows in the source."""
    for side in (both.source, both.target):
        side.execute(KEYED)
    both.source.insert("orders", [(n, DAYS[n % 2], "fine") for n in range(4)])
    return both


def test_a_value_that_changed_on_its_way_fails_its_day_and_the_target_stays_as_it_was(
    both: Both, tmp_path: Path
) -> None:
    both.target.execute(MEDDLING[both.kind])
    installation = both.installation(tmp_path, table("orders", "day"), run={"verify": "digest"})
    run = installation.run(*DAYS)
    assert (run.status, run.failed, both.target.execute("SELECT id FROM orders ORDER BY id")) == (
        RunStatus.FAILED,
        1,
        [(0,), (2,)],
    )
    assert "orders on 2025-01-07 could not be copied: the target's digest before" in str(run.error)
    assert "triggers, rules or column types" in str(run.error)


def test_what_was_proven_stands_in_the_checkpoint(both: Both, tmp_path: Path) -> None:
    for verify, kept in (("none", 0), ("count", 0), ("digest", 32)):
        run = both.installation(tmp_path, table("orders", "day"), run={"verify": verify}).run(*DAYS)
        kind = {"postgresql": RECORD, "sqlite": MD5}[both.kind] if kept else None
        assert run.error is None
        assert both.target.execute(POINTS) == [(kind, kept or None)] * 2


def test_the_digest_is_of_the_snapshot_even_if_the_source_has_changed_since(
    both: Both, tmp_path: Path
) -> None:
    both.source.execute("PRAGMA journal_mode = wal") if both.kind == "sqlite" else None
    settings = {"verify": "digest", "group_rows": 1}
    installation = both.installation(tmp_path, table("orders", "day"), run=settings)

    def change() -> None:
        both.source.execute("UPDATE orders SET note = 'later'")

    run = installation.run(*DAYS, before_copying=change)
    assert (run.error, both.target.execute("SELECT DISTINCT note FROM orders")) == (
        None,
        [("fine",)],
    )


def test_types_that_differ_are_compared_in_the_targets_precision(
    postgresql: Both, tmp_path: Path
) -> None:
    columns = "CREATE TABLE mixed (day date, n {}, t {}, at {}, c {}, w {})"
    there = ("integer", "varchar(9)", "timestamp", "char(5)", "text")
    here = ("numeric(9, 2)", "text", "timestamp(3)", "text", "varchar(20)")
    postgresql.source.execute(columns.format(*there))
    postgresql.target.execute(columns.format(*here))
    row = (MONDAY, 5, "a ", "2025-01-06 12:00:00.123456", "ab", "x")
    postgresql.source.insert("mixed", [row, (MONDAY, *[None] * 5)])
    postgresql.source.execute("UPDATE mixed SET n = -1 WHERE n IS NULL")
    settings = {"verify": "digest"}
    allowed = table("mixed", "day", convert=["n", "at", "w"])
    run = postgresql.installation(tmp_path, allowed, run=settings).run(MONDAY)
    assert run.error is None
