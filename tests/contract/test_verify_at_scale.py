"""Seven differences of all kinds among many rows: found one and all, few read twice, mended."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync import verifying
from sync.cli import main
from tests.installation import Both, table

FIRST, LAST, DAYS = "2025-01-01", "2025-02-09", 40
SHARE = 20  # of the rows have one without a key beside them
CREATE = """
    CREATE TABLE orders (id integer PRIMARY KEY, at timestamp, note text, amount integer);
    CREATE INDEX orders_at ON orders (at);
    CREATE TABLE notes (at timestamp, note text);
    CREATE INDEX notes_at ON notes (at)"""
# Made where they are, evenly spread over the days; each tenth note is NULL.
FILL = {
    "postgresql": """
        INSERT INTO orders SELECT n, timestamp '{first}' + n * {step} * interval '1 second',
            CASE WHEN n % 10 > 0 THEN 'note ' || n END, n FROM generate_series(0, {last}) AS g(n);
        INSERT INTO notes SELECT at, note FROM orders WHERE id % {share} = 1""",
    "sqlite": """
        INSERT INTO orders WITH RECURSIVE g(n) AS
                (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < {last})
            SELECT n, datetime('{first}', (n * {step}) || ' seconds'),
                CASE WHEN n % 10 > 0 THEN 'note ' || n END, n FROM g;
        INSERT INTO notes SELECT at, note FROM orders WHERE id % {share} = 1;""",
}
# At the first to the eighth tenth of the keys.
PLANTED = {
    "a row is missing": "DELETE FROM orders WHERE id = {k1}",
    "a row too many": "INSERT INTO orders SELECT -1, at, note, 1 FROM orders WHERE id = {k2}",
    "a value has changed": "UPDATE orders SET amount = -1 WHERE id = {k3}",
    "empty for NULL": "UPDATE orders SET note = '' WHERE id = {k4}",
    "on another day": "UPDATE orders SET at = '2025-01-02 00:00:01' WHERE id = {k5}",
    "exchanged": "UPDATE orders SET amount = {k6} + {k7} - amount WHERE id IN ({k6}, {k7})",
    "twice": "INSERT INTO notes SELECT * FROM notes WHERE note = 'note {k8}'",
}
Told = tuple[str, str, Any, Any]


def found_at(key: dict[str, int]) -> set[Told]:
    """Each row that differs: kind, key, and what a row that both sides have is on either side."""
    k = {name: str(n) for name, n in key.items()}
    return {
        ("missing", k["k1"], None, None),
        ("extra", "-1", None, None),
        ("different", k["k3"], f"amount {k['k3']}", "amount -1"),
        ("different", k["k4"], "note None", "note "),
        ("missing", k["k5"], None, None),
        ("extra", k["k5"], None, None),
        ("different", k["k6"], f"amount {k['k6']}", f"amount {k['k7']}"),
        ("different", k["k7"], f"amount {k['k7']}", f"amount {k['k6']}"),
        ("extra", f"note {k['k8']}", None, None),
    }


def told(one: dict[str, Any]) -> Told:
    alone = one["kind"] != "different"
    there, here = (
        None if alone else " ".join(f"{name} {value}" for name, value in one[side].items())
        for side in ("source", "target")
    )
    return one["kind"], one["key"].get("id") or one["key"]["note"], there, here


Verify = Callable[..., tuple[int, Any]]


@pytest.fixture
def verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Verify:
    """The command over all days: its exit code and what it found."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("BATCH_SYNC_CONFIG", str(tmp_path / "installation" / "batch_sync.toml"))

    def command(*more: str) -> tuple[int, Any]:
        code = main(["verify", FIRST, LAST, "--json", *more])
        return code, json.loads(capsys.readouterr().out)

    return command


def check(both: Both, folder: Path, verify: Verify, *, rows: int) -> None:
    both.source.execute(CREATE + ";" * (both.kind == "sqlite"))
    facts = {"first": FIRST, "step": DAYS * 86_400 / rows, "last": rows - 1, "share": SHARE}
    both.source.execute(FILL[both.kind].format(**facts))
    installation = both.installation(folder, table("orders", "at"), table("notes", "at"))
    run = installation.run(FIRST, LAST)
    assert (run.error, run.progress.rows_done) == (None, rows + rows // SHARE)
    key = {f"k{n}": n * rows // 10 for n in range(1, 8)} | {"k8": 8 * rows // 10 + 1}
    for statement in PLANTED.values():
        both.target.execute(statement.format(**key))

    code, found = verify()
    assert (code, found["complete"], len(found["differences"])) == (4, True, 9)
    assert set(map(told, found["differences"])) == found_at(key)
    assert found["rows_read_again"] < rows / 100
    assert verify("--repair")[0] == 0
    code, again = verify()
    assert (code, again["same"], again["rows_read_again"]) == (0, True, 0)


def test_seven_differences_among_10000_rows(
    both: Both, tmp_path: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "SLICE_ROWS", 4)
    check(both, tmp_path, verify, rows=10_000)


@pytest.mark.matrix
@pytest.mark.timeout(300)
def test_seven_differences_among_two_million_rows(
    postgresql: Both, tmp_path: Path, verify: Verify
) -> None:
    check(postgresql, tmp_path, verify, rows=2_000_000)
