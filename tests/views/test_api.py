"""HTTP: the seed's answers, who is let in, and errors as problems."""

import contextlib
import json
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi.testclient import TestClient

from sync.api import create_app
from sync.model import RunId
from sync.operations import Operations
from tests.installation import Installation, until
from tests.views.sixty_days import (
    CONFLICT_KEYS,
    ROWS_A_DAY,
    child,
    installation,
    status_when_copying,
    target_rows,
)

START = "/api/v1/sync-status/sync/batch"
STATUS = "/api/v1/sync-status"
PLAN = STATUS + "/plan"
HERE = "http://127.0.0.1:8000"
DAYS = {"start_date": "2025-10-01", "end_date": "2025-10-03"}
ENGLISH = {"Accept-Language": "en"}


@pytest.fixture
def site(tmp_path: Path) -> Installation:
    return installation(tmp_path)


@pytest.fixture
def operations(site: Installation) -> Operations:
    return site.operations()


@pytest.fixture
def client(operations: Operations) -> Iterator[TestClient]:
    """As curl on this machine sees it."""
    app = create_app(operations, zone=ZoneInfo("UTC"))
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[TestClient, subprocess.Popen[str]]]:
    """A server while the run of another process goes."""
    slow = installation(tmp_path, slow=True)
    runner = child(slow, "run", "2025-10-01", "2025-11-29")
    try:
        status_when_copying(slow)
        app = create_app(slow.operations(), zone=ZoneInfo("UTC"))
        with TestClient(app, base_url=HERE) as client:
            yield client, runner
    finally:
        runner.kill()
        runner.communicate()


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem, which is one by every rule of RFC 9457."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert body["status"] == answer.status_code
    assert body["detail"]
    return answer.status_code, body["code"]


