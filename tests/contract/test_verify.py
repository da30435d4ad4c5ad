"""What verify finds where rows were changed by hand, and what a repair mends."""

import json
from pathlib import Path

import pytest

from sync import verifying
from sync.cli import main
from sync.differences import Verification
from sync.errors import CopyError
from sync.model import RunStatus
from tests.installation import Both, Installation, PostgresSide, Side, asked, table
from tests.servers import PostgresServer

DAYS = [f"2025-01-{n:02}" for n in range(1, 11)]
RANGE = DAYS[0], DAYS[-1]
A_DAY = 40
CREATE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day {}, note TEXT, amount INTEGER)"
PLANTED = {
    # On day 1, 3 and 8; ids count from 0.
    "missing": "DELETE FROM orders WHERE id = 45",
    "extra": "INSERT INTO orders VALUES (9001, '2025-01-02 12:00:00', 'by hand', 1)",
    "different": "UPDATE orders SET note = NULL WHERE id = 130",
    "empty for NULL": "UPDATE orders SET note = '' WHERE id = 131",
    "exchanged": "UPDATE orders SET amount = 265 - amount WHERE id IN (132, 133)",
    "another key": "UPDATE orders SET id = 9002 WHERE id = 330",
}
FOUND = {
    ("missing", "2025-01-02", 45),
    ("extra", "2025-01-02", 9001),
    ("different", "2025-01-04", 130),
    ("different", "2025-01-04", 131),
    ("different", "2025-01-04", 132),
    ("different", "2025-01-04", 133),
    ("missing", "2025-01-09", 330),
    ("extra", "2025-01-09", 9002),
}


def fill(side: Side, kind: str) -> None:
    side.execute(CREATE.format(kind))
    at = "" if kind == "DATE" else " {:02}:{:02}:00"
    side.insert(
        "orders",
        [
            (
                A_DAY * d + n,
                day + at.format(n % 24, n),
                "" if n == 30 else None if n == 11 else f"n{n}",
                A_DAY * d + n,
            )
            for d, day in enumerate(DAYS)
            for n in range(A_DAY)
        ],
    )


