"""The three trials that the product began with, by curl as they were written, against `serve`."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.conftest import unavailable
from tests.views.sixty_days import installation

BODY = '{"start_date": "2025-10-01", "end_date": "2025-10-03"}'


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server of its own process, with a target so slow that a second caller meets the first."""
    if shutil.which("curl") is None:
        unavailable("no curl on the PATH")
    site = installation(tmp_path, slow=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sync", "--config", str(site.settings_file), "serve"]
    server = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _until_it_answers(f"{address}/livez")
        yield address
    finally:
        server.terminate()
        server.wait(20)


def _until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - our own server
                return
        except URLError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)


def _curl(url: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    answer = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", *arguments, url],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, status = answer.stdout.rpartition("\n")
    return int(status), json.loads(body)


def _start(address: str) -> tuple[int, dict[str, Any]]:
    return _curl(
        f"{address}/api/v1/sync-status/sync/batch",
        "-X",
        "POST",
        "-H",
        "Content-Type: application/json",
        "-d",
        BODY,
    )


def test_a_start_then_a_second_one_then_one_after_the_first_has_ended(address: str) -> None:
    status, first = _start(address)
    assert (status, first) == (
        202,
        {"status": "success", "task_id": first["task_id"], "message": "任务已启动"},
    )

    status, second = _start(address)
    assert (status, second["status"], second["message"], second["active_task_id"]) == (
        409,
        "error",
        "已有同步任务正在运行，请等待当前任务完成后再试",
        first["task_id"],
    )

    deadline = time.monotonic() + 60
    while _curl(f"{address}/api/v1/sync-status")[1]["state"] != "idle":
        assert time.monotonic() < deadline, "the run did not end"
        time.sleep(0.1)
    status, third = _start(address)
    assert (status, third["status"], third["message"]) == (202, "success", "任务已启动")
    assert third["task_id"] != first["task_id"]