class TestStart:
    def test_a_start_is_202_in_the_seeds_shape_and_the_days_are_copied(
        self, client: TestClient, operations: Operations, site: Installation
    ) -> None:
        answer = client.post(START, json=DAYS)
        assert answer.status_code == 202
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert body == {"status": "success", "task_id": body["task_id"], "message": "任务已启动"}
        operations.wait(RunId(body["task_id"]), 30)
        assert target_rows(site) == 3 * ROWS_A_DAY

        run = client.get(answer.headers["location"])
        assert run.status_code == 200
        assert (run.json()["id"], run.json()["status"]) == (body["task_id"], "succeeded")

    def test_the_message_is_english_where_english_is_asked(self, client: TestClient) -> None:
        answer = client.post(START, json=DAYS, headers={"Accept-Language": "en-US,en;q=0.9"})
        assert answer.json()["message"] == "The run has started."
        assert answer.headers["content-language"] == "en"
        assert "accept-language" in answer.headers["vary"].lower()

    def test_tables_only_and_allow_shrink_are_handed_on(
        self, client: TestClient, operations: Operations
    ) -> None:
        more = {"tables": ["orders"], "only": "missing", "allow_shrink": True}
        answer = client.post(START, json=DAYS | more)
        run = operations.wait(RunId(answer.json()["task_id"]), 30)
        assert (run.tables, run.only, run.allow_shrink) == (("orders",), "missing", True)

    def test_while_another_run_goes_it_is_409_in_the_seeds_shape(
        self, busy: tuple[TestClient, subprocess.Popen[str]]
    ) -> None:
        client, runner = busy
        answer = client.post(START, json=DAYS)
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/json"
        assert 1 <= int(answer.headers["retry-after"]) <= 3600
        body = answer.json()
        assert list(body) == CONFLICT_KEYS
        assert body["status"] == "error"
        assert body["message"] == "已有同步任务正在运行，请等待当前任务完成后再试"
        assert body["code"] == "sync_already_running"
        assert body["holder"]["pid"] == runner.pid
        assert body["range"] == {"start_date": "2025-10-01", "end_date": "2025-11-29"}
        assert body["progress"]["partitions_done"] > 0
        assert (body["verdict"], body["yours"]) == ("running", True)

        english = client.post(START, json=DAYS, headers=ENGLISH).json()
        assert english["message"].startswith("A sync is already running;")
        state = client.get(STATUS).json()
        assert (state["state"], state["run"]["id"]) == ("running", body["active_task_id"])
        for action in body["actions"]:
            if action["method"] == "GET":
                assert client.get(action["href"]).status_code == 200

    def test_a_queued_start_waits_for_the_present_run_and_keeps_its_id(
        self, busy: tuple[TestClient, subprocess.Popen[str]]
    ) -> None:
        client, runner = busy
        answers = [client.post(START, json=DAYS | {"queue": True}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        first, second = (answer.json() for answer in answers)
        assert first["message"] == "任务已加入队列"
        queue = client.get(STATUS).json()["queue"]
        assert [(request["place"], request["id"]) for request in queue] == [
            (1, first["task_id"]),
            (2, second["task_id"]),
        ]
        waiting = client.get(answers[0].headers["location"]).json()
        assert (waiting["status"], waiting["started_at"]) == ("queued", None)
        runner.kill()
        until(
            lambda: client.get(answers[0].headers["location"]).json()["status"] == "running",
            seconds=60,
        )
        assert len(client.get(STATUS).json()["queue"]) == 1

    def test_a_queued_start_just_starts_where_nothing_runs(
        self, client: TestClient, site: Installation
    ) -> None:
        answer = client.post(START, json=DAYS | {"queue": True})
        place = answer.headers["location"]
        until(lambda: client.get(place).json()["status"] == "succeeded", seconds=60)
        assert target_rows(site) == 3 * ROWS_A_DAY

    @pytest.mark.parametrize(
        ("body", "code", "told"),
        [
            (DAYS | {"end_date": "2025-02-30"}, "bad_date", "2025-02-30"),
            (DAYS | {"end_date": "2025-09-01"}, "bad_range", "before it starts"),
            (DAYS | {"start_date": "1725-01-01"}, "bad_range", "at most 3660"),
            (DAYS | {"tables": ["Orders"]}, "unknown_table", "Orders"),
            (DAYS | {"only": "some"}, "bad_request", "errors"),
            (DAYS | {"tabels": ["orders"]}, "bad_request", "errors"),
            ({"start_date": "2025-10-01"}, "bad_request", "errors"),
            ([], "bad_request", "errors"),
        ],
    )
    def test_what_cannot_be_is_422_and_no_run_is_made(
        self, client: TestClient, operations: Operations, body: object, code: str, told: str
    ) -> None:
        answer = client.post(START, json=body, headers=ENGLISH)
        assert problem(answer) == (422, code)
        assert told in answer.json()["detail"]
        assert operations.history() == ()

    def test_the_errors_of_a_request_name_its_fields(self, client: TestClient) -> None:
        answer = client.post(START, json={"start_date": "2025-10-01", "tabels": []})
        fields = {error["field"] for error in answer.json()["errors"]}
        assert fields == {"end_date", "tabels"}

    def test_what_is_no_json_is_422(self, client: TestClient) -> None:
        headers = {"Content-Type": "application/json"}
        assert problem(client.post(START, content="{", headers=headers)) == (422, "bad_request")

    def test_a_database_that_cannot_be_reached_is_503_and_no_run_is_made(
        self, client: TestClient, operations: Operations, tmp_path: Path
    ) -> None:
        (tmp_path / "source.db").unlink()
        answer = client.post(START, json=DAYS, headers=ENGLISH)
        assert problem(answer) == (503, "cannot_connect")
        assert answer.headers["retry-after"]
        assert operations.history() == ()


class TestPlan:
    def test_it_is_the_object_of_the_command_line(
        self, client: TestClient, site: Installation
    ) -> None:
        asked = {**DAYS, "rows": "true", "only": "missing", "tables": ["orders"]}
        answer = client.get(PLAN, params=asked)
        assert answer.headers["cache-control"] == "no-store"
        command = ("plan", *DAYS.values(), "--rows", "--only", "missing", "--json")
        assert answer.json() == json.loads(site.cli(*command).stdout)
        assert answer.json()["totals"]["inserts"] == 3 * ROWS_A_DAY

    def test_a_start_takes_the_plan_that_was_seen_or_is_409(
        self, client: TestClient, operations: Operations, tmp_path: Path
    ) -> None:
        seen = client.get(PLAN, params=DAYS).json()["plan_hash"]
        with contextlib.closing(sqlite3.connect(tmp_path / "source.db")) as source, source:
            source.execute("DELETE FROM orders WHERE id = 1")
        answer = client.post(START, json=DAYS | {"plan": seen}, headers=ENGLISH)
        assert problem(answer) == (409, "plan_changed")
        assert (answer.json()["seen"], operations.history()) == (seen, ())
        now = client.get(PLAN, params=DAYS).json()["plan_hash"]
        assert answer.json()["now"] == now
        answer = client.post(START, json=DAYS | {"plan": now})
        assert operations.wait(RunId(answer.json()["task_id"]), 30).error is None

    @pytest.mark.parametrize(
        "more", [{"plan": "/etc/passwd"}, {"plan": "c" + 15 * "0", "queue": True}]
    )
    def test_a_plan_is_a_hash_and_of_now(
        self, client: TestClient, operations: Operations, more: dict[str, object]
    ) -> None:
        assert client.post(START, json=DAYS | more).status_code == 422
        assert operations.history() == ()

    def test_what_cannot_be_is_422(self, client: TestClient) -> None:
        assert problem(client.get(PLAN)) == (422, "bad_request")
        assert problem(client.get(PLAN, params=DAYS | {"end_date": "x"})) == (422, "bad_date")
        assert problem(client.get(PLAN, params=DAYS | {"tables": "x"})) == (422, "unknown_table")


class TestStatus:
    def test_it_is_the_object_of_the_command_line(
        self, client: TestClient, operations: Operations, site: Installation
    ) -> None:
        operations.wait(RunId(client.post(START, json=DAYS).json()["task_id"]), 30)
        answer = client.get(STATUS)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == json.loads(site.cli("status", "--json").stdout)

    def test_livez_asks_nobody(self, client: TestClient) -> None:
        assert client.get("/livez").json() == {"status": "ok"}

    def test_a_run_that_is_not_there_is_404(self, client: TestClient) -> None:
        assert problem(client.get(f"{STATUS}/runs/nosuch")) == (404, "unknown_run")


class TestErrorsOfTheFrameworkAreProblemsToo:
    def test_no_such_address(self, client: TestClient) -> None:
        assert problem(client.get("/nosuch")) == (404, "not_found")

    def test_no_such_method_says_which_there_are(self, client: TestClient) -> None:
        answer = client.delete(STATUS)
        assert problem(answer) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "GET"

    def test_a_bug_of_ours_shows_nothing_of_itself(
        self, client: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: object) -> None:
            raise ZeroDivisionError("a secret")

        monkeypatch.setattr(Operations, "snapshot", broken)
        answer = client.get(STATUS)
        assert problem(answer) == (500, "internal_error")
        assert "secret" not in answer.text

    def test_the_documentation_says_so(self, client: TestClient) -> None:
        paths: dict[str, Any] = client.get("/openapi.json").json()["paths"]
        assert set(paths[START]["post"]["responses"]) == {"202", "409", "422", "503"}
        for operations in paths.values():
            for operation in operations.values():
                for status, answer in operation["responses"].items():
                    if status not in {"200", "202", "409"}:
                        assert list(answer["content"]) == ["application/problem+json"]
        assert client.get("/docs").status_code == 200


class TestWhoIsLetIn:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000"])
    def test_names_of_this_machine(self, client: TestClient, host: str) -> None:
        assert client.get("/livez", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "127.0.0.1.evil.example", "192.0.2.1:8000", "", "[", "evil.example:8000"],
    )
    def test_another_name_is_421_even_if_it_points_here(
        self, client: TestClient, host: str
    ) -> None:
        answer = client.get(STATUS, headers={"Host": host})
        assert problem(answer) == (421, "foreign_host")

    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1:8501"]
    )
    def test_a_page_of_another_place_is_403_and_starts_nothing(
        self, client: TestClient, operations: Operations, origin: str
    ) -> None:
        answer = client.post(START, json=DAYS, headers={"Origin": origin})
        assert problem(answer) == (403, "foreign_origin")
        assert operations.history() == ()

    def test_a_page_of_this_server_may_call_it(self, client: TestClient) -> None:
        assert client.post(START, json=DAYS, headers={"Origin": HERE}).status_code == 202

    @pytest.mark.parametrize(
        "kind",
        ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
    )
    def test_what_a_form_can_send_is_415_and_starts_nothing(
        self, client: TestClient, operations: Operations, kind: str
    ) -> None:
        answer = client.post(START, content=json.dumps(DAYS), headers={"Content-Type": kind})
        assert problem(answer) == (415, "not_json")
        assert operations.history() == ()

    def test_json_may_say_its_charset(self, client: TestClient) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        assert client.post(START, content=json.dumps(DAYS), headers=headers).status_code == 202

    def test_a_body_has_a_length_and_a_bound(self, client: TestClient) -> None:
        headers = {"Content-Type": "application/json"}
        long = client.post(START, content=b" " * 65_537, headers=headers)
        assert problem(long) == (413, "body_too_long")
        unknown = client.post(START, content=iter([b"{}"]), headers=headers)
        assert problem(unknown) == (411, "length_required")


