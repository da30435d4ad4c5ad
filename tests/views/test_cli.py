"""The command line: exit codes, what is data and what is not, and the JSON that scripts read."""

import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sync import foreground, terminal
from sync.cli import normalized, placing
from sync.operations import Operations
from sync.settings import Settings, load
from tests.installation import Installation
from tests.views.sixty_days import ROWS_A_DAY, RUN_ID, RUN_KEYS, Command, Said, target_rows

PROGRESS_KEYS = [
    "partitions_done",
    "partitions_total",
    "rows_done",
    "rows_total",
    "rows_per_s",
    "eta_s",
]


@pytest.mark.usefixtures("site")
class TestCommandsThatEndByThemselves:
    def test_a_run_copies_the_days_says_so_on_stderr_and_exits_0(
        self, sync: Command, site: Installation
    ) -> None:
        said = sync("run", "2025-10-01", "2025-10-03")
        assert (said.code, said.out) == (0, "")
        assert re.fullmatch(
            rf"Succeeded: 2025-10-01 → 2025-10-03, 60 rows in .+, run {RUN_ID}\n", said.err
        )
        assert target_rows(site) == 3 * ROWS_A_DAY

    def test_run_json_is_the_run_as_in_history(self, sync: Command) -> None:
        said = sync("run", "2025-10-01", "2025-10-01", "--json")
        assert said.json == sync("history", "--json").json[0]

    def test_only_and_table_narrow_a_run(self, sync: Command) -> None:
        sync("run", "2025-10-01", "2025-10-02")
        said = sync(
            "run", "2025-10-01", "2025-10-03", "--table", "orders", "--only", "missing", "--json"
        )
        assert said.json["tables"] == ["orders"]
        assert said.json["progress"]["rows_done"] == ROWS_A_DAY

    def test_status_of_a_place_where_nothing_ran(self, sync: Command) -> None:
        assert sync("status") == Said(0, "Idle\nNothing has run yet.\n", "")
        assert sync("status", "--json").json == {
            "state": "idle",
            "run": None,
            "verdict": None,
            "last_run": None,
            "data_range": {"first": "2025-10-01", "last": "2025-11-29"},
            "demo": False,
            "queue": [],
        }

    def test_status_history_and_plan_have_the_promised_shapes(self, sync: Command) -> None:
        sync("run", "2025-10-01", "2025-10-02")
        status = sync("status", "--json").json
        keys = ["state", "run", "verdict", "last_run", "data_range", "demo", "queue"]
        assert list(status) == keys
        last = status["last_run"]
        assert list(last) == [*RUN_KEYS, "started_at", "finished_at", "error"]
        assert list(last["holder"]) == ["user", "host", "pid", "since"]
        assert list(last["progress"]) == PROGRESS_KEYS
        assert last["status"] == "succeeded"
        assert sync("history", "--json").json == [last]

        plan = sync("plan", "2025-10-02", "2025-10-03", "--json").json
        more = ["estimate_s", "warnings", "undated", "undated_target"]
        assert list(plan) == ["plan_hash", "partitions", "totals", *more]
        assert plan["partitions"] == [
            {
                "table": "orders",
                "day": "2025-10-02",
                "source_rows": 20,
                "target_rows": 20,
                "state": "same",
            },
            {
                "table": "orders",
                "day": "2025-10-03",
                "source_rows": 20,
                "target_rows": 0,
                "state": "missing",
            },
        ]
        assert plan["totals"]["missing"] == 1

    def test_status_history_and_plan_for_people(self, sync: Command) -> None:
        sync("run", "2025-10-01", "2025-10-02")
        assert re.fullmatch(
            rf"Idle\nSucceeded: 2025-10-01 → 2025-10-02, 40 rows in .+, run {RUN_ID}, just now\n",
            sync("status").out,
        )
        titles, run = sync("history").out.splitlines()
        assert titles.split() == [
            "Started",
            "Run",
            "Status",
            "Days",
            "Rows",
            "Took",
            "Who",
            "Error",
        ]
        assert re.search(rf"UTC  {RUN_ID}  Succeeded  2025-10-01 → 2025-10-02    40  ", run)
        plan = sync("plan", "2025-10-02", "2025-10-02")
        assert plan.out.splitlines()[1].split() == ["orders", "2025-10-02", "20", "20", "Same"]
        assert re.fullmatch(
            r"1 partition: 20 rows in the source, 20 rows in the target; plan c[0-9a-f]{15}\n"
            r"By what past runs took, a run of it takes .+\n",
            plan.err,
        )

    def test_the_audit_tells_overlaps_by_exit_code_4(self, sync: Command, tmp_path: Path) -> None:
        sync("run", "2025-10-01", "2025-10-01")
        sync("run", "2025-10-02", "2025-10-02")
        assert sync("history", "--audit") == Said(0, "0 overlaps in 2 runs.\n", "")
        with sqlite3.connect(tmp_path / "target.db") as target:
            target.execute(
                "UPDATE batch_sync_checkpoint SET committed_at = '2099-01-01' WHERE token = 1"
            )
        target.close()
        said = sync("history", "--audit")
        assert (said.code, said.err) == (4, "")
        assert re.fullmatch(
            rf"orders on 2025-10-01: committed at 2099-01-01 00:00:00.000000 UTC by run {RUN_ID}"
            rf" \(token 1, .+@.+ PID \d+, since .+ UTC\), in the time of run {RUN_ID}"
            r" \(token 2, .+\)\.\n1 overlap in 2 runs\.\n",
            said.out,
        )
        found = sync("history", "--audit", "--json").json
        assert (found["runs"], found["overlaps"]) == (2, 1)
        assert found["faults"][0]["day"] == "2025-10-01"

    def test_a_day_with_far_fewer_rows_is_held_back_until_it_is_allowed(
        self, sync: Command, site: Installation
    ) -> None:
        sync("run", "2025-10-01", "2025-10-01")
        with sqlite3.connect(site.folder.parent / "source.db") as source:
            source.execute("DELETE FROM orders WHERE day = '2025-10-01'")
        source.close()
        held = sync("run", "2025-10-01", "2025-10-01")
        assert (held.code, target_rows(site)) == (1, ROWS_A_DAY)
        assert held.err.startswith("Failed: ")
        assert "Held back" in held.err
        assert sync("run", "2025-10-01", "2025-10-01", "--allow-shrink").code == 0
        assert target_rows(site) == 0

    @pytest.mark.parametrize(
        ("arguments", "code", "told"),
        [
            (["run", "2025-10-02", "2025-10-01"], 2, "ends on 2025-10-01, before it starts"),
            (["run", "2025-02-30", "today"], 2, "“2025-02-30” is not a date."),
            (["run", "1725-01-01", "2025-01-01"], 2, "at most 3660"),
            (["run", "2025-10-01"], 2, "Missing argument 'end'"),
            (["run", "2025-10-01", "2025-10-01", "--only", "some"], 2, "--only"),
            (["run", "2025-10-01", "2025-10-01", "--tabel", "x"], 2, "No such option: --tabel"),
            (["run", "2025-10-01", "2025-10-01", "--wait=-1"], 2, "--wait"),
            (["run", "2025-10-01", "2025-10-01", "--table", "Orders"], 5, "no table “Orders”"),
            (["plan", "2025-10-01", "x"], 2, "“x” is not a date."),
            (["plan", "2025-10-01", "2025-10-01", "--table", "nosuch"], 5, "no table “nosuch”"),
            (["cancel", "nosuch"], 2, "There is no run “nosuch”."),
            (["resume", "nosuch"], 2, "There is no run “nosuch”."),
            (["--config", "nosuch.toml", "status"], 5, "nosuch.toml cannot be read"),
            (["serve", "--host", "192.0.2.1"], 2, "192.0.2.1 is not this machine alone"),
            (["nosuch"], 2, "No such command"),
        ],
    )
    def test_what_cannot_be_is_told_on_stderr_with_its_exit_code(
        self, sync: Command, site: Installation, arguments: list[str], code: int, told: str
    ) -> None:
        said = sync(*arguments)
        assert (said.code, said.out) == (code, "")
        assert told in said.err
        assert "Traceback" not in said.err
        assert sync("run", "2025-10-01", "2025-10-01").code == 0, "the lock is free afterwards"
        assert target_rows(site) == ROWS_A_DAY

    def test_nothing_to_cancel_and_nothing_to_resume_are_no_errors(self, sync: Command) -> None:
        assert sync("cancel") == Said(0, "", "Nothing is running.\n")
        assert sync("resume") == Said(0, "", "There is nothing to resume.\n")
        run_id = sync("run", "2025-10-01", "2025-10-01", "--json").json["id"]
        assert sync("resume") == Said(0, "", "There is nothing to resume.\n")
        said = sync("cancel", run_id)
        assert (said.code, said.out) == (0, "")
        assert said.err.startswith("It has ended already; nothing is left to do.\nSucceeded: ")

    def test_check_lists_what_it_found(self, sync: Command) -> None:
        said = sync("check")
        assert said.code == 0
        assert said.out.startswith("[ok] ")
        findings = sync("check", "--json").json
        assert all(list(one) == ["name", "ok", "text", "hint", "statements"] for one in findings)

    def test_a_source_that_cannot_be_reached_is_5(
        self, sync: Command, tmp_path: Path, site: Installation
    ) -> None:
        source = f"sqlite:///{tmp_path / 'nosuch' / 'source.db'}"
        settings = site.settings_file.read_text().replace(f"sqlite:///{tmp_path}/source.db", source)
        site.settings_file.write_text(settings)
        said = sync("run", "2025-10-01", "2025-10-01")
        assert (said.code, said.out) == (5, "")
        assert "The source database" in said.err
        assert "cannot be reached" in said.err

    def test_chinese_where_the_terminal_is_chinese(
        self, sync: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LANG", "zh_CN.UTF-8")
        assert sync("cancel").err == "没有正在运行的任务。\n"
        assert sync("run", "x", "today").err.startswith("“x”不是日期。")
        monkeypatch.setenv("LC_ALL", "C.UTF-8")
        assert sync("cancel").err == "Nothing is running.\n"

    def test_a_bug_of_ours_is_one_line_and_70(
        self, sync: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: object) -> None:
            raise ZeroDivisionError("no such luck")

        monkeypatch.setattr(Operations, "snapshot", broken)
        said = sync("status")
        assert (said.code, said.out) == (70, "")
        assert said.err == (
            "Internal error: ZeroDivisionError: no such luck (BATCH_SYNC_DEBUG=1 shows more)\n"
        )
        monkeypatch.setenv("BATCH_SYNC_DEBUG", "1")
        assert "Traceback" in sync("status").err


class TestArguments:
    @pytest.mark.usefixtures("site")
    def test_a_date_may_begin_with_a_minus(self, sync: Command) -> None:
        said = sync("plan", "-7d", "-1d", "--json")
        days = {partition["day"] for partition in said.json["partitions"]}
        assert len(days) == 7
        assert sync("plan", "--json", "--", "-7d", "-1d").json == said.json
        assert sync("plan", "-999999d", "today").err.startswith("“-999999d” is not a date.")

    def test_arguments_are_made_fit_for_typer(self) -> None:
        assert normalized(["run", "-7d", "today", "--wait"]) == [
            "run",
            " -7d",
            "today",
            "--wait=inf",
        ]
        assert normalized(["run", "--wait=5", "a", "b"]) == ["run", "--wait=5", "a", "b"]
        assert normalized(["run", "a", "--config", "x.toml", "--config=y"]) == [
            "--config",
            "x.toml",
            "--config=y",
            "run",
            "a",
        ]
        assert normalized(["run", "--", "-7d", "--wait"]) == ["run", "--", "-7d", "--wait"]

    def test_config_may_stand_behind_the_command(
        self, sync: Command, site: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("BATCH_SYNC_CONFIG")
        assert sync("status", "--json", "--config", str(site.settings_file)).json["demo"] is False

    def test_help_and_version_need_no_settings_and_import_little(self) -> None:
        for arguments in (["--help"], ["run", "--help"], ["--version"]):
            seen = subprocess.run(
                [sys.executable, "-X", "importtime", "-m", "sync", *arguments],
                capture_output=True,
                text=True,
                check=True,
            )
            assert "sync" in seen.stdout.lower()
            for heavy in ("fastapi", "uvicorn", "streamlit", "rich", "sqlalchemy", "pandas"):
                assert f"| {heavy}" not in re.sub(r"\| +", "| ", seen.stderr)

    def test_a_run_imports_neither_server_nor_page(self, site: Installation) -> None:
        seen = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "sync", "run", "2025-10-01", "2025-10-01"],
            capture_output=True,
            text=True,
            check=True,
            env=site.environment,
        )
        imported = set(re.findall(r"\| +(\w+)$", seen.stderr, re.MULTILINE))
        assert imported.isdisjoint({"fastapi", "uvicorn", "streamlit", "pandas", "celery"})


