"""The doctor: what is well is called so, and each thing that is not is found by the real thing."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from sync.clock import SystemClock
from sync.doctor import Finding, exclusion
from sync.errors import SchemaError
from sync.model import RunStatus
from sync.operations import Operations
from tests.conftest import unavailable
from tests.installation import (
    Both,
    Installation,
    PostgresSide,
    Side,
    SqliteSide,
    asked,
    table,
    until,
)
from tests.pgbouncer import PgBouncer
from tests.redis_server import RedisServer
from tests.servers import Databases, PostgresServer, ServerUnavailableError

ORDERS = table("orders", "day")
A_TABLE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE)"
OF_RUN = "application_name = 'batch_sync ' ||"
SCHEMA = 'per%cent "x"  y'
SCHEMA_SQL = '"per%cent ""x""  y"'
ORDERS_SQL = f'{SCHEMA_SQL}."orders"'
# With a space, an upper case letter and a quotation mark in it.
FRESH = {"source": 'Fresh "reader', "target": 'Fresh "loader'}


def wrong(installation: Installation) -> dict[str, str]:
    """What is not well, by name."""
    return {str(f.name): str(f.told) for f in installation.operations().check() if not f.ok}


@pytest.fixture
def sqlite_place(sqlite: Both, tmp_path: Path) -> Installation:
    sqlite.source.execute(A_TABLE)
    sqlite.target.execute(A_TABLE)
    return sqlite.installation(tmp_path, ORDERS)


@pytest.fixture
def place(postgresql: Both, tmp_path: Path) -> Installation:
    postgresql.source.execute(A_TABLE)
    return postgresql.installation(tmp_path, ORDERS)


def test_all_is_well_both_locks_are_proven_and_nothing_is_left_behind(
    place: Installation, postgresql: Both
) -> None:
    findings = {str(f.name): f for f in place.operations().check()}
    assert [name for name, f in findings.items() if not f.ok] == []
    assert "a second one was refused the lock" in str(findings["lock file"].told)
    assert "a second one was refused the lock" in str(findings["session lock"].told)
    assert "pooler" not in findings
    assert list((place.folder / ".batch_sync").glob("*.check-*")) == []
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert postgresql.target.execute(held) == [(0,)]


def test_what_a_check_that_was_killed_has_left_is_removed_but_not_what_another_is_at(
    tmp_path: Path,
) -> None:
    lock_file = tmp_path / "[a].lock"
    old, young = (tmp_path / f"{lock_file.name}.check-{n}" for n in (1, 2))
    for file in (lock_file, old, young):
        file.touch()
    for file in (lock_file, old):
        os.utime(file, (0, 0))

    [finding] = exclusion.look_at_files(lock_file)

    assert finding.ok
    assert set(tmp_path.iterdir()) == {lock_file, young}


class TestRights:
    @pytest.fixture
    def fresh(self, postgres: PostgresServer) -> Iterator[Both]:
        """Two databases of the superuser, and a role for each that may nothing but connect."""
        sides = {}
        for name, role in FRESH.items():
            database, quoted = postgres.create_database(), role.replace('"', '""')
            postgres.execute(f"CREATE ROLE \"{quoted}\" LOGIN PASSWORD 'x'")
            postgres.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
            url = make_url(postgres.url(database)).set(username=role, password="x")
            sides[name] = PostgresSide(
                postgres.connect(database, user="postgres"),
                url.render_as_string(hide_password=False),
            )
            sides[name].execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
            sides[name].execute(f"CREATE SCHEMA {SCHEMA_SQL}")
        yield Both(kind="postgresql", source=sides["source"], target=sides["target"])
        for name, role in FRESH.items():
            database = str(make_url(sides[name].url).database)
            sides[name].close()
            postgres.drop_database(database)
            postgres.execute('DROP ROLE "{}"'.format(role.replace('"', '""')))

    def test_what_is_printed_is_enough_for_roles_that_may_nothing(
        self, fresh: Both, tmp_path: Path, postgres: PostgresServer
    ) -> None:
        fresh.source.execute(f"CREATE TABLE {ORDERS_SQL} (id INTEGER PRIMARY KEY, day DATE)")
        fresh.source.insert(ORDERS_SQL, [(1, "2025-10-01"), (2, "2025-10-02")])
        place = fresh.installation(
            tmp_path, table(ORDERS_SQL, "day", target_name="orders"), schema=SCHEMA
        )
        script = [f for f in place.operations().check() if f.statements]
        assert [f.ok for f in script] == [False, False]
        lacking = [str(f.told) for f in script]
        assert f"USAGE ON SCHEMA {SCHEMA_SQL}; SELECT ON {ORDERS_SQL}" in lacking[0]
        assert f'TABLE {SCHEMA_SQL}."batch_sync_lease"' in lacking[1]
        assert all("EXECUTE ON FUNCTION pg_control_system()" in one for one in lacking)

        printed = place.cli("check", "--grants").stdout
        for side, statements in zip(
            (fresh.source, fresh.target), printed.strip().split("\n\n"), strict=True
        ):
            side.execute(statements)

        assert wrong(place) == {}
        run = place.run("2025-10-01", "2025-10-02")
        assert (run.status, run.progress.rows_done) == (RunStatus.SUCCEEDED, 2)
        # A key that moves goes by way of a temporary table.
        fresh.source.execute(f"UPDATE {ORDERS_SQL} SET day = '2025-10-02' WHERE id = 1")
        assert place.run("2025-10-02").status is RunStatus.SUCCEEDED
        assert len(set(map(str, fresh.rows(f"SELECT id, day FROM {ORDERS_SQL}")))) == 1
        self.take_over(place, fresh.target, postgres)
        assert place.operations().audit().faults == ()

    def take_over(self, place: Installation, target: Side, postgres: PostgresServer) -> None:
        """The same roles end a run that hangs in its DELETE, and its sessions with it."""
        target.execute(f"BEGIN; LOCK TABLE {ORDERS_SQL} IN SHARE MODE")
        hanging = place.operations()
        run_id = hanging.start(asked("2025-10-01", allow_shrink=True))
        waiting = f"SELECT wait_event_type FROM pg_stat_activity WHERE {OF_RUN} '{run_id}'"
        until(lambda: ("Lock",) in postgres.execute(waiting))
        ended = place.operations().take_over(run_id, reason="it hangs", force=True)
        assert ended.status is RunStatus.INTERRUPTED
        target.execute("ROLLBACK")
        assert hanging.wait(run_id, timeout_s=60).status is RunStatus.INTERRUPTED

    def test_only_what_lacks_is_told_as_lacking(
        self, place: Installation, postgresql: Both
    ) -> None:
        place.run("2025-10-01")
        postgresql.target.execute("REVOKE DELETE, SELECT ON orders FROM loader")
        assert re.fullmatch(
            r'"loader" lacks in the target .+: SELECT, DELETE ON "public"."orders"\. .+ runs:',
            wrong(place)["rights"],
        )

    def test_no_right_is_claimed_for_a_table_that_was_not_found(
        self, place: Installation, postgresql: Both
    ) -> None:
        postgresql.source.execute("DROP TABLE orders")
        found = wrong(place)
        assert set(found) == {"table orders", "rights"}
        assert "lacks nothing that was found in the source; not found" in found["rights"]


class TestPoolers:
    @pytest.mark.parametrize(
        ("mode", "ignores_options", "told", "names"),
        [
            ("session", True, "keeps one backend a session", {"pooler", "lock"}),
            ("transaction", True, "changes backends", {"pooler", "session lock", "lock"}),
            ("transaction", False, "a connection pooler's words", {"target"}),
        ],
    )
    def test_a_pooler_before_the_target_is_found(
        self,
        mode: str,
        ignores_options: bool,  # noqa: FBT001 - a parameter of the test
        told: str,
        names: set[str],
        postgres: PostgresServer,
        databases: Databases,
        place: Installation,
    ) -> None:
        try:
            pooler = PgBouncer(postgres, mode=mode, ignores_options=ignores_options)
        except ServerUnavailableError as error:
            unavailable(f"no PgBouncer: {error}")
        with pooler:
            behind = Installation(
                place.folder / "behind",
                source_url=databases.source_url,
                target_url=pooler.url(databases.target_url),
                tables=[ORDERS],
            )
            found = wrong(behind)
            beside = Installation(
                place.folder / "beside",
                source_url=databases.source_url,
                target_url=pooler.url(databases.target_url),
                tables=[ORDERS],
                lock={"url": databases.source_url},
            )
            with_lock = {str(f.name) for f in beside.operations().check() if f.ok is False}
        assert set(found) == names
        assert told in found[min(names & {"pooler", "target"})]
        assert "Give [target] url the server's own" in found[min(names & {"pooler", "target"})]
        # With a lock elsewhere it is only a warning, where it lets us through at all.
        assert with_lock == names - {"pooler", "session lock", "lock"}


class TestTheLockBesideTheTarget:
    def test_a_redis_that_may_drop_the_key_is_told(
        self, sqlite: Both, tmp_path: Path, redis: RedisServer
    ) -> None:
        sqlite.source.execute(A_TABLE)
        place = sqlite.installation(tmp_path, ORDERS, lock={"url": redis.url})
        well = {str(f.name): str(f.told) for f in place.operations().check() if f.ok}
        assert "a second one was refused the lock" in well["[lock] url"]
        assert "clock" in well
        redis.client.config_set("maxmemory-policy", "volatile-lru")
        found = wrong(place)
        redis.client.config_set("maxmemory-policy", "noeviction")
        assert "its maxmemory-policy is volatile-lru" in found.pop("Redis memory")
        assert found == {}
        assert redis.client.keys() == []


class Ahead(SystemClock):
    """A machine whose clock is wrong."""

    def __init__(self, seconds: float) -> None:
        self._by = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() + self._by


class TestThisMachine:
    @pytest.mark.parametrize(("seconds", "told"), [(-60, "s ahead of"), (60, "s behind")])
    def test_a_clock_that_is_wrong_is_told_by_how_much(
        self, place: Installation, seconds: float, told: str
    ) -> None:
        parts = place.operations()._parts  # noqa: SLF001 - a port is exchanged
        findings = Operations(replace(parts, clock=Ahead(seconds))).check()
        clocks = [str(f.told) for f in findings if not f.ok]
        assert [told in one for one in clocks] == [True, True], clocks  # source and target
        assert "59." in clocks[0] or "60." in clocks[0]

    def test_a_password_that_others_can_read_is_a_warning(self, place: Installation) -> None:
        place.settings_file.chmod(0o644)
        assert "everybody here can read it" in wrong(place)["settings"]

    def test_a_state_directory_is_made_before_it_is_looked_at(
        self, place: Installation, databases: Databases, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BATCH_SYNC_STORE__URL", databases.source_url)
        assert wrong(place) == {}

    def test_folders_where_others_may_write_are_told(self, sqlite_place: Installation) -> None:
        place, state_dir = sqlite_place, sqlite_place.folder / ".batch_sync"
        place.operations()
        state_dir.chmod(0o770)
        assert "chmod 700" in wrong(place)["state directory"]
        state_dir.chmod(0o700)
        place.folder.chmod(0o777)
        assert f"chmod o-w {place.folder}" in wrong(place)["state directory"]
        place.folder.chmod(0o1777)
        assert wrong(place) == {}

    @pytest.mark.parametrize(
        ("answering", "deadline_s", "told"),
        [
            ("while read -r _; do echo taken; done", 20, "two held one lock at once"),
            ("exec sleep 60", 0.1, "no answer within"),
            ("exit 1", 20, "no answer within"),
        ],
    )
    def test_a_disk_whose_locks_do_not_hold_is_told(
        self,
        sqlite_place: Installation,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        answering: str,
        deadline_s: float,
        told: str,
    ) -> None:
        # Processes that see what such a disk would show them.
        witness = tmp_path / "witness"
        witness.write_text(f"#!/bin/sh\n{answering}\n")
        witness.chmod(0o755)
        monkeypatch.setattr(exclusion.sys, "executable", str(witness))
        monkeypatch.setattr(exclusion, "DEADLINE_S", deadline_s)
        found = wrong(sqlite_place)["lock file"]
        assert told in found
        assert "local disk" in found


class TestDatabases:
    def test_a_database_that_does_not_answer_is_told_once(
        self, sqlite_place: Installation, sqlite: Both
    ) -> None:
        assert isinstance(sqlite.source, SqliteSide)
        sqlite.source.file.unlink()
        findings: tuple[Finding, ...] = sqlite_place.operations().check()
        assert [str(f.name) for f in findings if not f.ok] == ["source"]

    def test_a_type_that_the_target_lacks_is_foreseen(
        self, postgresql: Both, tmp_path: Path
    ) -> None:
        postgresql.source.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        postgresql.source.execute("CREATE TABLE orders (id INT, day DATE, how mood, was mood[])")
        place = postgresql.installation(tmp_path, ORDERS)
        told = wrong(place)["table orders"]
        assert "it lacks the types mood, mood[]" in told
        assert "exclude: how, was" in told
        with pytest.raises(SchemaError):
            place.operations().start(asked("2025-10-01"))
        postgresql.target.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        assert wrong(place) == {}
