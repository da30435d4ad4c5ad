"""Days with versions: every row of a day tells which version of it stands there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.installation import Both, Installation, PostgresSide, SqliteSide, table
from tests.servers import Databases, PostgresServer

FIRST_DAY = "2025-01-01"
PER_DAY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A table `orders` over some days on both sides, `PER_DAY` rows each, and its installation."""

    both: Both
    installation: Installation
    last_day: str

    def write(self, version: int) -> None:
        """Give every row of the source this version."""
        self.both.source.execute(f"UPDATE orders SET version = {version}")

    def standing(self) -> dict[str, tuple[int, str | None]]:
        """Version of each day in the target, and the run whose checkpoint says that it is whole.

        Fails where a day is not whole: rows lack, or are of two versions.
        """
        found = self.both.target.execute(
            "SELECT d.day, d.rows, d.low, d.high, c.run_id FROM (SELECT day, count(*) AS rows,"
            " min(version) AS low, max(version) AS high FROM orders GROUP BY day) d"
            " LEFT JOIN batch_sync_checkpoint c ON c.table_name = 'orders' AND c.day = d.day"
        )
        assert {(rows, high - low) for _, rows, low, high, _ in found} <= {(PER_DAY, 0)}
        return {str(day): (low, run_id) for day, _, low, _, run_id in found}

    def rows(self) -> tuple[list[Any], list[Any]]:
        """All rows of source and target."""
        return self.both.rows("SELECT id, day, version FROM orders")


def postgres_both(postgres: PostgresServer, databases: Databases) -> Both:
    """The two databases of a test; `Both.close` of their sides is the test's business."""
    source, target = (
        PostgresSide(postgres.connect(name), url)
        for name, url in (
            (databases.source, databases.source_url),
            (databases.target, databases.target_url),
        )
    )
    return Both(kind="postgresql", source=source, target=target)


def sqlite_both(folder: Path) -> Both:
    """Two files."""
    return Both(
        kind="sqlite",
        source=SqliteSide(folder / "source.db"),
        target=SqliteSide(folder / "target.db"),
    )


def make_days(both: Both, folder: Path, count: int, **run: object) -> Days:
    """A source of `count` days in version 1, one commit group a day; the target is empty."""
    day = (
        f"DATE '{FIRST_DAY}' + (n / {PER_DAY})"
        if both.kind == "postgresql"
        else f"date('{FIRST_DAY}', (n / {PER_DAY}) || ' days')"
    )
    both.source.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, version INTEGER)")
    both.source.execute("CREATE INDEX orders_day ON orders (day)")
    both.source.execute(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers"
        f" WHERE n + 1 < {count * PER_DAY}) INSERT INTO orders SELECT n, {day}, 1 FROM numbers"
    )
    last_day = str(both.source.execute("SELECT max(day) FROM orders")[0][0])
    installation = both.installation(
        folder, table("orders", "day"), run={"group_rows": PER_DAY} | run
    )
    return Days(both=both, installation=installation, last_day=last_day)
