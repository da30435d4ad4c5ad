"""The memory of a run grows neither with its rows nor with its days. Linux only: it asks /proc."""

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.installation import Both, Installation, table

SPREAD_MIB = 60
FIRST = date(2022, 1, 1)
# The kernel's own high-water mark, which begins anew with each program; getrusage's begins with
# the size of the process that forked it.
PROGRAM = """
import sys
from pathlib import Path
from sync.cli import main
code = main(sys.argv[1:])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(status["VmHWM"].split()[0])
sys.exit(code)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rows", [1_000_000, pytest.param(5_000_000, marks=pytest.mark.matrix)])
def test_millions_of_rows_and_a_thousand_days_need_no_more_memory_than_few(
    postgresql: Both, tmp_path: Path, rows: int
) -> None:
    shapes = {"few_rows": (1, 5_000), "many_rows": (1, rows), "many_days": (1_000, 5)}
    installation = postgresql.installation(tmp_path, *(table(name, "day") for name in shapes))
    peaks = {}
    for name, (days, rows_per_day) in shapes.items():
        postgresql.source.execute(f"CREATE UNLOGGED TABLE {name} (day date, id integer)")
        postgresql.source.execute(f"""
            INSERT INTO {name} SELECT date '{FIRST}' + day, id
            FROM generate_series(0, {days - 1}) day, generate_series(1, {rows_per_day}) id""")
        last = FIRST + timedelta(days=days - 1)
        peaks[name] = peak_mib(installation, "run", str(FIRST), str(last), "--table", name)
        copied = postgresql.target.execute(f"SELECT count(*) FROM {name}")
        assert copied == [(days * rows_per_day,)]
    assert max(peaks.values()) - peaks["few_rows"] < SPREAD_MIB, peaks


def peak_mib(installation: Installation, *arguments: str) -> float:
    """What a run in a fresh process took at most of the machine's memory."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=installation.environment,
        cwd=installation.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout) / 1024
