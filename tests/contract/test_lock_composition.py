"""Which locks make up a lease, what `[lock] url` adds, and that all must agree on them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sync.errors import ConnectError, LeaseHeld, LeaseLost, LockError, LocksDiffer
from sync.model import RunId, RunStatus, Verdict
from sync.operations import Operations
from tests.conftest import unavailable
from tests.crash.children import Child, sync_days
from tests.crash.days import FIRST_DAY, Days, days_in_postgres, days_in_sqlite
from tests.installation import Installation, table, until
from tests.pgbouncer import PgBouncer
from tests.redis_server import RedisServer
from tests.servers import Databases, PostgresServer, ServerUnavailableError

SOON = {"start_wait_s": 0.2, "heartbeat_s": 0.1, "heartbeat_old_s": 0.5, "group_rows": 20}
FINGERPRINT = "SELECT lock_fingerprint FROM batch_sync_lease"


@pytest.fixture
def postgres_days(postgres: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[Days]:
    with days_in_postgres(postgres, databases, tmp_path, 3, **SOON) as days:
        yield days


@pytest.fixture
def sqlite_days(tmp_path: Path) -> Iterator[Days]:
    with days_in_sqlite(tmp_path, 3, **SOON) as days:
        yield days


@pytest.fixture(params=["postgres_days", "sqlite_days"])
def days(request: pytest.FixtureRequest) -> Days:
    found: Days = request.getfixturevalue(request.param)
    return found


def host(
    days: Days, folder: Path, lock: str = "", *, target: str = "", ttl_s: float = 30
) -> Installation:
    """One host more: a state directory, and so a lock file, of its own."""
    return Installation(
        folder,
        source_url=days.both.source.url,
        target_url=target or days.both.target.url,
        tables=[table("orders", "day")],
        run=SOON,
        lock={"url": lock, "ttl_s": ttl_s},
    )


@contextmanager
def begun(days: Days, installation: Installation) -> Iterator[tuple[Operations, RunId]]:
    """A run that has its lease, and copies when this ends."""
    gate = threading.Event()
    operations = installation.operations(before_copying=gate.wait)
    run_id = operations.start(days.request)
    try:
        yield operations, run_id
    finally:
        gate.set()
        operations.wait(run_id)


@contextmanager
def bouncer(postgres: PostgresServer, *, ignores_options: bool = True) -> Iterator[PgBouncer]:
    try:
        pooler = PgBouncer(postgres, ignores_options=ignores_options)
    except ServerUnavailableError as error:
        unavailable(f"no PgBouncer: {error}")
    with pooler:
        yield pooler


def test_the_lease_names_every_lock_and_no_password(
    days: Days, tmp_path: Path, redis: RedisServer, postgres: PostgresServer, databases: Databases
) -> None:
    own = "file+session" if days.both.kind == "postgresql" else "file"
    server = f"127.0.0.1:{postgres.port}/{databases.source}"
    names = {
        "": own,
        redis.url: f"{own}+redis://127.0.0.1:{redis.port}/0",
        databases.source_url: f"{own}+postgresql://{server}",
    }
    for number, (lock, name) in enumerate(names.items()):
        host(days, tmp_path / str(number), lock).run(FIRST_DAY)
        assert days.both.target.execute(FINGERPRINT) == [(name,)]
    assert redis.client.keys() == []


@pytest.mark.parametrize("kind", ["redis", "postgresql"])
def test_behind_a_pooler_the_lock_beside_the_target_decides_and_names_its_holder(
    kind: str,
    postgres_days: Days,
    tmp_path: Path,
    postgres: PostgresServer,
    request: pytest.FixtureRequest,
    databases: Databases,
) -> None:
    days = postgres_days
    lock = databases.source_url if kind == "postgresql" else request.getfixturevalue("redis").url
    with bouncer(postgres) as pooler:
        target = pooler.url(databases.target_url)
        first, second = (
            host(days, tmp_path / name, lock, target=target) for name in ("one", "two")
        )
        with begun(days, first) as (_, run_id):
            with pytest.raises(LeaseHeld) as refusal:
                second.operations().start(days.request)
            assert refusal.value.conflict.run_id == run_id
            assert refusal.value.conflict.holder is not None
            seen = second.operations().snapshot().run
            assert seen is not None
            assert seen.id == run_id
        assert second.run(FIRST_DAY, days.last_day).status is RunStatus.SUCCEEDED
    assert str(days.both.target.execute(FINGERPRINT)[0][0]).startswith(f"file+{kind}://")


def test_a_pooler_without_a_lock_beside_the_target_is_refused_with_what_to_do(
    postgres_days: Days, tmp_path: Path, postgres: PostgresServer, databases: Databases
) -> None:
    with bouncer(postgres) as pooler:
        alone = host(postgres_days, tmp_path / "one", target=pooler.url(databases.target_url))
        with pytest.raises(LockError, match=r"pooler.*the server's own address.*\[lock\] url"):
            alone.operations().start(postgres_days.request)
        locked = host(postgres_days, tmp_path / "two", pooler.url(databases.source_url))
        with pytest.raises(LockError, match=r"pooler.*\[lock\] url the server's own address"):
            locked.operations().start(postgres_days.request)


def test_a_pooler_that_refuses_our_settings_is_told_as_one(
    postgres_days: Days, tmp_path: Path, postgres: PostgresServer, databases: Databases
) -> None:
    with bouncer(postgres, ignores_options=False) as pooler:
        alone = host(postgres_days, tmp_path / "one", target=pooler.url(databases.target_url))
        with pytest.raises(ConnectError, match=r"unsupported startup parameter.*\(PgBouncer\)"):
            alone.operations().start(postgres_days.request)


def test_a_lock_that_does_not_answer_starts_nothing(days: Days, tmp_path: Path) -> None:
    for number, lock in enumerate(("redis://:hush@127.0.0.1:1", "postgresql://me:hush@[::1]:1/x")):
        away = host(days, tmp_path / str(number), lock)
        with pytest.raises(LockError, match="Whether another sync runs cannot be told") as refusal:
            away.operations().start(days.request)
        assert (refusal.value.exit_code, "hush" in str(refusal.value)) == (5, False)
    assert days.installation.run(FIRST_DAY).status is RunStatus.SUCCEEDED


@pytest.mark.parametrize("kind", ["redis", "postgresql"])
def test_a_run_that_loses_the_lock_beside_the_target_stops_and_writes_nothing(
    kind: str,
    days: Days,
    tmp_path: Path,
    postgres: PostgresServer,
    databases: Databases,
    request: pytest.FixtureRequest,
) -> None:
    redis: RedisServer = request.getfixturevalue("redis")
    lock = databases.source_url if kind == "postgresql" else redis.url
    one = host(days, tmp_path / "one", lock, ttl_s=0.5)
    with begun(days, one) as (operations, run_id):
        if kind == "redis":
            redis.client.flushdb()
        else:
            end = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d"
            postgres.execute(
                f"{end} ON d.oid = database WHERE locktype = 'advisory' AND datname = %s",
                databases.source,
            )
        lease = operations._parts.engine._runs[run_id][1]._order.lease  # noqa: SLF001 - held
        until(lambda: _lost(lease.check))
    assert operations.run(run_id).status is RunStatus.INTERRUPTED
    assert days.both.target.execute("SELECT count(*) FROM orders") == [(0,)]


def test_the_key_of_a_killed_holder_keeps_others_out_for_its_time_and_names_him(
    postgres_days: Days,
    tmp_path: Path,
    redis: RedisServer,
    postgres: PostgresServer,
    databases: Databases,
) -> None:
    days = postgres_days
    days.installation.run(FIRST_DAY)
    one, two = (host(days, tmp_path / name, redis.url) for name in ("one", "two"))
    with (
        Child(sync_days, one.settings_file, FIRST_DAY, days.last_day) as child,
        closing(postgres.connect(databases.target)) as blocker,
    ):
        blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        child.told()
        child.tell("go")
        run_id = child.told()
        child.kill()
        with pytest.raises(LeaseHeld) as refusal:
            two.operations().start(days.request)
    assert refusal.value.conflict.run_id == run_id
    until(lambda: one.operations().snapshot().verdict is Verdict.UNKNOWN)
    redis.client.flushdb()  # its time is over
    assert one.run(FIRST_DAY, days.last_day).status is RunStatus.SUCCEEDED
    assert one.operations().run(run_id).status is RunStatus.INTERRUPTED


def test_other_locks_are_refused_while_a_lease_is_not_released(
    days: Days, tmp_path: Path, redis: RedisServer
) -> None:
    one, two = host(days, tmp_path / "one"), host(days, tmp_path / "two", redis.url)
    with begun(days, one) as (_, run_id):
        pass
    days.both.target.execute("UPDATE batch_sync_lease SET released_at = NULL")
    with pytest.raises(LocksDiffer) as refusal:
        two.operations().start(days.request)
    said = str(refusal.value)
    assert refusal.value.exit_code == 5
    assert (
        f"took under the locks {'file' if days.both.kind == 'sqlite' else 'file+session'};" in said
    )
    assert f"redis://127.0.0.1:{redis.port}/0" in said
    assert f"takeover {run_id}" in said
    assert one.run(FIRST_DAY).status is RunStatus.SUCCEEDED
    assert two.run(FIRST_DAY).status is RunStatus.SUCCEEDED


@pytest.mark.parametrize("kind", ["redis", "postgresql"])
def test_what_a_run_holds_beside_the_target_can_be_revoked(
    kind: str, sqlite_days: Days, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    at: Callable[[str], Any] = request.getfixturevalue
    lock = at("databases").source_url if kind == "postgresql" else at("redis").url
    one = host(sqlite_days, tmp_path / "one", lock)
    with begun(sqlite_days, one) as (operations, run_id):
        target_lock = operations._parts.lock  # noqa: SLF001 - the lock alone
        target_lock.revoke(RunId("another"))
        with target_lock.open() as held:
            assert held.locks[-1].holding() is not None
            target_lock.revoke(run_id)
            assert held.locks[-1].holding() is None


def _lost(check: Callable[[], None]) -> bool:
    try:
        check()
    except LeaseLost:
        return True
    return False
