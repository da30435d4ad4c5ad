"""Rows of some days from a source to a target: what arrives, in what shape, by which settings."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from sync.errors import SchemaError
from sync.model import Only, PartitionStatus, PlanState, RunStatus
from sync.settings import RunSettings
from sync.wiring import database
from tests.installation import Both, Installation, Side, SqliteSide, asked, table

MONDAY, TUESDAY, WEDNESDAY = "2025-01-06", "2025-01-07", "2025-01-08"
WEEK = [(date(2025, 1, 6) + timedelta(days=n)).isoformat() for n in range(7)]
ORDERS = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE NOT NULL, note VARCHAR(20))"
ALL = "SELECT * FROM orders"


def orders(side: Side, *days: str, note: str = "new", first: int = 1) -> None:
    """The table with one row for each of `days`."""
    side.execute(ORDERS)
    side.insert("orders", [(number, day, note) for number, day in enumerate(days, first)])


def test_what_the_range_holds_is_replaced_and_the_rest_stays(both: Both, tmp_path: Path) -> None:
    orders(both.source, MONDAY, TUESDAY, TUESDAY, WEDNESDAY)
    orders(both.target, MONDAY, TUESDAY, TUESDAY, WEDNESDAY, note="old")
    installation = both.installation(tmp_path, table("orders", "day"))
    for _ in range(2):  # a second run gives the same
        run = installation.run(TUESDAY)
        assert (run.status, run.progress.rows_done) == (RunStatus.SUCCEEDED, 2)
        notes = both.target.execute("SELECT note FROM orders ORDER BY id")
        assert notes == [("old",), ("new",), ("new",), ("old",)]


def test_a_missing_table_is_made_with_its_key_and_an_index_on_the_date(
    postgresql: Both, tmp_path: Path
) -> None:
    postgresql.source.execute("""
        CREATE TABLE orders (
            id integer GENERATED ALWAYS AS IDENTITY, placed_at timestamptz(3) NOT NULL,
            "Amount %" numeric(10, 2) NOT NULL, note varchar(20), labels text[],
            doubled numeric GENERATED ALWAYS AS ("Amount %" * 2) STORED,
            PRIMARY KEY (id, placed_at));
        INSERT INTO orders (placed_at, "Amount %", labels)
            VALUES ('2025-01-06 12:00', 9.5, ARRAY['a,b', NULL])""")
    run = postgresql.installation(tmp_path, table("orders", "placed_at")).run(MONDAY)
    columns = postgresql.target.execute("""
        SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
        WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum""")
    indexes = postgresql.target.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'orders' ORDER BY 1"
    )
    copied = 'SELECT id, placed_at, "Amount %", note, labels FROM orders'
    assert (run.error, columns, indexes, postgresql.rows(copied)[0]) == (
        None,
        [
            ("id", "integer", True),
            ("placed_at", "timestamp(3) with time zone", True),
            ("Amount %", "numeric(10,2)", True),
            ("note", "character varying(20)", False),
            ("labels", "text[]", False),
        ],
        [
            ("CREATE INDEX orders_placed_at_idx ON public.orders USING btree (placed_at)",),
            ("CREATE UNIQUE INDEX orders_pkey ON public.orders USING btree (id, placed_at)",),
        ],
        postgresql.target.execute(copied),
    )


def test_a_missing_sqlite_table_is_made_with_its_key_and_an_index_on_the_date(
    sqlite: Both, tmp_path: Path
) -> None:
    orders(sqlite.source, MONDAY)
    run = sqlite.installation(tmp_path, table("orders", "day")).run(MONDAY)
    made = sqlite.target.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'orders'")
    columns = '"id" INTEGER, "day" DATE NOT NULL, "note" VARCHAR(20)'
    assert (run.error, made) == (
        None,
        [
            (f'CREATE TABLE "orders" ({columns}, PRIMARY KEY ("id"))',),
            ('CREATE INDEX "orders_day_idx" ON "orders" ("day")',),
        ],
    )


ODD = """
    CREATE TABLE odd (
        id integer PRIMARY KEY, day date, words {words}, exact numeric, near double precision,
        raw bytea, said jsonb, spans interval[], at timestamptz, plain timestamp, who uuid,
        net inet);"""
ODD_ROWS = r"""
    INSERT INTO odd VALUES
        (1, '2025-01-06', E'tab\there\nline \\N \\. "quoted" 密 é', 0.10, 1e-320, '\x00ff5c0a',
         '{"a": [1, null]}', '{1 mon 2 days -03:00:00.000001}', '2025-01-06 00:00:00.000001+14',
         'infinity', '6f1c1d3e-0000-4000-8000-000000000001', '10.0.0.1/8'),
        (2, '2025-01-06', '', 'NaN', 'Infinity', '', '""', '{}', '-infinity', '0044-03-15 BC',
         NULL, '::1'),
        (3, '2025-01-06', NULL, 12345678901234567890.123456789, 0.1::real, NULL, NULL, NULL, NULL,
         NULL, NULL, NULL)"""


@pytest.mark.parametrize("words", ["text", "varchar"], ids=["binary", "text"])
def test_every_value_arrives_as_it_was(postgresql: Both, tmp_path: Path, words: str) -> None:
    postgresql.source.execute(ODD.format(words="text") + ODD_ROWS)
    postgresql.target.execute(ODD.format(words=words))
    run = postgresql.installation(tmp_path, table("odd", "day")).run(MONDAY)
    source, target = postgresql.rows("SELECT odd::text FROM odd")
    assert (run.error, len(target), target) == (None, 3, source)


def test_types_that_differ_go_as_text(postgresql: Both, tmp_path: Path) -> None:
    postgresql.source.execute("""
        CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN cents AS integer CHECK (VALUE >= 0);
        CREATE TABLE orders (
            id integer PRIMARY KEY, day date, m mood, same mood, price cents, small integer);
        INSERT INTO orders VALUES (1, '2025-01-06', 'glad', 'sad', 5, 7)""")
    postgresql.target.execute("""
        CREATE TYPE mood AS ENUM ('glad', 'calm', 'sad');
        CREATE TABLE orders (
            small bigint, price numeric, same mood, m text, day date, id bigint, more integer)""")
    run = postgresql.installation(tmp_path, table("orders", "day", key=["id"])).run(MONDAY)
    here = postgresql.target.execute("SELECT id, m, same::text, price, small, more FROM orders")
    assert (run.error, here) == (None, [(1, "glad", "sad", 5, 7, None)])


def test_sqlite_keeps_each_value_and_its_type(sqlite: Both, tmp_path: Path) -> None:
    sqlite.source.execute(
        "CREATE TABLE odd (id INTEGER PRIMARY KEY, day DATE, any_, twice AS (id * 2))"
    )
    values = ["", "密\n\0é", b"\x00\xff", 9007199254740993, 0.1, None, "0123"]
    for value in values:
        sqlite.source.insert("odd (day, any_)", [(MONDAY, value)])
    run = sqlite.installation(tmp_path, table("odd", "day")).run(MONDAY)
    here = sqlite.target.execute("SELECT any_ FROM odd ORDER BY id")
    assert (run.error, here) == (None, [(value,) for value in values])


HALF_HOURS = [
    datetime(2025, 3, 28, 12, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(5 * 48)
]
EDGES = [
    datetime(2025, 10, 25, 21, 59, 59, 999999, tzinfo=UTC),
    datetime(2025, 10, 25, 22, tzinfo=UTC),
    datetime(2025, 10, 26, 22, 59, 59, 999999, tzinfo=UTC),
    datetime(2025, 10, 26, 23, tzinfo=UTC),
]


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%fZ"])
def test_days_with_23_and_25_hours_are_whole(both: Both, tmp_path: Path, form: str) -> None:
    zoned = "+00" if both.kind == "postgresql" and not form.endswith("Z") else ""
    both.source.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY, at TIMESTAMPTZ)")
    both.source.insert(
        "seen", [(n, f"{at:{form}}{zoned}") for n, at in enumerate([*HALF_HOURS, *EDGES])]
    )
    installation = both.installation(tmp_path, table("seen", "at"), timezone="Europe/Berlin")
    plan = installation.operations().plan(asked("2025-03-29", "2025-03-31"))
    assert [p.source_rows for p in plan.partitions] == [48, 46, 48]
    for day in ("2025-03-30", "2025-10-26"):
        assert installation.run(day).error is None
    spring, autumn = HALF_HOURS.index(datetime(2025, 3, 29, 23, tzinfo=UTC)), len(HALF_HOURS)
    expected = [*range(spring, spring + 46), autumn + 1, autumn + 2]
    assert both.target.execute("SELECT id FROM seen ORDER BY id") == [(n,) for n in expected]


def test_a_timestamp_without_zone_is_local_and_its_day_has_24_hours(
    both: Both, tmp_path: Path
) -> None:
    both.source.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY, at TIMESTAMP)")
    times = ["2025-03-29 23:59:59.999999", "2025-03-30", "2025-03-30 02:30:00"]
    times += ["2025-03-30 23:59:59.999999", "2025-03-31 00:00:00"]
    both.source.insert("seen", list(enumerate(times)))
    both.source.insert("seen", [(9, None)])  # a row without a day belongs to none
    installation = both.installation(tmp_path, table("seen", "at"), timezone="Europe/Berlin")
    assert installation.run("2025-03-30").error is None
    assert both.target.execute("SELECT id FROM seen ORDER BY id") == [(1,), (2,), (3,)]


def test_a_day_that_shrank_is_held_back_until_somebody_says_yes(both: Both, tmp_path: Path) -> None:
    orders(both.source, TUESDAY, WEDNESDAY, first=11)
    orders(both.target, MONDAY, TUESDAY, TUESDAY, TUESDAY, WEDNESDAY, WEDNESDAY, note="old")
    installation = both.installation(tmp_path, table("orders", "day"))
    days = (MONDAY, "2025-01-09")
    held = installation.run(*days)
    before = both.target.execute("SELECT day, count(*) FROM orders GROUP BY day ORDER BY day")
    forced = installation.run(*days, allow_shrink=True)
    assert (
        held.status,
        held.held_back,
        "(partitions: 2)" in str(held.error),
        list(installation.partitions(held.id).values()),
        [count for _, count in before],
        forced.status,
        both.rows(ALL)[1],
    ) == (
        RunStatus.FAILED,
        2,
        True,
        # None left, a third left, a half left (that is enough), and empty on both sides.
        [*2 * [PartitionStatus.HELD_BACK], *2 * [PartitionStatus.DONE]],
        [1, 3, 1],
        RunStatus.SUCCEEDED,
        both.rows(ALL)[0],
    )


def test_settings_choose_rows_columns_and_names(both: Both, tmp_path: Path) -> None:
    both.source.execute(
        "CREATE TABLE raw (id INTEGER PRIMARY KEY, day DATE, note TEXT, secret TEXT, more TEXT)"
    )
    both.source.insert("raw", [(1, MONDAY, "50% off", "s", "m"), (2, MONDAY, "none", "s", "m")])
    installation = both.installation(
        tmp_path,
        table(
            "raw",
            "day",
            target_name="Kept",
            columns=["id", "day", "note"],
            where="note LIKE '%\\%%' ESCAPE '\\'",
        ),
        table("raw", "day", target_name="rest", exclude=["secret", "id"], where="id = 2 OR 1 = 1"),
        table("raw", "day", target_name="keyed", columns=["day", "note"], key=["note"]),
    )
    run = installation.run(MONDAY)
    query = 'SELECT t.*, CAST(t.day AS TEXT) FROM "{}" t ORDER BY note'
    found = {
        name: [
            row[2:] if name == "Kept" else row[1:]
            for row in both.target.execute(query.format(name))
        ]
        for name in ("Kept", "rest", "keyed")
    }
    assert (run.error, found) == (
        None,
        {
            "Kept": [("50% off", MONDAY)],
            "rest": [("50% off", "m", MONDAY), ("none", "m", MONDAY)],
            "keyed": [("50% off", MONDAY), ("none", MONDAY)],
        },
    )


def test_a_group_is_cut_by_rows_and_is_one_transaction(postgresql: Both, tmp_path: Path) -> None:
    orders(postgresql.source, *sorted(WEEK * 3))
    installation = postgresql.installation(tmp_path, table("orders", "day"), run={"group_rows": 7})
    run = installation.run(WEEK[0], WEEK[-1])
    groups = postgresql.target.execute(
        "SELECT count(DISTINCT day), count(*) FROM orders GROUP BY xmin::text ORDER BY min(day)"
    )
    assert (run.error, groups) == (None, [(2, 6), (2, 6), (2, 6), (1, 3)])


def test_two_groups_at_once_give_the_same(both: Both, tmp_path: Path) -> None:
    orders(both.source, *WEEK * 20)
    settings = {"max_parallel": 2, "group_rows": 30}
    run = both.installation(tmp_path, table("orders", "day"), run=settings).run(WEEK[0], WEEK[-1])
    source, target = both.rows(ALL)
    assert (run.error, run.progress.partitions_done, target) == (None, 7, source)


def test_only_takes_what_is_missing_or_changed_or_failed(both: Both, tmp_path: Path) -> None:
    orders(both.source, *WEEK[:5])
    installation = both.installation(tmp_path, table("orders", "day"))
    installation.run(WEEK[0], WEEK[3])
    both.source.insert("orders", [(10, WEEK[1], "changed")])
    both.target.insert("orders", [(20, WEEK[2], "drifted")])
    both.target.insert("orders", [(21, WEEK[3], "shrank"), (22, WEEK[3], "shrank")])

    def planned(only: Only) -> dict[str, PlanState]:
        plan = installation.operations().plan(asked(WEEK[0], WEEK[4], only=only))
        return {p.day.isoformat(): p.state for p in plan.partitions}

    changed = installation.run(WEEK[0], WEEK[4], only=Only.CHANGED)
    again = installation.run(WEEK[0], WEEK[4], only=Only.CHANGED)
    failed = installation.run(WEEK[0], WEEK[4], only=Only.FAILED, allow_shrink=True)
    done = [
        {day: str(status) for (_, day), status in installation.partitions(run.id).items()}
        for run in (changed, again, failed)
    ]
    assert (done, planned(Only.MISSING), both.rows(ALL)[1]) == (
        [
            {WEEK[1]: "done", WEEK[2]: "done", WEEK[3]: "held_back", WEEK[4]: "done"},
            {WEEK[3]: "held_back"},
            {WEEK[3]: "done"},
        ],
        {},
        both.rows(ALL)[0],
    )


def test_other_settings_of_a_table_make_its_days_missing(both: Both, tmp_path: Path) -> None:
    orders(both.source, MONDAY)
    both.installation(tmp_path, table("orders", "day")).run(MONDAY)
    other = both.installation(tmp_path, table("orders", "day", where="id > 0"))
    states = [p.state for p in other.operations().plan(asked(MONDAY)).partitions]
    assert states == [PlanState.MISSING]


def test_a_day_that_is_not_over_is_copied_again_by_only_missing(both: Both, tmp_path: Path) -> None:
    today = datetime.now(UTC).date().isoformat()
    orders(both.source, today)
    installation = both.installation(tmp_path, table("orders", "day"))
    installation.run(today)
    states = [p.state for p in installation.operations().plan(asked(today)).partitions]
    assert (states, installation.run(today, only=Only.MISSING).progress.partitions_total) == (
        [PlanState.NOT_CLOSED],
        1,
    )


def test_a_source_connection_cannot_write(both: Both) -> None:
    orders(both.source, MONDAY)
    source = database(SecretStr(both.source.url), role="source", schema=None, run=RunSettings())
    with source.connect() as connection, pytest.raises(DBAPIError, match=r"read-?only"):
        connection.exec_driver_sql("DELETE FROM orders")


def test_the_table_itself_is_no_target(both: Both, tmp_path: Path) -> None:
    orders(both.source, MONDAY)
    url = both.source.url
    if isinstance(both.source, SqliteSide):
        (tmp_path / "alias.db").symlink_to(both.source.file)
        url = f"sqlite:///{tmp_path}/alias.db"
    same = Installation(
        tmp_path, source_url=both.source.url, target_url=url, tables=[table("orders", "day")]
    )
    with pytest.raises(SchemaError, match=r"Source and target are the same (table orders|file)"):
        same.run(MONDAY)


def test_another_table_of_the_same_database_is_a_target(postgresql: Both, tmp_path: Path) -> None:
    orders(postgresql.source, MONDAY)
    installation = Installation(
        tmp_path,
        source_url=postgresql.source.url,
        target_url=postgresql.source.url,
        tables=[table("orders", "day", target_name="copy")],
    )
    assert installation.run(MONDAY).error is None
    copied, there = (
        postgresql.source.execute(f"SELECT * FROM {name}") for name in ("copy", "orders")
    )
    assert copied == there
