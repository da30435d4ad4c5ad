"""A run of Batch Sync over a range: timed inside a fresh process, or as a whole process.

As a program (`python -m benchmarks.product START END ONLY`) it is that process: it imports all,
reads the settings, then times the run alone and prints the seconds.
"""

import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from benchmarks.data import Table

ROOT = Path(__file__).parent.parent


def time_run(settings: Path, table: Table, *, only: str = "all") -> float:
    """Seconds from the call that starts the run until it has released its lease."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.product", str(table.first), str(table.last), only],
        env=environment(settings),
        cwd=settings.parent,
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout.split()[-1])


def time_process(settings: Path, table: Table) -> float:
    """Seconds from the start to the end of `python -m sync run START END`."""
    began = time.perf_counter()
    done = subprocess.run(
        command(table),
        env=environment(settings),
        cwd=settings.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}\n{done.stdout}")
    return seconds


def command(table: Table) -> list[str]:
    """The command line of a run over the table's range."""
    return [sys.executable, "-m", "sync", "run", str(table.first), str(table.last)]


def environment(settings: Path) -> dict[str, str]:
    """The environment without settings of the person at the keyboard, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCH_SYNC_")}
    return {**kept, "BATCH_SYNC_CONFIG": str(settings), "PYTHONPATH": str(ROOT)}


def run_product(first: date, last: date, *, only: str) -> float:
    """Run the range in this process, with the settings that the environment names; the seconds."""
    # Here, so that the parent, which compares with psql, works without the product's imports.
    from sync.model import DateRange, Only, RunRequest, RunStatus
    from sync.settings import load
    from sync.wiring import open_operations

    operations = open_operations(load())
    request = RunRequest(days=DateRange(start=first, end=last), only=Only(only))
    began = time.perf_counter()
    view = operations.wait(operations.start(request))
    seconds = time.perf_counter() - began
    operations.close()
    if view.status is not RunStatus.SUCCEEDED:
        raise SystemExit(f"the run {view.status}: {view.error}")
    return seconds


if __name__ == "__main__":
    first, last, narrowed = sys.argv[1:]
    print(run_product(date.fromisoformat(first), date.fromisoformat(last), only=narrowed))
