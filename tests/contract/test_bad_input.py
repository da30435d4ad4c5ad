"""What cannot be done is refused in words, with its exit code, no password, and the lock free."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from sqlalchemy import make_url

from sync.cli import main
from tests.conftest import unavailable
from tests.installation import Both, Installation, SqliteSide, table
from tests.servers import LOADER, PASSWORDS, READER

MONDAY, TUESDAY = "2025-01-06", "2025-01-07"
ORDERS = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
GOOD = table("orders", "day")


@pytest.fixture
def stocked(postgresql: Both) -> Both:
    """Some rows in the source; the target is empty."""
    postgresql.source.execute(ORDERS)
    postgresql.source.insert("orders", [(1, MONDAY, "a"), (2, TUESDAY, "b")])
    return postgresql


Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Exit code and stderr of a run that is refused; stdout is empty, and no password is told.

    It runs in this process, so that a lock it left behind would still be held.
    """

    def run(installation: Installation, *arguments: str) -> tuple[int, str]:
        for name, value in installation.environment.items():
            monkeypatch.setenv(name, value)
        code = main(["run", *arguments])
        told = capfd.readouterr()
        secrets = [PASSWORDS[LOADER], PASSWORDS[READER]]
        leaked = [
            form for s in secrets for form in (s, quote(s), quote_plus(s)) if form in told.err
        ]
        assert (told.out, leaked, "Traceback" in told.err) == ("", [], False), told.err
        return code, told.err

    return run


def assert_free(both: Both, folder: Path) -> None:
    """A good run right after succeeds."""
    run = both.installation(folder, GOOD).run(MONDAY, TUESDAY)
    assert (run.error, both.rows("SELECT * FROM orders")[1]) == (
        None,
        both.rows("SELECT * FROM orders")[0],
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([TUESDAY, MONDAY], 2, f"ends on {MONDAY}, before it starts on {TUESDAY}. Swap the two"),
        (["soon", MONDAY], 2, "“soon” is not a date. Write a day as YYYY-MM-DD"),
        (["2025-02-30", MONDAY], 2, "“2025-02-30” is not a date"),
        ([MONDAY], 2, "Missing argument"),
        (["1725-01-01", MONDAY], 2, "at most 3660 go at once. Split it"),
        ([MONDAY, "9999-12-31"], 2, "is not between 0002-01-01 and 9998-12-31. Look for a year"),
        ([MONDAY, MONDAY, "--table", "Orders"], 5, "no table “Orders” in the settings"),
    ],
)
def test_what_is_asked_must_make_sense(
    stocked: Both, tmp_path: Path, refused: Refused, arguments: list[str], code: int, words: str
) -> None:
    found = refused(stocked.installation(tmp_path, GOOD), *arguments)
    assert (found[0], words in found[1]) == (code, True), found
    assert_free(stocked, tmp_path)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (table("order", "day"), "has no table order. Names are exact"),
        (table("orders", "Day"), "has no column Day. Set date_column to one of: day"),
        (table("orders", "note"), "Column note of orders in the source"),
        (table("kept", "day"), "kept is date in the source but timestamp with time zone"),
        (table("orders", "day", target_name="less"), "no column note (text), which the source has"),
        (table("orders", "day", columns=["day", "no"]), "has no column no, which the settings"),
        (table("orders", "day", exclude=["id"], key=["id"]), "key id of orders is not among"),
        (table("orders", "day", where="nonsense = 1"), 'column "nonsense" does not exist'),
        (table("orders", "day", wher="x"), "tables.0.wher is wrong (a name that means nothing)"),
    ],
)
def test_tables_must_fit(
    stocked: Both, tmp_path: Path, refused: Refused, section: dict[str, object], words: str
) -> None:
    stocked.source.execute(ORDERS.replace("orders", "kept"))
    stocked.target.execute(ORDERS.replace("orders", "kept").replace("DATE", "timestamptz"))
    stocked.target.execute("CREATE TABLE less (id INTEGER PRIMARY KEY, day DATE)")
    code, stderr = refused(stocked.installation(tmp_path, section), MONDAY, MONDAY)
    assert (code, words in stderr) == (5, True), stderr
    assert_free(stocked, tmp_path)


def altered(url: str, **parts: Any) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


