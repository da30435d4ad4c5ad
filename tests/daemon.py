"""A server without a guard of its own: in a folder, and gone with the process that started it.

A small shell starts it and waits on a pipe from the test process; its end, which comes even after
kill -9, is the server's.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.servers import NOBODY

GUARD = """
folder=$1; shift
"$@" </dev/null >"$folder/log" 2>&1 &
server=$!
echo $server
read -r _
kill -KILL $server
rm -rf "$folder"
"""


class Daemon:
    """One server process, as nobody where root may not run it."""

    def __init__(self, *command: str | Path, config: str, as_nobody: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="batch_sync_daemon_", dir="/tmp"))
        file = self._folder / "config"
        file.write_text(config, encoding="utf-8")
        account: dict[str, Any] = {}
        if as_nobody and os.geteuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
            account = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._folder), *map(str, command), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **account,
        )
        assert self._guard.stdout is not None
        self._server = psutil.Process(int(self._guard.stdout.readline()))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let it hang: connections stand, and nothing answers."""
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill it, and remove its folder."""
        self._guard.communicate("end\n", timeout=10)
