"""Which URLs are understood: of databases, and of what keeps a lock."""

from __future__ import annotations

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

ESCAPED = "write @ : / in a user or password as %40 %3A %2F"


def normalized_url(text: str) -> URL:
    """The SQLAlchemy URL meant by `text`; `postgres://` and `postgresql://` mean psycopg2.

    Raises ValueError for what is neither PostgreSQL nor SQLite.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"it must be a database URL; {ESCAPED}") from None
    if "@" in (url.host or ""):
        raise ValueError(ESCAPED)
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg2"}:
        return url.set(drivername="postgresql+psycopg2")
    if url.drivername in {"sqlite", "sqlite+pysqlite"}:
        if url.database in {None, "", ":memory:"}:
            raise ValueError("an SQLite database must be a file: sqlite:///path/to/file.db")
        return url.set(drivername="sqlite")
    raise ValueError(f"it must begin with postgresql:// or sqlite:///, not {url.drivername}")


def is_redis(text: str) -> bool:
    """Whether a URL names a Redis."""
    return text.startswith(("redis://", "rediss://"))


def check_lock_url(text: str) -> None:
    """Raise ValueError for what is neither PostgreSQL nor Redis."""
    if is_redis(text):
        _check_redis_url(text)
    elif re.match(r"postgres(ql)?(\+psycopg2)?://", text):
        normalized_url(text)
    else:
        raise ValueError("it must begin with postgresql://, redis:// or rediss://")


def _check_redis_url(text: str) -> None:
    # Only who uses Redis pays for loading it.
    from redis import Redis, RedisError

    try:
        # What a URL's options mean is found out when a connection is made; it is not opened yet.
        Redis.from_url(text).connection_pool.make_connection()
        host = make_url(text).host
    except (ArgumentError, RedisError, ValueError, TypeError):
        host = None
    if not host:
        raise ValueError(f"it must be redis://:password@host:6379/0; {ESCAPED}")