class TestServe:
    """The process itself."""

    @pytest.fixture
    def served(self, site: Installation) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        server = child(site, "serve", "--port", "0")
        assert server.stderr
        for line in server.stderr:
            if found := re.search(r"(http://127\.0\.0\.1:\d+)/docs", line):
                break
        else:
            raise AssertionError("the server did not say where it answers")
        wait_for(found[1])
        yield found[1], server
        server.kill()
        server.communicate()

    def test_a_start_and_a_clean_end(
        self, served: tuple[str, subprocess.Popen[str]], site: Installation
    ) -> None:
        place, server = served
        assert httpx.post(place + START, json=DAYS).json()["message"] == "任务已启动"
        server.terminate()
        out, _ = server.communicate(timeout=30)
        assert (server.returncode, out) == (143, "")
        assert site.operations().history()[0].status.final

    def test_a_port_in_use_is_told(self, site: Installation) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            said = site.cli("serve", "--port", str(taken.getsockname()[1]))
        assert said.returncode == 2
        assert "cannot be used" in said.stderr
        assert "Traceback" not in said.stderr


def wait_for(place: str) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(place + "/livez").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


def test_the_interface_needs_no_page() -> None:
    code = "import sys, sync.api; print('streamlit' in sys.modules, 'sqlalchemy' in sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.split()[0] == "False"
