"""The world of one case of the crash matrix: days, a log of who wrote, and a run at its step."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from sync.model import RunId
from tests.crash.children import Child
from tests.crash.days import FIRST_DAY, PER_DAY, Days, days_in_postgres, days_in_sqlite
from tests.crash.matrix import Case
from tests.crash.mishaps import CUT_OFF, sync_into
from tests.installation import Installation, PostgresSide, table, until
from tests.servers import Databases, PostgresServer
from tests.wires import Wire

HEARTBEAT_OLD_S = 0.5
QUICK = {
    "heartbeat_s": 0.1,
    "heartbeat_old_s": HEARTBEAT_OLD_S,
    "progress_every_s": 0.05,
    "start_wait_s": 0.3,
    "lock_timeout_s": 2,
    "connect_timeout_s": 2,
    "takeover_grace_s": 0.2,
}
# Who wrote a checkpoint, and who had the lease then. The day's rows commit with it.
LEASE = "l.run_id, l.token FROM batch_sync_lease l"
POSTGRES_LOG = f"""
    CREATE TABLE log (id bigserial, at timestamptz, txid bigint, who text, run_id text,
        token bigint, lease_run_id text, lease_token bigint);
    CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO log (at, txid, who, run_id, token, lease_run_id, lease_token)
        SELECT clock_timestamp(), txid_current(), current_setting('application_name'),
            NEW.run_id, NEW.token, {LEASE};
        RETURN NULL; END $$;
    CREATE TRIGGER log AFTER INSERT OR UPDATE ON batch_sync_checkpoint
        FOR EACH ROW EXECUTE FUNCTION log()"""
SQLITE_LOG = """
    CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, who TEXT, run_id TEXT, token INTEGER,
        lease_run_id TEXT, lease_token INTEGER);""" + "".join(
    f"""
    CREATE TRIGGER log_{when} AFTER {when} ON batch_sync_checkpoint BEGIN
        INSERT INTO log (who, run_id, token, lease_run_id, lease_token)
        SELECT 'batch_sync ' || NEW.run_id, NEW.run_id, NEW.token, {LEASE}; END;"""
    for when in ("INSERT", "UPDATE")
)
# The open run of a holder that died: what an earlier one left, but for its end.
HELD = "holder, start_date, end_date, tables, acquired_at, beat_at"
DIED = f"""
    INSERT INTO batch_sync_run (token, run_id, {HELD}, rows_done, rows_total,
        partitions_done, partitions_total)
    SELECT 0, 'former', {HELD}, 0, 0, 0, 0 FROM batch_sync_run"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """A PostgreSQL server, two databases of it, and a wire to it that can be cut."""

    postgres: PostgresServer
    databases: Databases
    wire: Wire

    def end(self, which: str) -> None:
        """Terminate the backends of a query on `pg_stat_activity`; return when they are gone."""
        pids = [pid for (pid,) in self.postgres.execute(f"SELECT pid FROM {which}")]
        assert pids
        for pid in pids:
            self.postgres.execute("SELECT pg_terminate_backend(%s)", pid)
        alive = "SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)"
        until(lambda: not self.postgres.execute(alive, pids))

    def restart(self, days: Days) -> None:
        """A crash of the server and its recovery; the test's own connections are made anew."""
        self.postgres.restart(mode="immediate")
        names = (self.databases.source, self.databases.target)
        for side, name in zip((days.both.source, days.both.target), names, strict=True):
            assert isinstance(side, PostgresSide)
            side.reconnect(self.postgres.connect(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Five days, synced in version 1, in version 2 in the source; a child that is at its step."""

    case: Case
    days: Days
    before: Mapping[str, Any]
    child: Child
    servers: Servers | None

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """In the target."""
        return self.days.both.target.execute(statement)

    def child_run(self) -> RunId | None:
        """The run that the mishap befell, once the ledger knows it."""
        for run_id, holder in self.execute("SELECT run_id, holder FROM batch_sync_run"):
            if json.loads(holder)["pid"] == self.child.pid:
                return RunId(run_id)
        return None

    def everything(self) -> list[list[tuple[Any, ...]]]:
        """All that a run can write in the target."""
        tables = ("orders", "batch_sync_checkpoint", "batch_sync_lease", "batch_sync_run")
        return [sorted(self.execute(f"SELECT * FROM {name}"), key=str) for name in tables]

    def outcomes(self) -> dict[str, str | None]:
        """How each run ended, by the ledger."""
        return dict(self.execute("SELECT run_id, outcome FROM batch_sync_run"))  # type: ignore[arg-type]  # pairs

    def assert_one_wrote_at_a_time(self) -> None:
        """By the target's own log: each under its own lease, and none between another's writes."""
        log = self.execute(
            "SELECT who, run_id, token, lease_run_id, lease_token FROM log ORDER BY id"
        )
        assert all(entry[1:3] == entry[3:] for entry in log), "written under an old token"
        assert all(who == f"batch_sync {run_id}" for who, run_id, *_ in log)
        writers = [run_id for run_id, _ in groupby(entry[1] for entry in log)]
        assert len(writers) == len(set(writers)), "two wrote at once"


@contextmanager
def world(case: Case, folder: Path, servers: Servers | None) -> Iterator[World]:
    """Everything of one case, the child waiting at its step."""
    with ExitStack() as stack:
        if servers is None:
            days = stack.enter_context(days_in_sqlite(folder, 5, **QUICK))
            # Else nobody could write the source as long as a run reads it.
            days.both.source.execute("PRAGMA journal_mode = WAL")
        else:
            # A commit that was answered outlives the server's crash.
            for name in (servers.databases.source, servers.databases.target):
                servers.postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
            days = stack.enter_context(
                days_in_postgres(servers.postgres, servers.databases, folder, 5, **QUICK)
            )
        days.installation.run(FIRST_DAY, days.last_day)
        days.both.target.execute(POSTGRES_LOG if servers else SQLITE_LOG)
        days.write(2)
        before = days.standing()
        if case.step.former:
            days.both.target.execute(DIED)
        wire = servers.wire if servers and case.mishap is CUT_OFF else None
        home = another_host(days, folder, wire) if case.elsewhere else days.installation
        arguments = (home.settings_file, FIRST_DAY, days.last_day)
        names = (case.step.name, case.mishap.name, case.kind)
        place = (case.elsewhere, wire.namespace if wire else None)
        child = stack.enter_context(Child(sync_into, *arguments, *names, *place))
        assert child.told() == "at", "it never came to its step"
        yield World(case=case, days=days, before=before, child=child, servers=servers)


def another_host(days: Days, folder: Path, wire: Wire | None) -> Installation:
    """An installation that shares nothing with that of `days` but the databases."""
    urls = [make_url(side.url) for side in (days.both.source, days.both.target)]
    if wire:
        urls = [url.set(host=wire.host, port=wire.port) for url in urls]
    source, target = (url.render_as_string(hide_password=False) for url in urls)
    return Installation(
        folder / "another host",
        source_url=source,
        target_url=target,
        tables=[table("orders", "day")],
        # It has to give up in time; a busy machine needs some of that to start.
        run=QUICK | {"group_rows": PER_DAY, "stall_after_s": 6},
    )
