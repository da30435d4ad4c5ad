"""How a store is reached: an SQLite file, or a PostgreSQL that is not waited for without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event

from sync.errors import StoreError
from sync.store.patience import PatientEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

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


def private_folder(file: Path) -> None:
    """Make the folder of an SQLite store, where it is missing, for this account alone.

    Raises StoreError.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(address=str(file), reason=str(error)) from None
