"""The real dashboard as a user starts it: `streamlit run dashboard.py`, a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parent.parent.parent
START_DEADLINE_S = 60.0


@contextlib.contextmanager
def served(script: Path | str, **environment: str) -> Iterator[str]:
    """A Streamlit server of `script` with the repository's configuration; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _wait_until_healthy(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urlopen(f"{url}/_stcore/health", timeout=5):  # noqa: S310 - our own server
            return
        time.sleep(0.1)
    pytest.fail("the server did not start")
