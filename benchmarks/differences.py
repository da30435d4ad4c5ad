"""Two million rows with seven differences of all kinds: found exactly, mended, and clean after.

python -m benchmarks.differences [--rows-per-day 200000]
"""

import argparse
import os
import time
from datetime import date

from benchmarks import raw
from benchmarks.data import make_table
from benchmarks.stage import open_stage

DAYS = 10
# What is found, of which row, after which statement in the target. Ids count from 0.
EXTRA = """
    INSERT INTO made SELECT {id}, happened_at, amount, rate, customer, note, quantity, status,
        region, paid, due_on, recorded_at FROM made WHERE id = 5"""
PLANTED = (
    ("missing", (0, 17), "DELETE FROM made WHERE id = {id}"),
    ("extra", (-1, 0), EXTRA),
    ("different", (3, 0), "UPDATE made SET amount = amount + 0.01 WHERE id = {id}"),
    ("different", (4, 1), "UPDATE made SET note = coalesce(note, '') || ' ' WHERE id = {id}"),
    ("different", (5, 2), "UPDATE made SET paid = NOT paid WHERE id = {id}"),
    (
        "different",
        (6, 3),
        "UPDATE made SET recorded_at = recorded_at + interval '1 us' WHERE id = {id}",
    ),
    (
        "different",
        (8, 4),
        "UPDATE made SET happened_at = happened_at + interval '1 hour' WHERE id = {id}",
    ),
)


def main() -> None:
    """Plant, verify, repair, verify; print what each took, and stop where it is not exact."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.differences")
    parser.add_argument("--rows-per-day", type=int, default=200_000)
    a_day = parser.parse_args().rows_per_day
    with open_stage() as stage:
        with stage.connected(stage.source) as connection:
            table = make_table(
                connection, name="made", first=date(2025, 10, 1), days=DAYS, rows_per_day=a_day
            )
        stage.execute(stage.source, "VACUUM ANALYZE made")
        stage.create_target(table)
        raw.copy_range(stage, table, replace=False)
        planted = {(kind, day * a_day + n): sql for kind, (day, n), sql in PLANTED}
        stage.execute(stage.target, *(sql.format(id=id_) for (_, id_), sql in planted.items()))
        stage.settle(table)
        os.environ["BATCH_SYNC_CONFIG"] = str(stage.write_settings(table))
        _verify(table.first, table.last, rows=table.rows, planted=set(planted))


def _verify(first: date, last: date, *, rows: int, planted: set[tuple[str, int]]) -> None:
    # Here, for the settings file has only just been written.
    from sync.model import DateRange, RunRequest
    from sync.settings import load
    from sync.wiring import open_operations

    operations = open_operations(load())
    request = RunRequest(days=DateRange(first, last))
    began = time.perf_counter()
    found = operations.verify(request)
    verified = time.perf_counter()
    named = {(d.kind.value, int(d.key["id"] or 0)) for d in found.differences}
    if named != planted or not found.complete:
        raise SystemExit(f"planted {planted}, found {named}")
    run_id = operations.repair(request, found)
    assert run_id
    run = operations.wait(run_id)
    mended = time.perf_counter()
    again = operations.verify(request)
    if run.error or again.differing:
        raise SystemExit(f"not mended: {run.error} {again.differing}")
    operations.close()
    print("| rows | verify, s | rows read twice | repair, s | days mended | second verify, s |")
    print("|--:|--:|--:|--:|--:|--:|")
    print(
        f"| {rows:,} | {verified - began:.2f} | {found.read_again / 2 / rows:.2%}"
        f" | {mended - verified:.2f} | {len(found.differing)}"
        f" | {time.perf_counter() - mended:.2f} |"
    )


if __name__ == "__main__":
    main()
