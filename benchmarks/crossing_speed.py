"""The speed of a run between engines, compared with the plainest loop that moves the same rows.

python -m benchmarks.crossing_speed [--rounds 5] [--days 10] [--rows-per-day 20000]

Out of SQLite, plain is csv lines into one COPY; into SQLite, a cursor of the server's whose rows go
to executemany. Neither checks or converts anything. Both ways take turns within each round.
"""

import argparse
import contextlib
import csv
import io
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from benchmarks import product
from benchmarks.copy_speed import spread
from benchmarks.data import Table, make_table
from benchmarks.stage import SETTINGS_FILE, Stage, open_stage

HEADINGS = ("way", "rows", "plain, s", "run in process, s", "run ÷ plain, rows/s")
ROWS = 2_000  # of one round trip
# As a run makes the table.
MADE_IN_SQLITE = """
CREATE TABLE {name} (
    id BIGINT NOT NULL, happened_at TIMESTAMP NOT NULL,
    amount NUMERIC TEXT(12,2) NOT NULL, rate NUMERIC TEXT, customer TEXT NOT NULL, note TEXT,
    quantity INTEGER NOT NULL, status SMALLINT NOT NULL, region INTEGER, paid BOOLEAN NOT NULL,
    due_on DATE NOT NULL, recorded_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX {name}_at ON {name} (happened_at);"""


def main() -> None:
    """Measure both ways, and print one Markdown table on stdout."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crossing_speed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--rows-per-day", type=int, default=20_000)
    arguments = parser.parse_args()
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|" + "--:|" * (len(HEADINGS) - 1)]
    with open_stage() as stage:
        with stage.connected(stage.source) as connection:
            table = make_table(
                connection,
                name="big",
                first=date(2025, 10, 1),
                days=arguments.days,
                rows_per_day=arguments.rows_per_day,
            )
        stage.execute(stage.source, f"VACUUM ANALYZE {table.name}")
        stage.create_target(table)
        file = stage.folder / "source.db"
        _fill(stage, table, file)
        empty = stage.folder / "empty.db"
        with contextlib.closing(sqlite3.connect(empty)) as target:
            target.executescript(MADE_IN_SQLITE.format(name=table.name))
        for way, plain, run in (
            ("SQLite to PostgreSQL", _plain_out, _run_out),
            ("PostgreSQL to SQLite", _plain_in, _run_in),
        ):
            samples = _measure(stage, table, arguments.rounds, way, (plain, run))
            ratios = [by_plain / by_run for by_plain, by_run in zip(*samples, strict=True)]
            cells = [spread(values, digits=2) for values in (*samples, ratios)]
            lines.append(f"| {way} | {table.rows:,} | " + " | ".join(cells) + " |")
    print("\n".join(lines))


def _measure(
    stage: Stage,
    table: Table,
    rounds: int,
    way: str,
    sides: tuple[Callable[[Stage, Table], float], ...],
) -> list[list[float]]:
    samples: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for side, taken in zip(sides, samples, strict=True):
            stage.truncate(table)
            stage.settle(table)
            seconds = side(stage, table)
            print(f"{way} {number}: {side.__name__} {seconds:.2f} s", file=sys.stderr)
            if number:  # the first round fills caches
                taken.append(seconds)
    return samples


def _fill(stage: Stage, table: Table, file: Path) -> None:
    """The table of PostgreSQL's source in a file, as a run would bring it there."""
    with contextlib.closing(sqlite3.connect(file)) as target:
        target.executescript(MADE_IN_SQLITE.format(name=table.name))
        _insert(stage, table, target)


def _insert(stage: Stage, table: Table, target: sqlite3.Connection) -> None:
    columns = (
        "id, happened_at::text, amount::text, rate::text, customer, note, quantity, status, region,"
        " paid::int, due_on::text, replace(recorded_at::text, '+00', '+00:00')"
    )
    with stage.connected(stage.source) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
        with connection.cursor("rows") as cursor:
            cursor.itersize = ROWS
            cursor.execute(f"SELECT {columns} FROM {table.name} ORDER BY happened_at")
            while rows := cursor.fetchmany(ROWS):
                places = ", ".join("?" * len(rows[0]))
                target.executemany(f"INSERT INTO {table.name} VALUES ({places})", rows)
    target.commit()


def _plain_in(stage: Stage, table: Table) -> float:
    with _fresh(stage, "plain.db") as file, contextlib.closing(sqlite3.connect(file)) as target:
        began = time.perf_counter()
        _insert(stage, table, target)
        return time.perf_counter() - began


def _run_in(stage: Stage, table: Table) -> float:
    with _fresh(stage, "run.db") as file:
        settings = _settings(stage, table, stage.server.url(stage.source), f"sqlite:///{file}")
        return product.time_run(settings, table)


@contextlib.contextmanager
def _fresh(stage: Stage, name: str) -> Iterator[Path]:
    file = stage.folder / name
    shutil.copy(stage.folder / "empty.db", file)
    try:
        yield file
    finally:
        file.unlink()


def _plain_out(stage: Stage, table: Table) -> float:
    began = time.perf_counter()
    with (
        stage.connected(stage.target) as connection,
        connection.cursor() as cursor,
        contextlib.closing(sqlite3.connect(stage.folder / "source.db")) as source,
    ):
        rows = source.execute(f"SELECT * FROM {table.name} ORDER BY happened_at")
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.copy_expert(f"COPY {table.name} FROM STDIN (FORMAT csv)", _Lines(rows))
        connection.commit()
    stage.check_count(table)
    return time.perf_counter() - began


class _Lines(io.RawIOBase):
    """Rows as a file of csv lines."""

    def __init__(self, rows: sqlite3.Cursor) -> None:
        self._rows = rows

    def read(self, size: int = -1) -> str:  # type: ignore[override]  # psycopg2 takes text
        """The lines of the next rows."""
        del size
        lines = io.StringIO()
        csv.writer(lines).writerows(self._rows.fetchmany(ROWS))
        return lines.getvalue()


def _run_out(stage: Stage, table: Table) -> float:
    source = f"sqlite:///{stage.folder / 'source.db'}"
    seconds = product.time_run(
        _settings(stage, table, source, stage.server.url(stage.target)), table
    )
    stage.check_count(table)
    return seconds


def _settings(stage: Stage, table: Table, source: str, target: str) -> Path:
    folder = stage.folder / f"from {source.partition(':')[0]}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / "batch_sync.toml"
    text = SETTINGS_FILE.format(source_url=source, target_url=target, table=table, run_settings="")
    path.write_text(text, encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
