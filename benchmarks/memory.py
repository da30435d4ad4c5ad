"""Peak memory of `python -m sync run`, for few and many rows and days. Linux only.

python -m benchmarks.memory [--big-rows 5000000] [--days 1000] [--run-settings 'group_rows = 50000']
"""

import argparse
import subprocess
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks import product
from benchmarks.data import Table, make_table
from benchmarks.stage import Stage, open_stage

FIRST = date(2023, 1, 1)
SMALL_ROWS = 5_000
POLL_S = 0.01


def main() -> None:
    """Run three ranges, each in a fresh process, and print one Markdown table on stdout."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--big-rows", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=1_000)
    parser.add_argument("--run-settings", default="", help="TOML lines for the [run] section")
    arguments = parser.parse_args()
    shapes = {
        "few_rows": (1, SMALL_ROWS),
        "many_rows": (1, arguments.big_rows),
        "many_days": (arguments.days, max(1, SMALL_ROWS // arguments.days)),
    }
    print("| rows | days | peak RSS, MiB | s |\n|--:|--:|--:|--:|", flush=True)
    with open_stage() as stage:
        for name, (days, rows_per_day) in shapes.items():
            with stage.connected(stage.source) as connection:
                table = make_table(
                    connection, name=name, first=FIRST, days=days, rows_per_day=rows_per_day
                )
            stage.execute(stage.source, f"VACUUM ANALYZE {name}")
            stage.create_target(table)
            settings = stage.write_settings(table, run_settings=arguments.run_settings)
            peak_mib, seconds = _run(stage, table, settings)
            print(f"| {table.rows:,} | {days:,} | {peak_mib:.1f} | {seconds:.1f} |", flush=True)


def _run(stage: Stage, table: Table, settings: Path) -> tuple[float, float]:
    """One run; its peak of resident memory, and its seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            product.command(table),
            env=product.environment(settings),
            cwd=settings.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peak_kib = 0
        while child.poll() is None:
            peak_kib = max(peak_kib, _high_water_kib(child.pid))
            time.sleep(POLL_S)
        if child.returncode:
            output.seek(0)
            raise SystemExit(f"exit code {child.returncode}\n{output.read().decode()}")
    seconds = time.perf_counter() - began
    stage.check_count(table)
    return peak_kib / 1024, seconds


def _high_water_kib(pid: int) -> int:
    """The kernel's own high-water mark: only growth in the last poll's interval can be missed.

    Not getrusage: its figure for a child starts from the size of the parent that forked it.
    """
    try:
        status = Path("/proc", str(pid), "status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM:"))
    return next((int(words[1]) for words in lines), 0)


if __name__ == "__main__":
    main()
