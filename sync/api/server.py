"""The process behind `python -m sync serve`."""

from __future__ import annotations

import copy
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from sync.api.routes import create_app
from sync.errors import N_, UsageError

if TYPE_CHECKING:
    from datetime import tzinfo
    from types import FrameType

    from sync.operations import Operations

# How long open answers may take when the server is told to stop; then its own run is cancelled.
DRAIN_S = 5


def serve(operations: Operations, *, zone: tzinfo, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; port 0 takes a free one. Raises UsageError: port in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            N_("Port {port} of {host} cannot be used: {reason}"),
            hint=N_("Choose another one: --port"),
            port=port,
            host=host,
            reason=error.strerror,
        ) from None
    config = uvicorn.Config(
        create_app(operations, zone=zone),
        log_config=_all_to_stderr(),
        timeout_graceful_shutdown=DRAIN_S,
        server_header=False,
    )
    # The server shuts down first and then hands the signal on to this.
    signal.signal(signal.SIGTERM, _exit)
    address = f"[{host}]" if ":" in host else host
    logging.getLogger("uvicorn.error").info(
        "Batch Sync answers on http://%s:%d/docs", address, listener.getsockname()[1]
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _all_to_stderr() -> dict[str, object]:
    config = copy.deepcopy(LOGGING_CONFIG)
    for handler in config["handlers"].values():
        handler["stream"] = "ext://sys.stderr"
    return config
