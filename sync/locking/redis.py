"""The lock in Redis: a key that holds who has it, and that Redis itself drops when its time is up.

Contract: while Redis keeps what it was told, at most one run has the key; it is renewed at a third
of its time, by whoever it names, and by nobody else. Its holder stops trusting it a margin before
its end, counted from before it was asked for, whether Redis can be reached or not.

Limit: a fast gate, no more. A failover of Redis may hand the key out twice, and a holder may be
paused between its last look and its write. The fence in the target's transaction holds then, too.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from sync.errors import N_, LeaseLost, LockError
from sync.locking.port import Lock
from sync.locking.record import conflict_in
from sync.model import Conflict
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sync.clock import Clock
    from sync.model import RunId

MARGIN = 0.1  # share of the time to live: clocks drift, and a check is older than what follows it
RENEW = """
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
    return 0"""
DELETE = """
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
    return 0"""


class RedisLock(Lock):
    """The key of `what` in the Redis at `url`; `timeout_s` is how long one question may take."""

    def __init__(
        self, url: str, what: str, *, ttl_s: float, timeout_s: float, clock: Clock
    ) -> None:
        self._redis = client(url, timeout_s=timeout_s)
        self.name = address(self._redis)
        self._key = f"batch_sync:{what}"
        self._ttl_s = ttl_s
        self._clock = clock
        self._record = ""
        self._trusted_until = 0.0
        self._released = threading.Event()
        self._renewer: threading.Thread | None = None

    def acquire(self, record: str) -> bool:
        """Write the record where there is none."""
        # Known before it is asked for: a lost answer may mean that it is ours.
        self._record = record
        asked_at = self._clock.monotonic()
        with self._asked():
            if not self._redis.set(self._key, record, nx=True, px=self._ttl_ms):
                return False
        self._trusted_until = self._until(asked_at)
        self._released = threading.Event()
        self._renewer = threading.Thread(
            target=self._renew, args=(self._released,), name="batch-sync-redis", daemon=True
        )
        self._renewer.start()
        return True

    def holding(self) -> tuple[Conflict, bool] | None:
        """Who stands in the key; it is lock and record in one."""
        value = self._value()
        return None if value is None else (conflict_in(value) or Conflict(), True)

    def check(self) -> None:
        """Raise LeaseLost when the key may be gone; asks nobody."""
        if self._clock.monotonic() > self._trusted_until:
            late = N_("the lock {lock} was not renewed in time")
            raise LeaseLost(reason=Told(late, lock=self.name))

    def release(self) -> None:
        """Delete the key if it is still ours."""
        self._released.set()
        if self._renewer:
            self._renewer.join()
        self._trusted_until = 0.0
        if self._record:
            with suppress(RedisError, OSError):
                self._run(DELETE, self._record)
        self._record = ""

    def revoke(self, run_id: RunId) -> None:
        """Delete the key if it is that run's."""
        value = self._value()
        found = conflict_in(value) if value is not None else None
        if value is not None and found and found.run_id == run_id:
            with self._asked():
                self._run(DELETE, value)

    def close(self) -> None:
        """Delete the key if it is ours, and let go of the connections."""
        self.release()
        self._redis.close()

    def _renew(self, released: threading.Event) -> None:
        while not self._clock.wait(released, self._ttl_s / 3):
            asked_at = self._clock.monotonic()
            try:
                self.check()
                ours = self._run(RENEW, self._record, self._ttl_ms)
            except LeaseLost:
                return  # what was doubted once is not trusted again
            except (RedisError, OSError):
                continue
            self._trusted_until = self._until(asked_at) if ours else 0.0

    def _until(self, asked_at: float) -> float:
        return asked_at + self._ttl_s * (1 - MARGIN)

    @property
    def _ttl_ms(self) -> int:
        return int(self._ttl_s * 1000)

    def _value(self) -> str | bytes | None:
        with self._asked():
            found: str | bytes | None = self._redis.get(self._key)
        return found

    def _run(self, script: str, *values: str | bytes | int) -> Any:
        return self._redis.eval(script, 1, self._key, *values)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise LockError(lock=self.name, reason=str(error)) from None


def client(url: str, *, timeout_s: float) -> Redis:
    """A client that asks once; an answer that was lost is not asked for again blindly."""
    once = Retry(NoBackoff(), 0)
    return Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=once
    )


def address(redis: Redis) -> str:
    """Where a client points, without user and password."""
    pool = redis.connection_pool
    at = pool.connection_kwargs
    scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
    return f"{scheme}://{at.get('host', 'localhost')}:{at.get('port', 6379)}/{at.get('db', 0)}"
