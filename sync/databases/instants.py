"""Points in time in the target: by its own clock, and aware in every engine.

Ages are told by one clock, the database's: the clocks of two hosts may differ.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's own clock, at this very statement."""

    inherit_cache = True
    type = DateTime(timezone=True)


@compiles(database_now, "postgresql")
def _postgres_now(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    del element, compiler, kw
    return "clock_timestamp()"


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    del element, compiler, kw
    return "strftime('%Y-%m-%d %H:%M:%f', 'now')"


class Instant(TypeDecorator[datetime]):
    """An aware datetime; kept in UTC where the engine knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Make it UTC; SQLite drops the offset."""
        del dialect
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Make it aware again."""
        del dialect
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value
