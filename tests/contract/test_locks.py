"""What every kind of lock keeps: granted once, names its holder, comes free, is not stolen."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from sync.clock import SystemClock
from sync.errors import LeaseLost, LockError
from sync.locking.port import Lock
from sync.locking.record import conflict_in
from sync.locking.redis import RedisLock
from sync.model import RunId
from tests.crash.children import Child
from tests.installation import until
from tests.lock_kinds import KEY, LONG_S, Place, record
from tests.redis_server import RedisServer
from tests.servers import PostgresServer

END_HOLDERS = """
    SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"""


@pytest.fixture
def lose(place: Place, request: pytest.FixtureRequest) -> Callable[[], object]:
    """Take the lock away from whoever holds it, behind his back."""
    match place.kind:
        case "file":
            return Path(place.at).unlink
        case "redis":
            redis: RedisServer = request.getfixturevalue("redis")
            return lambda: redis.client.delete(KEY)
        case _:
            postgres: PostgresServer = request.getfixturevalue("postgres")
            return lambda: postgres.execute(END_HOLDERS)


@pytest.fixture
def opened(place: Place) -> Iterator[Callable[[str], Lock]]:
    """Open the lock for a run."""
    with ExitStack() as stack:
        yield lambda run_id: stack.enter_context(closing(place.lock(run_id)))


def hold(pipe: Connection, place: Place, run_id: str, ttl_s: float) -> None:
    """Take the lock and say so; when told, say what a check of it finds."""
    lock = place.lock(run_id, ttl_s=ttl_s)
    pipe.send(lock.acquire(record(run_id)))
    lock.announce()
    pipe.send("held")
    pipe.recv()
    try:
        lock.check()
        pipe.send("trusted")
    except LeaseLost as error:
        pipe.send(str(error))
    pipe.recv()


def test_the_second_is_refused_and_finds_the_first_ones_name(opened: Callable[[str], Lock]) -> None:
    first, second = opened("one"), opened("two")
    assert second.holding() is None
    assert first.acquire(record("one"))
    first.announce()
    assert not second.acquire(record("two"))
    found = second.holding()
    assert found is not None
    assert found[0].run_id == "one"
    first.check()
    first.ask()


def test_what_is_released_can_be_taken_by_the_next_and_again_by_the_first(
    opened: Callable[[str], Lock],
) -> None:
    first, second = opened("one"), opened("two")
    for lock, other in ((first, second), (second, first), (first, second)):
        assert lock.acquire(record("any"))
        assert not other.acquire(record("other"))
        lock.release()
    assert first.holding() is None


def test_a_holder_that_is_killed_frees_it(place: Place, opened: Callable[[str], Lock]) -> None:
    second = opened("two")
    with Child(hold, place, "one", 0.5) as child:
        assert (child.told(), child.told()) == (True, "held")
    until(lambda: second.acquire(record("two")))


def test_who_lost_it_finds_out_and_does_not_release_anothers(
    place: Place, opened: Callable[[str], Lock], lose: Callable[[], object]
) -> None:
    first, second, third = opened("one"), opened("two"), opened("three")
    assert first.acquire(record("one"))
    lose()
    until(lambda: second.acquire(record("two")))
    if place.kind != "redis":  # it finds out when it renews
        with pytest.raises(LeaseLost):
            first.ask()
    first.release()
    first.close()
    assert not third.acquire(record("three"))
    second.ask()


def test_no_record_holds_the_arguments_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sync", "--password=hush"])
    facts = json.loads(record("one"))
    assert (facts["run_id"], facts["holder"]["pid"]) == ("one", os.getpid())
    assert not any(argument in record("one") for argument in (*sys.argv, *cmdline()))
    assert conflict_in(record("one")) is not None


def cmdline() -> list[str]:
    read = Path("/proc/self/cmdline").read_text(encoding="utf-8")
    return [argument for argument in read.split("\0") if len(argument) > len("sync")]


class Ahead(SystemClock):
    """A clock that a test puts forward; nobody is woken by it."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class TestRedis:
    """What a lock with an end of its own keeps besides."""

    def lock(self, redis: RedisServer, *, ttl_s: float, clock: Any = None) -> RedisLock:
        clock = clock or SystemClock()
        return RedisLock(redis.url, "target", ttl_s=ttl_s, timeout_s=5, clock=clock)

    def test_it_is_renewed_as_long_as_it_is_held(self, redis: RedisServer) -> None:
        with closing(self.lock(redis, ttl_s=3)) as lock:
            assert lock.acquire(record("one"))
            # Each time it has lived for a sixth of its time; it is renewed at a third.
            for _ in range(2):
                until(lambda: redis.client.pttl(KEY) < 2500)
                until(lambda: redis.client.pttl(KEY) > 2500)
            lock.check()

    def test_it_is_not_trusted_in_the_last_tenth_of_its_time(self, redis: RedisServer) -> None:
        clock = Ahead()
        with closing(self.lock(redis, ttl_s=LONG_S, clock=clock)) as lock:
            assert lock.acquire(record("one"))
            clock.ahead_s = LONG_S * 0.85
            lock.check()
            clock.ahead_s = LONG_S * 0.91
            with pytest.raises(LeaseLost, match="not renewed in time"):
                lock.check()
        assert not redis.client.exists(KEY)

    def test_a_holder_that_was_paused_past_its_end_does_not_trust_it_when_it_wakes(
        self, redis: RedisServer
    ) -> None:
        place = Place(kind="redis", at=redis.url)
        with Child(hold, place, "one", 0.5) as child:
            assert (child.told(), child.told()) == (True, "held")
            child.stop()
            until(lambda: not redis.client.exists(KEY))
            with redis.paused():
                child.wake()
                child.tell("check")
                assert "not renewed in time" in child.told()

    def test_a_key_that_is_anothers_is_neither_renewed_nor_trusted(
        self, redis: RedisServer
    ) -> None:
        with closing(self.lock(redis, ttl_s=1)) as lock:
            assert lock.acquire(record("one"))
            redis.client.set(KEY, record("two"), px=60_000)
            until(lambda: not _trusted(lock))
        assert redis.client.pttl(KEY) > 10_000
        redis.client.delete(KEY)

    def test_it_is_revoked_from_its_run_alone(self, redis: RedisServer) -> None:
        with (
            closing(self.lock(redis, ttl_s=LONG_S)) as lock,
            closing(self.lock(redis, ttl_s=LONG_S)) as other,
        ):
            assert lock.acquire(record("one"))
            other.revoke(RunId("two"))
            assert not other.acquire(record("two"))
            other.revoke(RunId("one"))
            assert other.acquire(record("two"))

    def test_what_does_not_answer_counts_as_held_and_no_password_is_told(
        self, redis: RedisServer
    ) -> None:
        nowhere, wrong = (
            redis.url.replace(str(redis.port), "1"),
            redis.url.replace("p%40ss", "hush"),
        )
        for url in (nowhere, wrong, redis.url.replace("redis:", "rediss:")):
            with closing(
                RedisLock(url, "target", ttl_s=1, timeout_s=0.3, clock=SystemClock())
            ) as lock:
                for asked in (lambda: lock.acquire(record("one")), lock.holding):
                    with pytest.raises(LockError) as refusal:
                        asked()
                    assert not {"hush", "p@ss", "p%40ss"} & set(str(refusal.value).split(":"))
                    assert "hush" not in str(refusal.value)


def _trusted(lock: Lock) -> bool:
    try:
        lock.check()
    except LeaseLost:
        return False
    return True
