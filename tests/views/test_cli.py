"""The command line: exit codes, what is data and what is not, and the JSON that scripts read."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sync import cli, foreground, terminal
from sync.cli import main, normalized
from sync.operations import Operations
from sync.settings import Settings, load
from tests.installation import Installation
from tests.views.sixty_days import (
    ROWS_A_DAY,
    between_groups,
    child,
    hurry,
    installation,
    status_when_copying,
    target_rows,
)

RUN_ID = r"\d{8}-\d{6}-[0-9a-f]{6}"
RUN_KEYS = ["id", "status", "start_date", "end_date", "tables", "token", "holder", "progress"]
PROGRESS_KEYS = [
    "partitions_done",
    "partitions_total",
    "rows_done",
    "rows_total",
    "rows_per_s",
    "eta_s",
]
CONFLICT_KEYS = [
    "status",
    "message",
    "code",
    "active_task_id",
    "holder",
    "range",
    "progress",
    "verdict",
    "yours",
    "actions",
]


@dataclass(frozen=True)
class Said:
    """What one command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture
def site(tmp_path: Path) -> Installation:
    return installation(tmp_path)


@pytest.fixture
def slow_site(tmp_path: Path) -> Installation:
    return installation(tmp_path, slow=True)


@pytest.fixture
def sync(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run a command in this process, for the installation of `site` or `slow_site`."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BATCH_SYNC_CONFIG", str(tmp_path / "installation" / "batch_sync.toml"))

    def command(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return command


@pytest.fixture
def running(slow_site: Installation) -> Iterator[subprocess.Popen[str]]:
    """A run of somebody else's that has done some days and has many before it."""
    process = child(slow_site, "run", "2025-10-01", "2025-11-29")
    status_when_copying(slow_site)
    yield process
    process.kill()
    process.communicate()


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
        }

    def test_status_history_and_plan_have_the_promised_shapes(self, sync: Command) -> None:
        sync("run", "2025-10-01", "2025-10-02")
        status = sync("status", "--json").json
        assert list(status) == ["state", "run", "verdict", "last_run", "data_range", "demo"]
        last = status["last_run"]
        assert list(last) == [*RUN_KEYS, "started_at", "finished_at", "error"]
        assert list(last["holder"]) == ["user", "host", "pid", "since"]
        assert list(last["progress"]) == PROGRESS_KEYS
        assert last["status"] == "succeeded"
        assert sync("history", "--json").json == [last]

        plan = sync("plan", "2025-10-02", "2025-10-03", "--json").json
        assert list(plan) == ["plan_hash", "partitions", "totals"]
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
        assert plan.err == "1 partitions: 20 rows in the source, 20 rows in the target\n"

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
        assert "held back" in held.err
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
        sync("run", "2025-10-01", "2025-10-01")
        assert sync("resume") == Said(0, "", "There is nothing to resume.\n")

    def test_check_lists_what_it_found(self, sync: Command) -> None:
        said = sync("check")
        assert said.code == 0
        assert said.out.startswith("[ok] ")
        findings = sync("check", "--json").json
        assert all(list(one) == ["name", "ok", "text", "hint"] for one in findings)

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


