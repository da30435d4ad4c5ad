"""Days with versions: every row of a day tells which version of it stands there."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sync.model import RunRequest
from tests.installation import Both, Installation, PostgresSide, SqliteSide, asked, table
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

    @property
    def request(self) -> RunRequest:
        """All of them."""
        return asked(FIRST_DAY, self.last_day)

    def rows(self) -> tuple[list[Any], list[Any]]:
        """All rows of source and target."""
        return self.both.rows("SELECT id, day, version FROM orders")


@contextmanager
def days_in_postgres(
    postgres: PostgresServer, databases: Databases, folder: Path, count: int, **run: object
) -> Iterator[Days]:
    """`count` days in version 1 in the source of two databases; the target is empty."""
    source = PostgresSide(postgres.connect(databases.source), databases.source_url)
    target = PostgresSide(postgres.connect(databases.target), databases.target_url)
    with closing(source), closing(target):
        yield _made(Both(kind="postgresql", source=source, target=target), folder, count, run)


@contextmanager
def days_in_sqlite(folder: Path, count: int, **run: object) -> Iterator[Days]:
    """The same in two files."""
    source, target = SqliteSide(folder / "source.db"), SqliteSide(folder / "target.db")
    with closing(source), closing(target):
        yield _made(Both(kind="sqlite", source=source, target=target), folder, count, run)


def _made(both: Both, folder: Path, count: int, run: Mapping[str, object]) -> Days:
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
    # One commit group a day.
    settings = {"group_rows": PER_DAY} | dict(run)
    return Days(
        both=both,
        installation=both.installation(folder, table("orders", "day"), run=settings),
        last_day=str(both.source.execute("SELECT max(day) FROM orders")[0][0]),
    )