@pytest.fixture(params=["TIMESTAMP", "DATE", "TIMESTAMPTZ"])
def installation(
    both: Both, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    """Ten synced days of forty rows; slices and buckets of about four rows."""
    monkeypatch.setattr(verifying, "SLICE_ROWS", 4)
    monkeypatch.setattr(verifying, "AT_ONCE", 2)
    fill(both.source, request.param)
    made = both.installation(tmp_path, table("orders", "day"))
    assert made.run(*RANGE).error is None
    return made


def verify(installation: Installation) -> Verification:
    return installation.operations().verify(asked(*RANGE))


def listed(found: Verification) -> set[tuple[str, str, int]]:
    return {(str(d.kind), str(d.day), int(d.key["id"] or 0)) for d in found.differences}


def test_verify_names_exactly_what_was_planted_and_a_repair_mends_only_those_days(
    both: Both, installation: Installation
) -> None:
    assert (verify(installation).differing, verify(installation).read_again) == ([], 0)
    for statement in PLANTED.values():
        both.target.execute(statement)
    operations = installation.operations()
    found = operations.verify(asked(*RANGE))
    wrong = sorted({day for _, day, _ in FOUND})
    assert (listed(found), found.complete) == (FOUND, True)
    assert [str(p.day) for p in found.differing] == wrong
    values = {int(d.key["id"] or 0): (d.source, d.target) for d in found.differences}
    assert values[130] == ({"note": "n10"}, {"note": None})
    assert values[131] == ({"note": None}, {"note": ""})
    assert (values[45][0] or {})["note"] == "n5"

    run_id = operations.repair(asked(*RANGE), found)
    assert run_id
    run = operations.wait(run_id, timeout_s=60)
    assert (run.status, [day for _, day in installation.partitions(run_id)]) == (
        RunStatus.SUCCEEDED,
        wrong,
    )
    again = operations.verify(asked(*RANGE))
    assert (again.differing, operations.repair(asked(*RANGE), again)) == ([], None)


def test_few_rows_are_read_twice(both: Both, installation: Installation) -> None:
    both.target.execute(PLANTED["different"])
    found = verify(installation)
    # Of a DATE, a day is digested twice on either side before one bucket or two are read.
    assert (len(found.differences), found.read_again <= 2 * A_DAY + 40) == (1, True)


def test_differences_are_listed_up_to_a_limit(
    both: Both, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "LISTED_MAX", 5)
    both.target.execute("UPDATE orders SET amount = -1")
    found = verify(installation)
    assert (len(found.differences), found.complete, len(found.differing)) == (5, False, 10)


def test_rows_without_a_key_are_told_by_all_their_values(both: Both, tmp_path: Path) -> None:
    for side in (both.source, both.target):
        side.execute("CREATE TABLE notes (day DATE, note TEXT)")
    both.source.insert("notes", [(DAYS[0], note) for note in ("a", "a", "b")])
    installation = both.installation(tmp_path, table("notes", "day"))
    lacking = installation.operations().verify(asked(DAYS[0]))
    installation.run(DAYS[0])
    both.target.execute("UPDATE notes SET note = 'c' WHERE note = 'b'")
    both.target.insert("notes", [(DAYS[0], "a")])
    found = installation.operations().verify(asked(DAYS[0]))
    told = [(str(d.kind), d.key["note"]) for d in found.differences]
    assert ([str(d.kind) for d in lacking.differences], sorted(told)) == (
        ["missing"] * 3,
        [("extra", "a"), ("extra", "c"), ("missing", "b")],
    )


def test_the_command_line_lists_differences_and_exits_4_until_they_are_mended(
    sqlite: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    fill(sqlite.source, "DATE")
    installation = sqlite.installation(tmp_path, table("orders", "day"))
    monkeypatch.setenv("BATCH_SYNC_CONFIG", str(installation.settings_file))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    installation.run(*RANGE)
    sqlite.target.execute(PLANTED["different"])
    assert main(["verify", *RANGE]) == 4
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split() == [
        *("orders", "2025-01-04", "Different", 'id="130"', 'note="n10"', "note=NULL")
    ]
    assert said.err == "1 of 10 partitions differ, in 1 row: orders 2025-01-04\n"
    assert main(["verify", *RANGE, "--repair", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "same": False,
        "partitions": 10,
        "differing": [
            {"table": "orders", "day": "2025-01-04", "source_rows": 40, "target_rows": 40}
        ],
        "differences": [
            {
                "kind": "different",
                "table": "orders",
                "day": "2025-01-04",
                "key": {"id": "130"},
                "source": {"note": "n10"},
                "target": {"note": None},
            }
        ],
        "complete": True,
        "rows_read_again": 80,
    }
    assert main(["verify", *RANGE]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        "10 partitions, 400 rows: source and target are the same\n",
    )


def test_a_database_that_cannot_be_compared_says_why(postgresql: Both, tmp_path: Path) -> None:
    fill(postgresql.source, "DATE")
    installation = postgresql.installation(
        tmp_path, table("orders", "day", where="1 / (amount - 399) < 1")
    )
    with pytest.raises(CopyError, match="failed while it was compared: division by zero"):
        installation.operations().verify(asked(*RANGE))


def test_texts_are_the_same_in_databases_of_other_encodings(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    names = "latin_source", "utf8_target"
    for name, encoding in zip(names, ("LATIN1", "UTF8"), strict=True):
        made = f"CREATE DATABASE {name} ENCODING {encoding} OWNER loader TEMPLATE template0"
        postgres.execute(f"{made} LOCALE 'C'")
    source, target = (PostgresSide(postgres.connect(name), postgres.url(name)) for name in names)
    source.execute(CREATE.format("DATE"))
    source.execute("INSERT INTO orders VALUES (1, '2025-01-01', 'Grüße', 1)")
    both = Both(kind="postgresql", source=source, target=target)
    made_here = both.installation(tmp_path, table("orders", "day"), run={"verify": "digest"})
    assert made_here.run(DAYS[0]).error is None
    assert target.execute("SELECT note FROM orders") == [("Grüße",)]
    assert made_here.operations().verify(asked(DAYS[0])).differing == []
    for side, name in zip((source, target), names, strict=True):
        side.close()
        postgres.drop_database(name)