class TestWhileAnotherRunGoes:
    def test_the_second_is_refused_with_3_and_told_who_how_far_and_what_to_do(
        self, running: subprocess.Popen[str], sync: Command
    ) -> None:
        said = sync("run", "2025-10-01", "2025-10-01")
        assert (said.code, said.out) == (3, "")
        first, second, third, *rest = said.err.splitlines()
        assert re.fullmatch(
            rf"\S+@\S+ PID {running.pid} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC, run {RUN_ID}",
            first,
        )
        assert second.startswith("It syncs 2025-10-01 to 2025-11-29 and began ")
        assert re.match(r"\d+ of 1,200 rows, \d+ of 60 partitions, ", third)
        assert rest[0] == "It is alive, and rows move."
        run_id = first.rpartition(" ")[2]
        assert f"Ask it to stop: python -m sync cancel {run_id}" in rest

        conflict = sync("run", "2025-10-01", "2025-10-01", "--json")
        assert conflict.code == 3
        assert list(conflict.json) == CONFLICT_KEYS
        assert conflict.json["active_task_id"] == run_id
        assert conflict.json["holder"]["pid"] == running.pid
        assert sync("resume", run_id).code == 3

    @pytest.mark.usefixtures("running")
    @pytest.mark.parametrize("command", ["history", "check", "plan 2025-10-01 2025-10-02"])
    def test_reading_commands_do_not_wait_for_it(self, sync: Command, command: str) -> None:
        began = time.monotonic()
        assert sync(*command.split()).code == 0
        assert time.monotonic() - began < 5

    @pytest.mark.usefixtures("running")
    def test_resume_does_not_wait_for_it_either(self, sync: Command) -> None:
        began = time.monotonic()
        assert sync("resume").code == 3
        assert time.monotonic() - began < 5

    def test_status_tells_of_it_and_watch_goes_on_until_it_has_ended(
        self, running: subprocess.Popen[str], slow_site: Installation, sync: Command
    ) -> None:
        status = sync("status", "--json").json
        assert list(status["run"]) == RUN_KEYS
        assert (status["state"], status["verdict"]) == ("running", "running")
        lines = sync("status").out.splitlines()
        assert lines[0] == "Running: 2025-10-01 → 2025-11-29"
        assert f"PID {running.pid} since" in lines[1]

        watcher = child(slow_site, "status", "--watch", "--json")
        assert watcher.stdout
        assert json.loads(watcher.stdout.readline())["run"]["id"] == status["run"]["id"]
        assert sync("cancel", "--now").code == 0
        out, _ = watcher.communicate(timeout=30)
        assert json.loads(out.splitlines()[-1])["state"] == "idle"
        assert watcher.returncode == 0

    def test_cancelled_by_somebody_else_it_exits_6_and_resume_does_the_rest(
        self, running: subprocess.Popen[str], slow_site: Installation, sync: Command
    ) -> None:
        said = sync("cancel")
        assert re.fullmatch(rf"Run {RUN_ID} was asked to stop.\n", said.err)
        out, err = running.communicate(timeout=30)
        assert (running.returncode, out) == (6, "")
        assert "Cancelled: 2025-10-01 → 2025-11-29" in err
        done = target_rows(slow_site)
        assert 0 < done < 60 * ROWS_A_DAY

        hurry(slow_site)
        assert sync("resume").code == 0
        assert target_rows(slow_site) == 60 * ROWS_A_DAY

    def test_wait_starts_when_it_has_ended(
        self, running: subprocess.Popen[str], slow_site: Installation, sync: Command
    ) -> None:
        waiter = child(slow_site, "run", "2025-10-01", "2025-10-01", "--wait")
        assert waiter.stderr
        assert waiter.stderr.readline().startswith("Waiting for run ")
        assert sync("cancel", "--now").code == 0
        _, err = waiter.communicate(timeout=60)
        assert waiter.returncode == 0
        assert "Succeeded" in err
        running.wait(timeout=30)

    @pytest.mark.usefixtures("running")
    def test_wait_with_seconds_gives_up_and_a_signal_ends_the_wait(
        self, slow_site: Installation, sync: Command
    ) -> None:
        began = time.monotonic()
        said = sync("run", "2025-10-01", "2025-10-01", "--wait=0.5")
        assert said.code == 3
        assert time.monotonic() - began >= 0.5

        waiter = child(slow_site, "run", "2025-10-01", "2025-10-01", "--wait=60")
        assert waiter.stderr
        waiter.stderr.readline()
        waiter.terminate()
        waiter.communicate(timeout=30)
        assert waiter.returncode == 143

    def test_a_run_whose_lease_is_taken_away_exits_6(
        self, running: subprocess.Popen[str], slow_site: Installation
    ) -> None:
        between_groups(slow_site, "UPDATE batch_sync_lease SET token = token + 1")
        _, err = running.communicate(timeout=60)
        assert running.returncode == 6
        assert "Interrupted" in err

    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
    )
    def test_a_signal_ends_a_run_cleanly(
        self,
        running: subprocess.Popen[str],
        slow_site: Installation,
        sync: Command,
        number: int,
        code: int,
    ) -> None:
        running.send_signal(number)
        _, err = running.communicate(timeout=30)
        assert running.returncode == code
        assert err.startswith("Stopping;")
        assert "Cancelled: " in err
        assert "Traceback" not in err
        assert target_rows(slow_site) % ROWS_A_DAY == 0
        assert sync("status", "--json").json["state"] == "idle"


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
        commented = cli.EXAMPLE.read_text(encoding="utf-8")
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
