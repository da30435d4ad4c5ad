"""Two analysts, two browsers, one demo: one syncs, the other is told."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from sync.demo import TABLES
from tests.browser.dashboards import served

MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo, its store and its lock stand."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def analysts(browser: Browser, state_dir: Path) -> Iterator[tuple[Page, Page]]:
    """The page in two browsers that share nothing."""
    with served("dashboard.py", BATCH_SYNC_STATE_DIR=str(state_dir)) as url:
        pages = []
        for _ in range(2):
            page = browser.new_context(viewport={"width": 1280, "height": 1200}).new_page()
            page.goto(f"{url}/?lang=en")
            expect(page.get_by_role("button", name="Start sync")).to_be_visible(timeout=MINUTE_MS)
            pages.append(page)
        yield pages[0], pages[1]


@pytest.mark.timeout(240)
def test_one_syncs_everything_and_the_other_is_told_who_since_when_and_how_far(
    analysts: tuple[Page, Page], state_dir: Path
) -> None:
    mine, theirs = analysts
    mine.get_by_text("All data", exact=True).click()
    expect(mine.get_by_text(re.compile(r"Replaces 18\d days"))).to_be_visible()

    mine.get_by_role("button", name="Start sync").dblclick()
    expect(mine.get_by_text("Your sync of").first).to_be_visible(timeout=MINUTE_MS)
    theirs.get_by_role("button", name="Start sync").click()
    card = theirs.locator("[class*=st-key-card_conflict]")
    expect(card.get_by_text(re.compile("is running a sync"))).to_be_visible(timeout=MINUTE_MS)
    expect(card).to_contain_text(re.compile(r"PID \d+"))
    told = card.inner_text()

    expect(mine.get_by_text("succeeded").first).to_be_visible(timeout=3 * MINUTE_MS)
    run = _only_run(state_dir / "store.db")
    assert run["status"] == "succeeded"
    assert f"PID {run['pid']}" in told
    assert run["id"] in told
    assert re.search(r"Started\s+\d", told)
    assert re.search(r"\d+ / \d+|counting rows", told)
    assert "Time left" in told
    assert _differences(state_dir) == dict.fromkeys([name for name, _ in TABLES], 0)


def _only_run(store: Path) -> dict[str, object]:
    query = "SELECT id, status, json_extract(holder, '$.pid') FROM run"
    with closing(sqlite3.connect(store)) as connection:
        (run,) = connection.execute(query).fetchall()
    return dict(zip(("id", "status", "pid"), run, strict=True))


def _differences(state_dir: Path) -> dict[str, int]:
    """How many rows of each table stand on one side only, by SQLite itself."""
    with closing(sqlite3.connect(state_dir / "demo_source.db")) as connection:
        connection.execute("ATTACH ? AS target", (str(state_dir / "demo_target.db"),))
        return {
            name: connection.execute(
                "SELECT count(*) FROM ("
                f"SELECT * FROM (SELECT * FROM main.{name} EXCEPT SELECT * FROM target.{name})"
                " UNION ALL "
                f"SELECT * FROM (SELECT * FROM target.{name} EXCEPT SELECT * FROM main.{name}))"
            ).fetchone()[0]
            for name, _ in TABLES
        }
