"""What keeps the lock of `[lock] url`: its clock, and whether a Redis may drop a key of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from sync.databases.postgres import PostgresDatabase
from sync.doctor.databases import look_at_clock
from sync.doctor.finding import Finding
from sync.errors import N_, LockError
from sync.locking.redis import address, client
from sync.told import Told
from sync.urls import is_redis, normalized_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from sync.clock import Clock
    from sync.settings import Settings

KEEPS_ALL = "noeviction"


def look_at_server(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """The server that `[lock] url` names. Raises LockError, ConnectError."""
    url, run = settings.lock.url.get_secret_value(), settings.run
    if not is_redis(url):
        database = PostgresDatabase(normalized_url(url), role="lock", schema=None, run=run)
        with database.session() as session:
            yield from look_at_clock("lock", database.address, lambda: database.now(session), clock)
        return
    with client(url, timeout_s=run.connect_timeout_s) as redis:
        try:
            yield from look_at_clock("lock", address(redis), lambda: _now(redis), clock)
            yield from _look_at_eviction(redis)
        except (RedisError, OSError) as error:
            raise LockError(lock=address(redis), reason=str(error)) from None


def _now(redis: Redis) -> datetime:
    seconds, microseconds = redis.time()
    return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)


def _look_at_eviction(redis: Redis) -> Iterator[Finding]:
    # CONFIG GET is often forbidden; INFO tells the same.
    policy = redis.info("memory").get("maxmemory_policy")
    ok = policy == KEEPS_ALL if policy else None
    keeps = N_("The Redis {address} keeps the lock's key when its memory is full.")
    drops = N_(
        "The Redis {address} may drop the lock's key when its memory is full:"
        " its maxmemory-policy is {policy}."
    )
    told = Told(
        keeps if ok else drops,
        hint="" if ok else N_("Set maxmemory-policy to noeviction there."),
        address=address(redis),
        policy=policy or "?",
    )
    yield Finding(name=Told(N_("Redis memory")), ok=ok, told=told)
