"""The digest of rows: equal for the same rows in any order, different for anything else."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Connection

from sync.databases import days as bounds
from sync.databases.digest import MD5, NOTHING, RECORD, Digest, Digested, entries
from sync.databases.shape import Table, date_class
from sync.model import DateRange
from sync.settings import RunSettings
from sync.wiring import database
from tests.installation import Both, Side

MONDAY = date(2025, 1, 6)
UTC_ZONE = ZoneInfo("UTC")
KINDS = (RECORD, MD5)
# Those of them that both engines have, first.
COMMON = {
    "t": ("text", st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    "i": ("bigint", st.integers(-(2**63), 2**63 - 1)),
    # psycopg2 writes -0.0 as a numeric, which has none: it would arrive as 0.
    "r": ("double precision", st.floats(allow_nan=False).map(lambda real: real + 0.0)),
    "b": ("bytea", st.binary()),
}
OTHERS = {
    "s": ("smallint", st.integers(-(2**15), 2**15 - 1)),
    "n": ("numeric", st.decimals(allow_nan=False, allow_infinity=False, places=4)),
    "at": ("timestamp", st.datetimes(datetime(1, 1, 2), datetime(9999, 1, 1))),
    "z": (
        "timestamptz",
        st.datetimes(datetime(1, 1, 2), datetime(9999, 1, 1), timezones=st.just(UTC)),
    ),
    "v": ("interval", st.timedeltas(timedelta(-9999), timedelta(9999))),
    "o": ("boolean", st.booleans()),
    "d": ("date", st.dates()),
    "l": ("text[]", st.lists(st.text(st.sampled_from('a",{}\\ ')), max_size=2)),
}
Row = tuple[Any, ...]


def rows_of(columns: dict[str, tuple[str, Any]]) -> st.SearchStrategy[list[Row]]:
    values = (st.none() | strategy for _, strategy in columns.values())
    return st.lists(st.tuples(*values), min_size=1, max_size=6)


class Place:
    """A table of such columns in one database."""

    def __init__(self, side: Side, columns: dict[str, tuple[str, Any]]) -> None:
        declared = ", ".join(f"{name} {type_}" for name, (type_, _) in columns.items())
        side.execute(f"CREATE TABLE things (day date, {declared})")
        self._database = database(
            SecretStr(side.url), role="target", schema="public", run=RunSettings()
        )
        self.connection: Connection = self._database.connect()
        found = self._database.table(self.connection, None, "things")
        assert found
        self.table: Table = found
        self.connection.rollback()
        self._places = ", ".join(
            ["%s" if self._database.kind == "postgresql" else "?"] * len(columns)
        )

    def digest(self, rows: Sequence[Row], kind: str) -> Digest:
        """Of these rows, which all stand on one day and are gone afterwards."""
        with self.connection.begin() as transaction:
            driver = self.connection.connection.driver_connection
            assert driver
            driver.cursor().executemany(
                f"INSERT INTO things VALUES ('{MONDAY}', {self._places})", rows
            )
            day = self.table.columns[0]
            edges = bounds.edges(DateRange(MONDAY, MONDAY), date_class(day), UTC_ZONE)
            pairs = [(column, column) for column in self.table.columns[1:]]
            digested = Digested(kind=kind, entries=entries(pairs, source=False))
            (found,) = self._database.digests(self.connection, self.table, day, edges, digested)
            transaction.rollback()
        return found


@pytest.fixture
def postgresql_place(postgresql: Both) -> Iterator[Place]:
    place = Place(postgresql.source, COMMON | OTHERS)
    yield place
    place.connection.close()


@pytest.fixture
def both_places(postgresql: Both, sqlite: Both) -> Iterator[tuple[Place, Place]]:
    places = Place(postgresql.target, COMMON), Place(sqlite.target, COMMON)
    yield places
    for place in places:
        place.connection.close()


def same(one: object, other: object) -> bool:
    return repr(one) == repr(other)


def check_fuzz(place: Place, data: st.DataObject, columns: dict[str, tuple[str, Any]]) -> None:
    rows = data.draw(rows_of(columns))
    n, m = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(columns) - 1))
    _, strategy = list(columns.values())[m]
    other = data.draw((st.none() | strategy).filter(lambda value: not same(value, rows[n][m])))
    changed = [*rows[:n], (*rows[n][:m], other, *rows[n][m + 1 :]), *rows[n + 1 :]]
    kind = data.draw(st.sampled_from(KINDS))
    digest = place.digest(rows, kind)
    assert digest.rows == len(rows)
    assert place.digest(data.draw(st.permutations(rows)), kind) == digest
    assert place.digest(changed, kind) != digest
    assert place.digest([*rows, rows[n], rows[n]], kind).value != digest.value


FUZZ = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)


@hypothesis.settings(FUZZ, max_examples=100)
@given(data=st.data())
def test_one_other_value_is_seen_and_another_order_is_not(
    postgresql_place: Place, data: st.DataObject
) -> None:
    check_fuzz(postgresql_place, data, COMMON | OTHERS)


@pytest.mark.matrix
@pytest.mark.timeout(600)
@hypothesis.settings(FUZZ, max_examples=10_000)
@given(data=st.data())
def test_of_10000_pairs_of_tables_none_is_taken_for_another(
    postgresql_place: Place, data: st.DataObject
) -> None:
    check_fuzz(postgresql_place, data, COMMON | OTHERS)


@hypothesis.settings(FUZZ, max_examples=100)
@given(rows=rows_of(COMMON))
def test_both_engines_give_the_same_rows_the_same_digest(
    both_places: tuple[Place, Place], rows: list[Row]
) -> None:
    postgresql, sqlite = (place.digest(rows, MD5) for place in both_places)
    assert postgresql == sqlite


# Pairs of rows that a careless digest takes for each other.
TRICKY: dict[str, tuple[list[Row], list[Row]]] = {
    "NULL and empty": ([("", 0)], [(None, 0)]),
    "NULL and zero": ([("", 0)], [("", None)]),
    "a value in the next column": ([("a", 11)], [("a1", 1)]),
    "values exchanged between rows": ([("a", 1), ("b", 2)], [("b", 1), ("a", 2)]),
    "a row that stands twice": ([("a", 1), ("a", 1)], [("b", 2), ("b", 2)]),
    "halves of an integer exchanged": ([("a", 1)], [("a", 2**32)]),
    "one integer and its negative": ([("a", 5)], [("a", -5)]),
    "trailing blanks": ([("a", 1)], [("a ", 1)]),
    "composed and decomposed": ([("é", 1)], [("e\u0301", 1)]),
}


def test_what_looks_alike_is_not_the_same(both: Both) -> None:
    place = Place(both.source, {name: COMMON[name] for name in ("t", "i")})
    kinds = KINDS if both.kind == "postgresql" else (MD5,)
    taken = [
        (what, kind)
        for what, (one, other) in TRICKY.items()
        for kind in kinds
        if place.digest(one, kind) == place.digest(other, kind)
    ]
    assert (taken, place.digest([], MD5)) == ([], NOTHING)
    place.connection.close()


# Values that PostgreSQL calls equal, or gives one hash.
EQUALS = [
    ("numeric", "1.0", "1.00"),
    ("numeric", "1.5", "-1.5"),
    ("double precision", "0", "-0"),
    ("interval", "1 mon", "30 days"),
    ("interval", "1 day", "24:00:00"),
    ("text[]", "{a,b}", "{{a},{b}}"),
    ("int[]", "[2:3]={1,2}", "{1,2}"),
    ("json", '{"a": 1}', '{"a":1}'),
    ("jsonb", "[1]", "[1.0]"),
    ("inet", "10.0.0.1", "10.0.0.1/8"),
    ("timetz", "12:00+00", "13:00+01"),
    ("bit varying", "1", "01"),
    ("money", "1", "-1"),
]


def test_values_that_postgresql_calls_equal_or_hashes_alike_are_told_apart(
    postgresql: Both,
) -> None:
    place = Place(
        postgresql.source, {f"c{n}": (type_, None) for n, (type_, _, _) in enumerate(EQUALS)}
    )
    row = tuple(one for _, one, _ in EQUALS)
    taken = [
        (EQUALS[n], kind)
        for n, (_, _, other) in enumerate(EQUALS)
        for kind in KINDS
        if place.digest([(*row[:n], other, *row[n + 1 :])], kind) == place.digest([row], kind)
    ]
    assert taken == []
    place.connection.close()