URLS: dict[str, tuple[Callable[[Both], dict[str, str]], str]] = {
    "unreachable host": (
        lambda both: {"source_url": altered(both.source.url, port=1)},
        "The source database 127.0.0.1:1/",
    ),
    "wrong password": (
        lambda both: {"target_url": altered(both.target.url, password="hush#hush")},
        'password authentication failed for user "loader"',
    ),
    "no such database": (
        lambda both: {"target_url": altered(both.target.url, database="nowhere")},
        'database "nowhere" does not exist',
    ),
    "swapped": (
        lambda both: {"source_url": both.target.url, "target_url": both.source.url},
        "has no table orders. Names are exact",
    ),
    "read only": (
        lambda both: {
            "target_url": altered(both.target.url, username=READER, password=PASSWORDS[READER])
        },
        "permission denied for schema public. Ask its administrator to run: CREATE TABLE",
    ),
}


@pytest.mark.parametrize("case", URLS)
def test_databases_must_be_there_and_be_the_right_ones(
    stocked: Both, tmp_path: Path, refused: Refused, case: str
) -> None:
    change, words = URLS[case]
    urls = {"source_url": stocked.source.url, "target_url": stocked.target.url} | change(stocked)
    folder = tmp_path / "installation"
    installation = Installation(
        folder, source_url=urls["source_url"], target_url=urls["target_url"], tables=[GOOD]
    )
    code, stderr = refused(installation, MONDAY, MONDAY)
    assert (code, words in stderr, "hush" in stderr) == (5, True, False), stderr
    assert_free(stocked, tmp_path)


def test_urls_swapped_by_mistake_empty_nothing(
    stocked: Both, tmp_path: Path, refused: Refused
) -> None:
    stocked.target.execute(ORDERS)
    before = stocked.source.execute("SELECT * FROM orders")
    swapped = Installation(
        tmp_path / "swapped",
        source_url=stocked.target.url,
        target_url=stocked.source.url,
        tables=[GOOD],
    )
    code, stderr = refused(swapped, MONDAY, TUESDAY)
    assert (code, "(partitions: 2)" in stderr) == (1, True), stderr
    assert stocked.source.execute("SELECT * FROM orders") == before
    assert_free(stocked, tmp_path)


def test_a_target_that_may_only_be_read_fails_with_advice(
    stocked: Both, tmp_path: Path, refused: Refused
) -> None:
    # Our own tables may be written, the rows' table may not.
    assert_free(stocked, tmp_path)
    stocked.target.execute("""
        GRANT ALL ON batch_sync_lease, batch_sync_run, batch_sync_checkpoint TO reader""")
    reader = altered(stocked.target.url, username=READER, password=PASSWORDS[READER])
    folder = tmp_path / "reader"
    installation = Installation(
        folder, source_url=stocked.source.url, target_url=reader, tables=[GOOD]
    )
    code, stderr = refused(installation, MONDAY, MONDAY)
    assert (code, "permission denied for table orders" in stderr) == (1, True), stderr
    assert "The target must be writable for the sync's user." in stderr
    assert_free(stocked, tmp_path)


def test_a_full_disk_fails_the_run_and_room_lets_it_resume(
    tmp_path: Path, refused: Refused
) -> None:
    source = SqliteSide(tmp_path / "source.db")
    source.execute(ORDERS)
    source.insert("orders", [(n, MONDAY, "x" * 1000) for n in range(3000)])
    with small_disk(tmp_path / "disk", size="1m") as disk:
        target = SqliteSide(disk / "target.db")
        both = Both(kind="sqlite", source=source, target=target)
        code, stderr = refused(both.installation(tmp_path, GOOD), MONDAY, MONDAY)
        assert (code, "disk is full" in stderr) == (1, True), stderr
        assert "Make room on the target's disk, then resume the run." in stderr
        assert target.execute("SELECT count(*) FROM orders") == [(0,)]
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        ended = both.installation(tmp_path, GOOD).cli("resume")
        assert (ended.returncode, both.rows("SELECT * FROM orders")[1]) == (
            0,
            both.rows("SELECT * FROM orders")[0],
        )
        target.close()
    source.close()


@contextlib.contextmanager
def small_disk(folder: Path, *, size: str) -> Iterator[Path]:
    """A file system of that size."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        unavailable("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)
