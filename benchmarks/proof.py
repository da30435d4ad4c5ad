"""What proof costs: runs with each `verify`, and a range that has not changed.

python -m benchmarks.proof [--rounds 5] [--table big|flights]

Sides take turns within each round; every ratio is taken round by round.
"""

import argparse
import statistics
import sys

from benchmarks import product
from benchmarks.copy_speed import make
from benchmarks.stage import open_stage

VERIFY = ("none", "count", "digest")


def main() -> None:
    """Measure, and print one Markdown table on stdout."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proof")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", choices=("big", "flights"), default="big")
    arguments = parser.parse_args()
    # The first look after a copy reads every row; the next ones trust rows that were not touched.
    sides = [*VERIFY, "unchanged, first look", "unchanged"]
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    with open_stage() as stage:
        table = make(stage, arguments.table)
        for number in range(arguments.rounds + 1):
            for side in sides:
                # Every round replaces rows that stand; the last copy has left digests behind.
                verify = side if side in VERIFY else "digest"
                settings = stage.write_settings(table, run_settings=f'verify = "{verify}"')
                stage.settle(table)
                only = "all" if side in VERIFY else "changed"
                took = product.time_run(settings, table, only=only)
                stage.check_count(table)
                if number:  # the first round warms up
                    seconds[side].append(took)
                print(f"{table.name} {number}: {side} {took:.3f} s", file=sys.stderr)
    print("| replace, verify | s | ÷ none |\n|---|--:|--:|")
    for side in sides:
        ratios = [a / b for a, b in zip(seconds[side], seconds["none"], strict=True)]
        print(f"| {side} | {statistics.median(seconds[side]):.3f} | {_spread(ratios)} |")


def _spread(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3f} [{low:.3f}–{high:.3f}]"


if __name__ == "__main__":
    main()
