"""The report of a run: everything that is known of it, on a terminal, as JSON, and as a page."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from sync import report
from sync.model import RunId
from sync.settings import load
from sync.store import Store
from sync.wiring import STORE_FILE
from tests.installation import Both, Installation, table
from tests.views.sixty_days import Command

DAYS = [f"2025-01-{n:02}" for n in range(1, 5)]
RANGE = DAYS[0], DAYS[-1]
NASTY = "<script>alert(1)</script>"
CREATE = 'CREATE TABLE "{}" (id INTEGER PRIMARY KEY, day DATE, note TEXT)'
# Somebody's trigger changes what comes on the third day.
MEDDLES = """
    CREATE TRIGGER meddles AFTER INSERT ON orders WHEN NEW.day = '2025-01-03'
    BEGIN UPDATE orders SET note = '<i>other</i>' WHERE id = NEW.id; END;"""


@pytest.fixture
def site(sqlite: Both, tmp_path: Path) -> Installation:
    """Four days of ten rows: one is held back, one fails, and one gets a row from elsewhere."""
    for side in (sqlite.source, sqlite.target):
        side.execute(CREATE.format("orders"))
    sqlite.source.insert("orders", [(n, DAYS[n % 4], NASTY) for n in range(40)])
    sqlite.target.insert("orders", [(100 + n, DAYS[1], "old") for n in range(50)])
    sqlite.target.insert("orders", [(0, "2025-02-01", "moves")])
    sqlite.target.execute(MEDDLES)
    settings = {"verify": "digest", "group_rows": 1, "shrink_max": 0.4}
    return sqlite.installation(tmp_path, table("orders", "day", where="id >= 0"), run=settings)


def reported(sync: Command, *arguments: str, code: int = 0) -> Any:
    said = sync("history", *arguments, "--json")
    assert said.code == code, said.err
    return said.json


def by_day(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {p["day"]: p for p in found["partitions"]}


def test_it_tells_everything_that_became_of_a_run(
    site: Installation, sync: Command, sqlite: Both
) -> None:
    run = site.run(*RANGE)
    found = reported(sync, run.id[:-2])
    assert (found["run"]["id"], found["run"]["status"], found["unknown"]) == (run.id, "failed", [])
    under = found["circumstances"]
    assert (under["verify"], under["shrink_max"], under["locks"]) == ("digest", 0.4, "file")
    assert under["tables"]["orders"]["where"] == "id >= 0"
    assert under["versions"]["target"].startswith("SQLite 3.")
    told = ("state", "status", "rows_before", "source_rows", "rows")
    days = by_day(found)
    assert {day: tuple(map(p.get, told)) for day, p in days.items()} == {
        DAYS[0]: ("missing", "done", 0, 10, 10),
        DAYS[1]: ("held_back", "held_back", 50, 10, None),
        DAYS[2]: ("missing", "failed", 0, 10, None),
        DAYS[3]: ("missing", "done", 0, 10, 10),
    }
    assert "digest before the commit" in days[DAYS[2]]["error"]
    kept = dict(sqlite.target.execute("SELECT day, digest FROM batch_sync_checkpoint"))
    for side in ("source_digest", "target_digest"):
        assert {day: p[side] for day, p in days.items() if p[side]} == kept
    assert found["moved"] == [{"table": "orders", "days": "2025-02-01"}]
    assert (
        found["totals"] | {"rows": 20, "held_back": 1, "failed": 1, "standing": 2}
        == (found["totals"])
    )
    assert {"run.planned", "rows.moved", "group.failed"} <= {line["event"] for line in found["log"]}


def test_a_later_run_that_copies_a_day_anew_is_named_and_the_digest_of_then_is_kept(
    site: Installation, sync: Command, sqlite: Both
) -> None:
    first = site.run(DAYS[0])
    then = by_day(reported(sync, "last"))[DAYS[0]]
    sqlite.source.execute(f"UPDATE orders SET note = 'later' WHERE day = '{DAYS[0]}'")
    second = site.run(DAYS[0])
    found = reported(sync, first.id)
    assert by_day(found)[DAYS[0]] == then | {
        "checkpoint_of": second.id,
        "committed_at": by_day(found)[DAYS[0]]["committed_at"],
    }
    assert found["totals"]["standing"] == 0
    assert "1 were copied anew by later runs" in sync("history", first.id).out


def test_the_page_stands_alone_and_what_is_in_it_is_text(
    site: Installation, sync: Command, sqlite: Both, tmp_path: Path
) -> None:
    site.run(*RANGE)
    sqlite.target.execute(f"UPDATE orders SET note = '<b>by hand</b>' WHERE day = '{DAYS[3]}'")
    for lang, title, word in (("en", "Report of a run", "Held back"), ("zh", "任务报告", "已暂缓")):
        file = tmp_path / f"{lang}.html"
        said = sync("history", "last", "--report", str(file), "--verify", "--lang", lang, "--json")
        page = file.read_text(encoding="utf-8")
        assert (said.code, title in page, word in page) == (4, True, True)
        shown, data = page.split('<script type="application/json" id="report">')
        assert re.findall(r"https?:|<link|<img|<script|<b>|<i>|url\(|@import", shown) == []
        assert (NASTY in page, "&lt;b&gt;by hand&lt;/b&gt;" in shown) == (False, True)
        text = data[: data.index("</script>")]
        assert text == said.out
        assert hashlib.sha256(text.encode()).hexdigest() in shown
        found = json.loads(text)["comparison"]
        assert [p["day"] for p in found["partitions"] if not p["same"]] == DAYS[1:]
        assert all(p["source_digest"] and p["target_digest"] for p in found["partitions"])
        assert {"<b>by hand</b>"} == {
            d["target"]["note"] for d in found["differences"] if d["day"] == DAYS[3]
        }


def test_where_nothing_was_compared_and_rows_are_in_no_day_that_is_said(
    sqlite: Both, tmp_path: Path, sync: Command
) -> None:
    sqlite.source.execute(CREATE.format("orders"))
    sqlite.source.insert("orders", [(1, DAYS[0], "fine"), (2, None, "in no day")])
    sqlite.installation(tmp_path, table("orders", "day")).run(DAYS[0])
    said = sync("history", "last")
    assert "Digests were not taken." in said.out
    found = reported(sync, "last", "--verify")
    assert (by_day(found)[DAYS[0]]["source_digest"], found["comparison"]["same"]) == (None, True)
    assert found["undated"] == ["Rows of orders in no day by day, which are never copied: 1."]


def test_of_a_run_that_only_the_target_knows_it_tells_what_that_knows_and_what_is_not_known(
    site: Installation, sync: Command, tmp_path: Path
) -> None:
    run = site.run(*RANGE)
    for file in load(site.settings_file).state_dir.glob(f"{STORE_FILE}*"):
        file.unlink()
    found = reported(sync, run.id)
    assert {day: (p["status"], p["rows"]) for day, p in by_day(found).items()} == {
        DAYS[0]: ("done", 10),
        DAYS[3]: ("done", 10),
    }
    assert (found["circumstances"], len(found["unknown"])) == (None, 1)
    assert (found["totals"]["rows"], found["totals"]["source_rows"]) == (20, None)
    assert f"known to {run.holder.user}@{run.holder.host} alone" in found["unknown"][0]
    assert sync("history", run.id, "--report", str(tmp_path / "a.html")).code == 0


def test_what_a_killed_run_could_not_tell_its_store_is_told_by_the_target(
    site: Installation, sync: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as during:
        during.setattr(Store, "tick", lambda *_: None)
        run = site.run(DAYS[0])
    assert site.partitions(RunId(run.id))[("orders", DAYS[0])] == "pending"
    day = by_day(reported(sync, "last"))[DAYS[0]]
    assert (day["status"], day["rows"], day["checkpoint_of"]) == ("done", 10, run.id)


def test_a_target_that_has_forgotten_hides_nothing_of_the_store(
    site: Installation, sync: Command, sqlite: Both
) -> None:
    site.run(*RANGE)
    sqlite.target.execute("DROP TABLE batch_sync_run; DROP TABLE batch_sync_checkpoint")
    found = reported(sync, "last")
    assert (found["totals"]["rows"], found["unknown"]) == (
        20,
        ["The target does not remember this run."],
    )


def test_a_log_without_end_is_cut_and_that_is_said(
    site: Installation, sync: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "LOG_MAX", 2)
    site.run(*RANGE)
    found = reported(sync, "last")
    assert (len(found["log"]), found["unknown"]) == (2, ["Of its log only the newest 2 lines."])


def test_a_run_is_named_by_the_beginning_of_its_id_where_that_is_no_other_ones(
    site: Installation, sync: Command
) -> None:
    assert sync("history", "last").err.strip() == "Nothing has run yet."
    first, second = site.run(DAYS[0]), site.run(DAYS[0])
    said = sync("history", "20")
    assert (said.code, second.id in said.err, first.id in said.err) == (2, True, True)
    assert (sync("history", "nope").code, sync("history", "").code) == (2, 2)
    assert sync("history", "--verify").code == 2
    assert sync("history", first.id, "--audit").code == 2
    assert reported(sync, first.id)["run"]["id"] == first.id


def test_a_report_replaces_nothing_but_a_report(
    site: Installation, sync: Command, tmp_path: Path
) -> None:
    site.run(DAYS[0])
    mine, folder, page = tmp_path / "mine.txt", tmp_path / "folder", tmp_path / "page.html"
    mine.write_text("mine")
    folder.mkdir()
    for place in (mine, folder, tmp_path / "nowhere" / "a.html", Path("/dev/null")):
        said = sync("history", "last", "--report", str(place))
        assert (said.code, str(place) in said.err) == (2, True), said
    assert mine.read_text() == "mine"
    for _ in range(2):
        assert sync("history", "last", "--report", str(page)).code == 0
    before = page.read_text()
    assert sync("history", "unknown", "--report", str(page)).code == 2
    assert page.read_text() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".new")] == []


def test_it_names_both_servers_and_the_locks_and_no_password(
    postgresql: Both, sync: Command, tmp_path: Path
) -> None:
    postgresql.source.execute(CREATE.format("orders"))
    postgresql.source.insert("orders", [(1, DAYS[0], "fine")])
    run = postgresql.installation(tmp_path, table("orders", "day")).run(DAYS[0])
    page = tmp_path / "page.html"
    said = sync("history", "last", "--report", str(page), "--json")
    under = said.json["circumstances"]
    versions = under["versions"]
    assert (said.json["run"]["id"], under["locks"]) == (run.id, "file+session")
    assert versions["source"] == versions["target"]
    assert re.fullmatch(
        r"PostgreSQL \d+\.\d+ / \d+\.\d+\.\d+", f"{versions['source']} / {versions['psycopg2']}"
    )
    assert make_url(postgresql.source.url).password not in said.out + page.read_text()
    assert under["source"].endswith(f"/{make_url(postgresql.source.url).database}")
