"""What the tests of command line and HTTP sync: SQLite to SQLite, sixty small days."""

import json
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil

from tests.installation import Installation, table

FIRST = date(2025, 10, 1)
LAST = date(2025, 11, 29)
ROWS_A_DAY = 20

# Each row that comes costs milliseconds, so a day a third of a second, and sixty half a minute.
SLOWLY = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE NOT NULL, note TEXT);
CREATE TABLE n AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 64)
    SELECT n FROM c;
CREATE TRIGGER slowly BEFORE INSERT ON orders BEGIN
    SELECT count(*) FROM n AS a, n AS b, n AS c WHERE a.n + b.n + c.n > 0;
END;
"""


# The order in which scripts read them.
RUN_KEYS = ["id", "status", "start_date", "end_date", "tables", "token", "holder", "progress"]

CONFLICT_KEYS = [
    "status",
    "message",
    "code",
    "active_task_id",
    "holder",
    "range",
    "progress",
    "verdict",
    "yours",
    "actions",
]

RUN_ID = r"\d{8}-\d{6}-[0-9a-f]{6}"


@dataclass(frozen=True)
class Said:
    """What one command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


def installation(folder: Path, *, slow: bool = False) -> Installation:
    """A new one, with a group a day; a run of all days outlasts every test when `slow`."""
    with sqlite3.connect(folder / "source.db") as source:
        source.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE NOT NULL, note TEXT)")
        days = (LAST - FIRST).days + 1
        source.executemany(
            "INSERT INTO orders (day, note) VALUES (?, ?)",
            [
                ((FIRST + timedelta(days=n % days)).isoformat(), f"订单 {n}")
                for n in range(days * ROWS_A_DAY)
            ],
        )
    source.close()
    if slow:
        with sqlite3.connect(folder / "target.db") as target:
            target.executescript(SLOWLY)
        target.close()
    return Installation(
        folder / "installation",
        source_url=f"sqlite:///{folder / 'source.db'}",
        target_url=f"sqlite:///{folder / 'target.db'}",
        tables=[table("orders", "day")],
        run={"group_rows": 1, "progress_every_s": 0.05},
    )


def hurry(site: Installation) -> None:
    """Make a slow installation a fast one; nobody runs there now."""
    with sqlite3.connect(site.folder.parent / "target.db") as target:
        target.execute("DROP TRIGGER slowly")
    target.close()


def between_groups(site: Installation, writer: int, statement: str) -> None:
    """Run a statement in the target as soon as that process writes no group there."""
    target = sqlite3.connect(site.folder.parent / "target.db", timeout=0, isolation_level=None)
    # It is a short moment, so who writes must not be ahead of who looks for it.
    psutil.Process(writer).nice(19)
    until = time.monotonic() + 60
    while True:
        # SQLite's own waiting sleeps up to 100 ms between looks, and misses the moment.
        try:
            target.execute(statement)
            break
        except sqlite3.OperationalError:
            assert time.monotonic() < until
    target.close()


def target_rows(site: Installation) -> int:
    """How many rows the target has."""
    with sqlite3.connect(site.folder.parent / "target.db") as target:
        (count,) = target.execute("SELECT count(*) FROM orders").fetchone()
    target.close()
    return int(count)


def child(site: Installation, *arguments: str) -> subprocess.Popen[str]:
    """`python -m sync …`, as somebody else would start it."""
    return subprocess.Popen(
        site.command(*arguments),
        cwd=site.folder,
        env=site.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def status_when_copying(site: Installation) -> dict[str, Any]:
    """What `status --json` says once a run has done its first partition."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        status: dict[str, Any] = json.loads(site.cli("status", "--json").stdout)
        if status["run"] and status["run"]["progress"]["partitions_done"]:
            return status
        time.sleep(0.1)
    raise AssertionError("no run has begun to copy")
