"""Marks: rows that were not touched are not read again, as long as that can be told."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from pydantic import SecretStr

from sync.databases.failures import DRIVER_ERRORS
from sync.errors import ConnectError
from sync.model import PlanState
from sync.settings import RunSettings
from sync.wiring import database
from tests.installation import Both, asked, table, until
from tests.servers import PostgresServer

ORDERS = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
RANGE = "2025-01-01", "2025-01-03"


def test_rows_that_were_not_touched_are_not_read_again(postgresql: Both, tmp_path: Path) -> None:
    postgresql.source.execute(ORDERS)
    rows = [(n, f"2025-01-0{n}", "fine") for n in (1, 2, 3)]
    postgresql.source.insert("orders", rows)
    made = postgresql.installation(tmp_path, table("orders", "day"), run={"verify": "digest"})
    assert made.run(*RANGE).error is None

    def states() -> list[PlanState]:
        plan = made.operations().plan(asked(*RANGE, digest=True))
        return [partition.state for partition in plan.partitions]

    assert states() == [PlanState.SAME] * 3
    with closing(sqlite3.connect(next(tmp_path.rglob("store.db")))) as store, store:
        # Who believes this has not read the rows.
        one_side = "UPDATE mark SET digest = 'other' WHERE place = (SELECT min(place) FROM mark)"
        assert store.execute(one_side).rowcount == 3
    assert PlanState.SAME not in states()
    assert made.operations().verify(asked(*RANGE)).differing == []
    for side in (postgresql.source, postgresql.target):
        side.execute("UPDATE orders SET note = note WHERE id = 2")
    assert [state is PlanState.SAME for state in states()] == [False, True, False]
    for side in (postgresql.source, postgresql.target):
        side.execute("VACUUM FULL orders")
    assert states() == [PlanState.SAME] * 3


def test_a_default_that_stands_in_untouched_rows_is_seen(postgresql: Both, tmp_path: Path) -> None:
    for side in (postgresql.source, postgresql.target):
        side.execute(f"{ORDERS}; INSERT INTO orders VALUES (1, '2025-01-01', 'fine')")
        side.execute("ALTER TABLE orders ADD COLUMN state TEXT DEFAULT 'old'")
    made = postgresql.installation(tmp_path, table("orders", "day"))
    assert made.run("2025-01-01").error is None

    def state() -> PlanState:
        [partition] = made.operations().plan(asked("2025-01-01", digest=True)).partitions
        return partition.state

    assert state() is PlanState.SAME
    postgresql.source.execute("ALTER TABLE orders DROP COLUMN state")
    postgresql.source.execute("ALTER TABLE orders ADD COLUMN state TEXT DEFAULT 'new'")
    assert state() is PlanState.CHANGED


def test_marks_lose_their_basis_with_whatever_may_make_transaction_ids_come_again() -> None:
    with PostgresServer() as server:
        name = server.create_database()
        source = database(
            SecretStr(server.url(name)), role="source", schema=None, run=RunSettings()
        )

        def basis(of: str = "orders") -> str | None:
            try:
                with source.connect() as connection:
                    found = source.table(connection, None, of)
                    return found and source.basis(connection, found)
            except (ConnectError, *DRIVER_ERRORS):
                return None

        with closing(server.connect(name)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(f"{ORDERS}; CREATE VIEW seen AS TABLE orders")
            known = [basis(), basis()]
            cursor.execute("VACUUM FULL orders")
            known.append(basis())
            assert basis("seen") is None
            os.kill(connection.info.backend_pid, signal.SIGKILL)  # the server recovers from that
        until(lambda: basis() not in {None, known[-1]})
        known.append(basis())
        server.restart()
        known.append(basis())
    assert None not in known
    assert known[0] == known[1]
    assert len(set(known)) == 4
