"""The limit to compare with: binary `psql COPY | psql COPY`, the range in one transaction."""

import subprocess
import time
from datetime import date, timedelta

from benchmarks.data import Table
from benchmarks.stage import Stage

# A sequential scan of the whole range may be slower than reading by the index. Compare with the
# fast way, or the comparison flatters the product.
FORCE_INDEX = ("SET enable_seqscan = off", "SET enable_bitmapscan = off")


def copy_range(stage: Stage, table: Table, *, replace: bool) -> float:
    """Copy the table's range from source to target; the seconds.

    With `replace`, the rows that stand there are deleted in the same transaction.
    """
    end: date = table.last + timedelta(days=1)
    inside = f"{table.date_column} >= '{table.first}' AND {table.date_column} < '{end}'"
    load = [f"COPY {table.name} FROM STDIN (FORMAT binary)"]
    if replace:
        load = ["BEGIN", f"DELETE FROM {table.name} WHERE {inside}", *load, "COMMIT"]
    unload = [
        *FORCE_INDEX,
        f"COPY (SELECT * FROM {table.name} WHERE {inside}) TO STDOUT (FORMAT binary)",
    ]
    environment = stage.psql_environment()
    began = time.perf_counter()
    reader = subprocess.Popen(
        _psql(stage, stage.source, unload), stdout=subprocess.PIPE, env=environment
    )
    writer = subprocess.Popen(
        _psql(stage, stage.target, load), stdin=reader.stdout, env=environment
    )
    if reader.stdout is not None:
        reader.stdout.close()  # else the reader would not notice that the writer died
    codes = (reader.wait(), writer.wait())
    seconds = time.perf_counter() - began
    if any(codes):
        raise SystemExit(f"psql | psql ended with {codes}")
    return seconds


def _psql(stage: Stage, database: str, statements: list[str]) -> list[str]:
    command = [str(stage.server.psql), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]
    for statement in statements:
        command += ["--command", statement]
    return [*command, database]
