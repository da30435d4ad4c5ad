"""Under what a run goes, kept with it for its report: settings, versions, locks; never a secret."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import sqlalchemy

from sync import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sync.databases.port import Database
    from sync.model import RunRequest
    from sync.pairing.pair import TablePair
    from sync.settings import Settings

ENGINES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


def circumstances(
    settings: Settings,
    request: RunRequest,
    pairs: Sequence[TablePair],
    *,
    source: tuple[Database, Connection],
    target: tuple[Database, Connection],
    locks: str,
) -> dict[str, Any]:
    """As plain values, fit for `json.dumps`; `locks` is the fingerprint of those it holds."""
    run = settings.run
    return {
        "source": source[0].address,
        "target": target[0].address,
        "timezone": settings.timezone,
        "locks": locks,
        "plan": request.seen.hash if request.seen else None,
        "verify": run.verify.value,
        "shrink_max": run.shrink_max,
        "snapshot": run.snapshot,
        "versions": {
            "batch_sync": __version__,
            "python": platform.python_version(),
            "sqlalchemy": sqlalchemy.__version__,
            "psycopg2": _driver(source[1]) or _driver(target[1]),
            "source": _engine(*source),
            "target": _engine(*target),
        },
        "tables": {
            pair.name: {
                "source": pair.source.sql,
                "date_column": pair.date_column.name,
                "key": list(pair.key),
                "columns": len(pair.columns),
                "where": pair.where,
                "digest_kind": pair.digest_kind,
                "definition": pair.definition,
            }
            for pair in pairs
        },
    }


def _engine(database: Database, connection: Connection) -> str:
    version = ".".join(map(str, connection.dialect.server_version_info or ()))
    return f"{ENGINES[database.kind]} {version}"


def _driver(connection: Connection) -> str | None:
    """psycopg2's version, where it is the driver, without how it was built."""
    if connection.dialect.driver != "psycopg2":
        return None
    return str(connection.dialect.loaded_dbapi.__version__).split()[0]
