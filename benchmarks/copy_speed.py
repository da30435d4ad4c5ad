"""The speed of a run, compared with `psql COPY | psql COPY` of the same range.

python -m benchmarks.copy_speed [--rounds 7] [--tables flights big] [--cases fresh replace]
                                [--sides raw run process] [--run-settings 'group_rows = 50000']

Sides take turns within each round, so that a noisy minute hits all of them.
"""

import argparse
import statistics
import sys
from datetime import date
from pathlib import Path

from benchmarks import product, raw
from benchmarks.data import Table, make_flights, make_table
from benchmarks.stage import Stage, open_stage

TABLES = ("flights", "big")
CASES = ("fresh", "replace")
SIDES = ("raw", "run", "process")
HEADINGS = (
    "case",
    "rows",
    "raw, s",
    "run in process, s",
    "whole process, s",
    "run ÷ raw, rows/s",
    "process ÷ raw, rows/s",
)
Samples = dict[str, list[float]]


def main() -> None:
    """Measure what the arguments ask for, and print one Markdown table on stdout."""
    arguments = _arguments()
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|" + "--:|" * (len(HEADINGS) - 1)]
    with open_stage() as stage:
        for name in arguments.tables:
            table = make(stage, name)
            settings = stage.write_settings(table, run_settings=arguments.run_settings)
            _warm_up(stage, table, settings, arguments.sides)
            for case in arguments.cases:
                samples = _measure(stage, table, settings, case, arguments)
                lines.append(_line(table, case, samples))
    print("\n".join(lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copy_speed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--run-settings", default="", help="TOML lines for the [run] section")
    return parser.parse_args()


def make(stage: Stage, name: str) -> Table:
    """Fill one of `TABLES` in the source, and make it in the target."""
    with stage.connected(stage.source) as connection:
        if name == "flights":
            table = make_flights(connection)
        else:
            table = make_table(
                connection, name=name, first=date(2025, 10, 1), days=10, rows_per_day=167_000
            )
    stage.execute(stage.source, f"VACUUM ANALYZE {table.name}")
    stage.create_target(table)
    return table


def _warm_up(stage: Stage, table: Table, settings: Path, sides: list[str]) -> None:
    """Fill caches, let the product make its own tables, and compare every value once a side."""
    for side in sides:
        stage.truncate(table)
        _time(side, stage, table, settings, replace=False)
        stage.check_content(table)


def _measure(
    stage: Stage, table: Table, settings: Path, case: str, arguments: argparse.Namespace
) -> Samples:
    samples: Samples = {side: [] for side in arguments.sides}
    for number in range(1, arguments.rounds + 1):
        for side in arguments.sides:
            stage.truncate(table)
            if case == "replace":
                raw.copy_range(stage, table, replace=False)
            stage.settle(table)
            seconds = _time(side, stage, table, settings, replace=case == "replace")
            stage.check_count(table)
            samples[side].append(seconds)
            print(f"{table.name} {case} {number}: {side} {seconds:.3f} s", file=sys.stderr)
    return samples


def _time(side: str, stage: Stage, table: Table, settings: Path, *, replace: bool) -> float:
    match side:
        case "raw":
            return raw.copy_range(stage, table, replace=replace)
        case "run":
            return product.time_run(settings, table)
        case _:
            return product.time_process(settings, table)


def _line(table: Table, case: str, samples: Samples) -> str:
    cells = [f"{table.name}, {case}", f"{table.rows:,}"]
    cells += [spread(samples.get(side, []), digits=3) for side in SIDES]
    for side in SIDES[1:]:
        # Round by round: what slowed a whole round down falls out of the ratio.
        pairs = zip(samples.get("raw", []), samples.get(side, []), strict=False)
        cells.append(spread([by_raw / by_product for by_raw, by_product in pairs], digits=2))
    return "| " + " | ".join(cells) + " |"


def spread(values: list[float], *, digits: int) -> str:
    """Median and quartiles; a dash for what was not measured."""
    if not values:
        return "–"
    low = high = middle = statistics.median(values)
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}]"


if __name__ == "__main__":
    main()
