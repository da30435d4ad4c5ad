"""How long a store in PostgreSQL is waited for: a run must not hang because its server does.

A server that is slow ends its statement itself. One that is frozen, behind connections that stand,
can do nothing: there this side shuts the socket down.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError

from sync.databases.postgres import LIBPQ
from sync.databases.stop import shut_down

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection, Engine

DEADLINE_S = 10.0
CONNECT_S = 5
# For the transaction alone, and not as options of the connection, which a pooler would refuse.
LIMITS = text("""
    SELECT set_config('lock_timeout', :ms, true), set_config('statement_timeout', :ms, true),
           set_config('idle_in_transaction_session_timeout', :ms, true)""")


class PatientEngine:
    """An engine each of whose transactions ends within a deadline."""

    def __init__(self, url: URL) -> None:
        settings = LIBPQ | {"connect_timeout": CONNECT_S}
        self._engine: Engine = create_engine(
            url,
            connect_args={name: v for name, v in settings.items() if name not in url.query},
            pool_timeout=DEADLINE_S,
        )
        self._here = threading.local()
        # Before what SQLAlchemy asks a new connection, which a frozen server does not answer.
        event.listen(self._engine, "connect", self._use, insert=True)
        event.listen(self._engine, "checkout", self._use)

    def _use(self, driver: Any, *_: object) -> None:
        self._here.drivers.append(driver)

    @contextmanager
    def begin(self, seconds: float | None = None) -> Iterator[Connection]:
        """A transaction; after `seconds`, or DEADLINE_S, it loses its connection.

        Raises DBAPIError, TimeoutError.
        """
        limit = DEADLINE_S if seconds is None else seconds
        done, cut = threading.Event(), threading.Event()
        drivers: list[Any] = []
        self._here.drivers = drivers

        def watch() -> None:
            if not done.wait(limit):
                cut.set()
                for driver in drivers:
                    shut_down(driver)

        threading.Thread(target=watch, name="batch-sync-store-watch", daemon=True).start()
        try:
            with self._engine.begin() as connection:
                connection.execute(LIMITS, {"ms": str(int(limit * 1000))})
                yield connection
        except DBAPIError:
            if cut.is_set():
                raise TimeoutError(f"no answer within {limit:.0f} s") from None
            raise
        finally:
            done.set()
