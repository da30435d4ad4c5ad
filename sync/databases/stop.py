"""How a statement under way is made to end, whatever its state.

SQLite is told so and ends. In PostgreSQL a polite cancel does nothing to a COPY that waits for its
client, and `close()` from another thread blocks until the query ends. So: cancel, and when that
does not help within a deadline, shut the socket down, which wakes the thread that waits on it; the
server ends a session whose client is gone.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

CANCEL_DEADLINE_S = 2.0


def end_statements_of(connections: Iterable[Connection], done: threading.Event) -> None:
    """As `end_statements`, on connections to either engine."""
    drivers = _drivers(connections)
    for driver in drivers:
        if isinstance(driver, sqlite3.Connection):
            driver.interrupt()
    end_statements([d for d in drivers if not isinstance(d, sqlite3.Connection)], done)


def _drivers(connections: Iterable[Connection]) -> list[Any]:
    return [
        connection.connection.driver_connection
        for connection in connections
        if not connection.closed and not connection.invalidated
    ]


def shut_down_unless(
    done: threading.Event,
    seconds: float,
    connections: Iterable[Connection],
    *others: Callable[[], object],
) -> None:
    """Unless `done` comes in time, shut these connections down, and what `others` do.

    Whoever waits for a server that hangs gets an error then. Returns at once.
    """

    def watch() -> None:
        if not done.wait(seconds):
            for driver in _drivers(connections):
                if not isinstance(driver, sqlite3.Connection):
                    shut_down(driver)
            for other in others:
                other()

    threading.Thread(target=watch, name="batch-sync-watch", daemon=True).start()


def end_statements(drivers: Iterable[Any], done: threading.Event) -> None:
    """Cancel what these psycopg2 connections do.

    After 2 s without `done`, shut their sockets down.
    """
    connections = list(drivers)
    for connection in connections:
        # A cancel opens a connection of its own, which may hang as the first one does.
        threading.Thread(target=_cancel, args=(connection,), name="cancel", daemon=True).start()
    if not done.wait(CANCEL_DEADLINE_S):
        for connection in connections:
            shut_down(connection)


def _cancel(connection: Any) -> None:
    # Not psycopg2's own cancel(): it keeps the interpreter's lock while it waits for the server,
    # and one that hangs would stop every thread of this process.
    # An error says that the connection is closed by now, and with it what was to be cancelled.
    with suppress(psycopg2.Error):
        info = connection.info
        facts = info.dsn_parameters | {"password": info.password, "connect_timeout": "2"}
        with closing(psycopg2.connect(**facts)) as beside:
            beside.autocommit = True
            with beside.cursor() as cursor:
                cursor.execute("SELECT pg_cancel_backend(%s)", (info.backend_pid,))


def shut_down(connection: Any) -> None:
    """Shut a copy of the connection's socket down.

    The thread that waits on it gets an error at once.
    """
    with (
        suppress(psycopg2.Error, OSError),
        socket.socket(fileno=os.dup(connection.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)