class TestInit:
    def test_it_writes_settings_that_are_the_demo_and_never_overwrites(
        self, sync: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("BATCH_SYNC_CONFIG")
        assert sync("init") == Said(0, "", "batch_sync.toml was written.\n")
        assert load(tmp_path / "batch_sync.toml").demo
        (tmp_path / "batch_sync.toml").write_text("mine")
        said = sync("init")
        assert said.code == 2
        assert "batch_sync.toml is there already" in said.err
        assert (tmp_path / "batch_sync.toml").read_text() == "mine"
        assert sync("--config", "other.toml", "init").code == 0
        assert sync("--config", "no/such/folder.toml", "init").code == 2

    def test_without_its_comment_signs_it_holds_every_setting_with_its_default(
        self, tmp_path: Path
    ) -> None:
        commented = placing.EXAMPLE.read_text(encoding="utf-8")
        text = re.sub(r"^#(?=[a-z_]+ =|\[)", "", commented, flags=re.MULTILINE)
        (tmp_path / "all.toml").write_text(text, encoding="utf-8")
        settings = load(tmp_path / "all.toml")
        assert settings.run == Settings().run
        assert settings.store == Settings().store
        assert settings.timezone == Settings().timezone
        for section, model in [
            ("timezone", Settings),
            ("[run]", type(settings.run)),
            ("[[tables]]", type(settings.tables[0])),
        ]:
            for name, field in model.model_fields.items():
                key = field.alias or name
                there = re.search(rf"^(\[+)?{key}(\]+| =)", text, re.MULTILINE)
                assert there, f"{key} of {section}"


class TestProgressLines:
    def test_elsewhere_than_on_a_terminal_there_is_a_line_now_and_then(
        self, capsys: pytest.CaptureFixture[str], site: Installation, sync: Command
    ) -> None:
        del site
        sync("run", "2025-10-01", "2025-10-01")
        view = load_run()
        with foreground.progress_shown("en", line_every_s=0.05) as show:
            show(view)
            assert capsys.readouterr().err == ""
            time.sleep(0.06)
            show(view)
            show(view)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("20 of 20 rows, 1 of 1 partitions, ")


def load_run() -> Any:
    """The newest run of the installation that BATCH_SYNC_CONFIG names."""
    from sync.wiring import open_operations

    operations = open_operations(load())
    return operations.history()[0]


def test_columns_stand_under_each_other_with_chinese_and_without_control_signs() -> None:
    assert terminal.columns([["表", "行"], ["订单\x1b[31m", "12"]], right={1}) == [
        "表         行",
        "订单?[31m  12",
    ]
