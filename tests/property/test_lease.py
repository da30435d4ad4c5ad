"""Two hosts, one lease: any order of starts, pauses, losses, crashes, takeovers and restores.

Hypothesis makes the orders up; real processes, locks and databases live through them.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sync.errors import BatchSyncError
from sync.model import RunId
from sync.operations import Operations
from tests.crash.children import Child
from tests.installation import Both, Installation, table
from tests.property.actor import act
from tests.redis_server import RedisServer

FIRST = date(2025, 1, 1)
COUNT = 3  # days
ROWS = 2  # of each day
DAYS = [FIRST + timedelta(n) for n in range(COUNT)]
LEDGER = ("batch_sync_lease", "batch_sync_run", "batch_sync_checkpoint")
QUICK = {
    "heartbeat_s": 0.05,
    "heartbeat_old_s": 0.2,
    "lock_timeout_s": 0.2,
    "start_wait_s": 0.05,
    "connect_timeout_s": 2,
}
TTL_S = 0.5
FREE_WITHIN_S = 10


class Host:
    """One host as the model knows it. `run_id` is the run whose lease it believes to hold."""

    def __init__(self, settings_file: Path, boot_id: str | None) -> None:
        self._arguments = (settings_file, boot_id)
        self.paused = False
        self.run_id: str | None = None
        self.open: date | None = None
        self.child = Child(act, *self._arguments)
        self._answer()

    def ask(self, *step: object) -> tuple[bool, Any]:
        """Let it do a step. Whether it went well, and what it gave."""
        self.child.tell(step)
        return self._answer()

    def _answer(self) -> tuple[bool, Any]:
        well, value = self.child.told()
        if not well:
            self.run_id = self.open = None
        return well, value

    @property
    def ended(self) -> bool:
        """Whether somebody has killed it."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.child.pid).status() == psutil.STATUS_ZOMBIE
        return True

    def crash(self) -> None:
        """Kill it, and boot it again."""
        self.child.kill()
        Host.__init__(self, *self._arguments)


def idle(host: Host) -> bool:
    """It can begin a run."""
    return not host.paused and host.run_id is None


def holding(host: Host) -> bool:
    """It believes that the lease is its own, and can act."""
    return not host.paused and host.run_id is not None


def between_groups(host: Host) -> bool:
    """It can begin a group."""
    return holding(host) and host.open is None


def in_a_group(host: Host) -> bool:
    """It can commit one."""
    return holding(host) and host.open is not None


def paused(host: Host) -> bool:
    """It can be woken."""
    return host.paused


class World:
    """The target and its past; what only the test knows stands beside."""

    def __init__(
        self,
        both: Both,
        hosts: list[Installation],
        operations: Operations,
        redis: RedisServer | None,
    ) -> None:
        self.both = both
        self.redis = redis
        self.installations = hosts
        self.operations = operations
        self.apart = both.kind == "postgresql"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """A statement on the target, as its administrator."""
        return self.both.target.execute(statement)

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the target's tables, as a backup holds them."""
        return {name: self.execute(f"SELECT * FROM {name}") for name in ("orders", *LEDGER)}

    def restore(self, backup: dict[str, list[tuple[Any, ...]]]) -> None:
        """Make it the backup's again; nobody may be connected to a database that is restored."""
        if self.apart:
            self.end_sessions()
        for name, rows in backup.items():
            self.execute(f"DELETE FROM {name}")
            if rows:
                self.both.target.insert(name, rows)

    def end_sessions(self, condition: str = "true") -> None:
        """As an administrator does."""
        self.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <>"
            f" pg_backend_pid() AND datname = current_database() AND {condition}"
        )

    def drop_lock(self) -> None:
        """Take the lock away under its holder."""
        if self.redis:
            self.redis.client.flushall()
        if self.apart:
            held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            self.end_sessions(f"pid IN ({held})")
        else:
            for file in Path(self.both.target.url.removeprefix("sqlite:///")).parent.glob("*.lock"):
                file.unlink()


