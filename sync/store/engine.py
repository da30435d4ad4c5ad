"""How a store is reached: an SQLite file, or a PostgreSQL that is not waited for without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event

from sync.store.patience import PatientEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Connection


def transactions(url: URL) -> Callable[[float | None], AbstractContextManager[Connection]]:
    """What begins a transaction of at most so many seconds."""
    if url.get_backend_name() != "sqlite":
        return PatientEngine(url).begin
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    return lambda _: engine.begin()


def _prepare_sqlite(connection: Any, record: object) -> None:
    del record
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA foreign_keys = ON")