class LeaseMachine(RuleBasedStateMachine):
    """Whatever happens, only the lease's own run commits, and a checkpoint never lies."""

    world: World  # set by the test

    def __init__(self) -> None:
        super().__init__()
        world = self.world
        world.restore({name: [] for name in ("orders", *LEDGER)})
        self.hosts = [
            Host(installation.settings_file, f"boot {n}" if world.apart else None)
            for n, installation in enumerate(world.installations)
        ]
        self.runs = 0
        self.version = 1
        self.copied: dict[tuple[str, date], int] = {}
        self.backup: dict[str, list[tuple[Any, ...]]] | None = None

    def teardown(self) -> None:
        """Everybody dies; the next host finds the lease free, and makes the target whole."""
        for host in self.hosts:
            host.child.kill()
        last = Host(self.world.installations[0].settings_file, None)
        deadline = time.monotonic() + FREE_WITHIN_S
        while not (answer := last.ask("acquire", "last", DAYS[0], DAYS[-1]))[0]:
            assert time.monotonic() < deadline, answer
        for day in DAYS:
            assert last.ask("copy", day, self.version, ROWS)[0]
            assert last.ask("commit")[0]
        assert last.ask("end", "succeeded")[0]
        last.child.kill()
        assert [row[2] for row in self.world.execute("SELECT * FROM orders")] == (
            [self.version] * ROWS * COUNT
        )

    @precondition(lambda self: self._able(idle))
    @rule(data=st.data(), after_a_loss=st.booleans())
    def start(self, data: st.DataObject, *, after_a_loss: bool) -> None:
        host = self._one(data, idle)
        if after_a_loss:
            self.world.drop_lock()
        self.runs += 1
        run_id = f"run {self.runs}"
        if host.ask("acquire", run_id, DAYS[0], DAYS[-1])[0]:
            host.run_id = run_id

    @precondition(lambda self: self._able(holding))
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        self._one(data, holding).ask("beat")

    @precondition(lambda self: self._able(between_groups))
    @rule(data=st.data(), day=st.sampled_from(DAYS), at_once=st.booleans())
    def copy(self, data: st.DataObject, day: date, *, at_once: bool) -> None:
        host = self._one(data, between_groups)
        run_id = host.run_id
        assert run_id
        if host.ask("copy", day, self.version, ROWS)[0]:
            host.open = day
            self.copied[run_id, day] = self.version
            if at_once:
                self._commit(host)

    @precondition(lambda self: self._able(in_a_group))
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        self._commit(self._one(data, in_a_group))

    def _commit(self, host: Host) -> None:
        well, under = host.ask("commit")
        host.open = None
        if well:
            lease = "SELECT token, run_id FROM batch_sync_lease WHERE released_at IS NULL"
            assert self.world.execute(lease) == [under]

    @precondition(lambda self: self._able(holding))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        host = self._one(data, holding)
        host.ask("end", "cancelled")
        host.run_id = host.open = None

    @precondition(lambda self: self._able(holding))
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        host = self._one(data, holding)
        host.child.stop()
        host.paused = True

    @precondition(lambda self: self._able(paused))
    @rule(data=st.data())
    def wake(self, data: st.DataObject) -> None:
        host = self._one(data, paused)
        host.child.wake()
        host.paused = False

    @precondition(lambda self: self._able(holding) or self._able(paused))
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self._one(data, lambda host: host.paused or holding(host)).crash()

    def _able(self, condition: Callable[[Host], bool]) -> bool:
        return any(map(condition, self.hosts))

    def _one(self, data: st.DataObject, condition: Callable[[Host], bool]) -> Host:
        able = [n for n, host in enumerate(self.hosts) if condition(host)]
        return self.hosts[data.draw(st.sampled_from(able), label="host")]

    @rule()
    def change_the_source(self) -> None:
        self.version += 1

    @precondition(lambda self: hasattr(self.world.operations, "take_over"))
    @rule()
    def take_over(self) -> None:
        for (run_id,) in self.world.execute(
            "SELECT run_id FROM batch_sync_lease WHERE released_at IS NULL"
        ):
            with suppress(BatchSyncError):
                self.world.operations.take_over(RunId(run_id), reason="a test", force=True)
        for host in self.hosts:
            if host.ended:
                host.crash()

    @rule()
    def back_up(self) -> None:
        self.backup = self.world.contents()

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        with suppress(sqlite3.OperationalError, psycopg2.Error):  # a writer has the file
            self.world.restore(self.backup)

    @invariant()
    def a_checkpoint_tells_what_stands_there(self) -> None:
        points = self.world.execute("SELECT day, run_id, rows FROM batch_sync_checkpoint")
        rows = self.world.execute("SELECT day, version FROM orders")
        for day, run_id, count in points:
            versions = [version for of, version in rows if of == day]
            on = date.fromisoformat(str(day))
            assert versions == [self.copied[run_id, on]] * count


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        ("session", 4),
        *(
            pytest.param(kind, 60, marks=pytest.mark.matrix)
            for kind in ("file", "session", "redis")
        ),
    ],
)
def test_whatever_happens_one_commits_and_checkpoints_tell_the_truth(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, examples: int
) -> None:
    both: Both = request.getfixturevalue("sqlite" if kind == "file" else "postgresql")
    redis = request.getfixturevalue("redis") if kind == "redis" else None
    lock = {"url": redis.url, "ttl_s": TTL_S} if redis else None
    for side in (both.source, both.target):
        side.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, version INTEGER)")
    one, other, third = (
        both.installation(tmp_path / name, table("orders", "day"), run=QUICK, lock=lock)
        for name in ("one", "other", "third")
    )
    third.run("2025-01-01")  # makes our tables in the target
    LeaseMachine.world = World(both, [one, other], third.operations(), redis)
    run_state_machine_as_test(
        LeaseMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            # Processes make shrinking take minutes; the steps are printed as they were.
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
