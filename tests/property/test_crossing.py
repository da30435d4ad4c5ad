"""Between PostgreSQL and SQLite a value arrives as it was, or is refused before the first row."""

import io
import math
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.model import RunStatus, RunView
from sync.operations import Operations
from tests.installation import Both, Installation, PostgresSide, Side, asked, table

MONDAY = "2025-01-06"
SETTINGS = hypothesis.settings(
    deadline=None,
    phases=set(hypothesis.Phase) - {hypothesis.Phase.explain},
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.data_too_large,
    ],
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
HARD = st.sampled_from(["", "\\N", "\\.", "a\tb\nc\rd\\", "\"'", "007", "1e5", "5.00", "nan", "é"])
WORDS = TEXT | HARD | st.text(st.sampled_from("\\N\t\n\r\b\f\v"), max_size=5)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=2).map(lambda d: f"{d:f}")
DOUBLES = st.floats(allow_nan=False).map(lambda real: real + 0.0)  # SQLite has no -0
INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 30)).map(lambda at: at.isoformat(" "))
ENDLESS = st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "12025-02-28"])
# Each type with its values as texts.
POSTGRES: dict[str, st.SearchStrategy[str]] = {
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str),
    "integer": st.integers(-(2**31), 2**31 - 1).map(str),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "boolean": st.sampled_from("tf"),
    "real": st.floats(width=32, allow_nan=False).map(lambda real: repr(real + 0.0)),
    "double precision": DOUBLES.map(repr),
    "numeric": NUMBERS | st.sampled_from(["NaN", "Infinity", "1e-400", "12" * 500, "5.00"]),
    "numeric(10,3)": st.decimals(-999_999, 999_999, places=3).map(str),
    "money": st.integers(-(10**12), 10**12).map(str),
    "text": WORDS,
    "varchar(12)": WORDS.map(lambda text: text[:12]),
    "char(5)": st.text(st.sampled_from("ab \té"), max_size=5),
    "bytea": st.binary().map(lambda raw: "\\x" + raw.hex()),
    "date": st.dates().map(str) | ENDLESS,
    "timestamp": INSTANTS | ENDLESS,
    "timestamp(3)": INSTANTS,
    "timestamptz": INSTANTS.map(lambda at: at + "+13:45") | ENDLESS,
    "time": st.times().map(str),
    "timetz": st.times().map(lambda at: f"{at}-03"),
    "interval": st.tuples(*[st.integers(-999, 999)] * 3).map(
        lambda n: f"{n[0]} mon {n[1]} days {n[2]} us"
    ),
    "uuid": st.uuids().map(str),
    "inet": st.ip_addresses(v=4).map(lambda ip: f"{ip}/8"),
    "json": st.sampled_from(['{"a": 1,"a":"\\\\"}', "[1, null]", "5", '"é"', " 1e5 "]),
    "jsonb": st.sampled_from(['{"b":1,"aa":[1.0, null]}', "5", '"\\n"']),
    "int[]": st.sampled_from(["{}", "{1,NULL}", "[2:3]={1,2}", "{{1},{2}}"]),
    "text[]": st.sampled_from(["{}", '{"a,b",NULL,"NULL",""}']),
    "int4range": st.sampled_from(["empty", "[1,5)", "(,3)"]),
    "bit varying": st.text(st.sampled_from("01"), max_size=9),
    "mood": st.sampled_from(["glad", "sad"]),
    "small": st.integers(0, 9).map(str),
    "pair": st.sampled_from(["(1,a)", "(,)", '(2,"b,""c")']),
}
EXTRA = """
    CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN small AS int CHECK (VALUE < 10);
    CREATE TYPE pair AS (n int, s text);"""


class Crossed:
    """A table of one column a type, whose rows a run brings from the one side to the other."""

    def __init__(
        self, folder: Path, source: Side, target: Side, types: list[str], **settings: Any
    ) -> None:
        self.source, self.target, self.types = source, target, types
        self._operations: Operations = Installation(
            folder / f"from {type(source).__name__}{len(settings)}",
            source_url=source.url,
            target_url=target.url,
            tables=[table("things", "day", **settings)],
            run={"verify": "digest"},
        ).operations()

    def run(self) -> RunView:
        """The day of all rows, every value compared by the run itself, too."""
        run_id = self._operations.start(asked(MONDAY, allow_shrink=True))
        return self._operations.wait(run_id, timeout_s=60)

    def fill(self, rows: list[tuple[Any, ...]]) -> None:
        """The source's rows from now on."""
        self.source.execute("DELETE FROM things")
        self.source.insert("things", [(n, MONDAY, *row) for n, row in enumerate(rows)])


def ddl(types: list[str]) -> str:
    columns = ", ".join(f"c{n} {type_}" for n, type_ in enumerate(types))
    return f"CREATE TABLE things (id integer PRIMARY KEY, day date, {columns});"


def rows_of(
    strategies: Iterable[st.SearchStrategy[Any]],
) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    row = st.tuples(*(st.none() | strategy for strategy in strategies))
    return st.lists(row, min_size=1, max_size=5)


@pytest.fixture
def there_and_back(postgresql: Both, sqlite: Both, tmp_path: Path) -> tuple[Crossed, Crossed]:
    types = list(POSTGRES)
    for side in (postgresql.source, postgresql.target):
        side.execute(EXTRA + ddl(types))
    return (
        Crossed(tmp_path, postgresql.source, sqlite.target, types),
        Crossed(tmp_path, sqlite.target, postgresql.target, types),
    )


def binary(side: Side) -> bytes:
    """All rows as PostgreSQL sends them."""
    assert isinstance(side, PostgresSide)
    out = io.BytesIO()
    with side._connection.cursor() as cursor:  # noqa: SLF001 - the driver's own words
        query = "COPY (SELECT * FROM things ORDER BY id) TO STDOUT (FORMAT binary)"
        cursor.copy_expert(query, out)
    return out.getvalue()


# What SQLite has to hold of a value that PostgreSQL writes so; as it is written, where not here.
KEPT: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("smallint", "integer", "bigint"), int),
    "boolean": {"true": 1, "false": 0}.__getitem__,
    "double precision": lambda said: struct.pack("d", float(said)),
    "real": lambda said: struct.pack("d", struct.unpack("f", struct.pack("f", float(said)))[0]),
    "bytea": lambda said: bytes.fromhex(said[2:]),
    "timestamptz": lambda said: said.replace("+00", "+00:00"),
}


def kept(type_: str, said: str | None) -> object:
    return None if said is None else KEPT.get(type_, str)(said)


def exact(value: object) -> object:
    """A value, of a real its bits."""
    return struct.pack("d", value) if isinstance(value, float) else value


def differing(types: list[str], one: list[Any], other: list[Any]) -> list[tuple[Any, ...]]:
    """Type and both values of whatever differs."""
    assert len(one) == len(other)
    rows = zip(one, other, strict=True)
    return [cell for a, b in rows for cell in zip(types, a, b, strict=True) if not same(*cell[1:])]


def same(one: object, other: object) -> bool:
    # NaN, which a text in SQLite may say, equals nothing.
    return type(one) is type(other) and (one == other or str(one) == str(other) == "NaN")


def check_there_and_back(both_ways: tuple[Crossed, Crossed], rows: list[tuple[Any, ...]]) -> None:
    there, back = both_ways
    there.fill(rows)
    assert there.run().error is None
    said = [
        f"CASE WHEN c{n} IS NOT NULL THEN concat(c{n}) END" if type_ == "char(5)" else f"c{n}::text"
        for n, type_ in enumerate(there.types)
    ]
    there.source.execute("SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'")
    expected = there.source.execute(f"SELECT {', '.join(said)} FROM things ORDER BY id")
    names = ", ".join(f"c{n}" for n in range(len(there.types)))
    found = there.target.execute(f"SELECT {names} FROM things ORDER BY id")
    assert (
        differing(
            there.types,
            [tuple(map(kept, there.types, row)) for row in expected],
            [tuple(map(exact, row)) for row in found],
        )
        == []
    )
    assert back.run().error is None
    assert binary(back.target) == binary(there.source)


@hypothesis.settings(SETTINGS, max_examples=4)
@given(rows=rows_of(POSTGRES.values()))
def test_postgresql_gets_back_from_sqlite_what_it_gave(
    there_and_back: tuple[Crossed, Crossed], rows: list[tuple[Any, ...]]
) -> None:
    check_there_and_back(there_and_back, rows)


@pytest.mark.matrix
@hypothesis.settings(SETTINGS, max_examples=120)
@given(rows=rows_of(POSTGRES.values()))
def test_postgresql_gets_back_from_sqlite_what_it_gave_whatever_it_is(
    there_and_back: tuple[Crossed, Crossed], rows: list[tuple[Any, ...]]
) -> None:
    check_there_and_back(there_and_back, rows)


SQLITE: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": st.integers(-(2**63), 2**63 - 1),
    "TINYINT": st.integers(-(2**63), 2**63 - 1),
    "REAL": DOUBLES,
    "DOUBLE": DOUBLES,
    "TEXT": WORDS,
    "VARCHAR(3)": WORDS,
    "BLOB": st.binary(),
    "BOOLEAN": st.booleans().map(int),
    "DATE": st.dates().map(str),
    "TIMESTAMP": INSTANTS,
    "DATETIME": st.datetimes().map(datetime.isoformat),
    "TIMESTAMP WITH TIME ZONE": INSTANTS.map(lambda at: at + "-07:30") | INSTANTS,
    "NUMERIC": st.integers(-(10**12), 10**12) | NUMBERS.map(float),
    "DECIMAL(10,2)": st.integers(-(10**7), 10**7) | st.integers(0, 10**9).map(lambda n: n / 100),
    "JSON": st.sampled_from(['{"a":1}', '[ "é\\n" ]', "null"]),
    "UUID": st.uuids().map(lambda uuid: str(uuid).upper()),
    "": WORDS,
}
ANYTHING = (
    st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, 2, 5.5, 1e300, math.inf, 2**53 + 1, -0.0])
    | WORDS
    | st.sampled_from(["12", "x\0y", "2025-02-29", "2025-01-06 24:00", "10000-01-01", "true", "-"])
    | st.sampled_from(["2025-01-06 12:00:00.1234567", "2025-01-06T12:00Z", "2025-1-6", "NaN"])
    | st.binary(max_size=4)
)


def instant(said: str) -> datetime:
    """Without a zone it is in UTC."""
    at = datetime.fromisoformat(said)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# What makes of PostgreSQL's text, or of a text in SQLite, a value that can be compared.
READ: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("INTEGER", "TINYINT", "NUMERIC", "DECIMAL(10,2)"), Decimal),
    **dict.fromkeys(("REAL", "DOUBLE"), lambda said: struct.pack("d", float(said))),
    **dict.fromkeys(("TIMESTAMP", "DATETIME"), datetime.fromisoformat),
    "TIMESTAMP WITH TIME ZONE": instant,
    "BOOLEAN": {"true": 1, "false": 0, "1": 1, "0": 0}.__getitem__,
    "BLOB": lambda said: bytes.fromhex(said[2:]),
    "DATE": date.fromisoformat,
    "UUID": UUID,
}


def comparable(declared: str, value: object) -> object:
    """A value of SQLite, or PostgreSQL's text for one."""
    if value is None or isinstance(value, bytes):
        return value
    if str(value).startswith("10000-"):  # which Python's calendar has not
        return str(value)[:11]
    return READ.get(declared, str)(repr(value) if isinstance(value, float) else str(value))


@pytest.fixture
def into_postgres(postgresql: Both, sqlite: Both, tmp_path: Path) -> Crossed:
    sqlite.source.execute(ddl(list(SQLITE)))
    return Crossed(tmp_path, sqlite.source, postgresql.target, list(SQLITE))


def check_kept(crossed: Crossed) -> None:
    """Every value of the target is the source's."""
    types = crossed.types
    names = [f"c{n}" for n in range(len(types))]
    crossed.target.execute("SET TimeZone = 'UTC'")
    sides = [
        [
            tuple(comparable(type_, value) for type_, value in zip(types, row, strict=True))
            for row in side.execute(f"SELECT {', '.join(said)} FROM things ORDER BY id")
        ]
        for side, said in (
            (crossed.source, names),
            (crossed.target, [f"{name}::text" for name in names]),
        )
    ]
    assert differing(types, *sides) == []


@hypothesis.settings(SETTINGS, max_examples=4)
@given(rows=rows_of(SQLITE.values()))
def test_what_sqlite_holds_by_its_types_stands_in_postgresql(
    into_postgres: Crossed, rows: list[tuple[Any, ...]]
) -> None:
    into_postgres.fill(rows)
    assert into_postgres.run().error is None
    check_kept(into_postgres)


def with_one_odd(data: st.DataObject) -> tuple[int, list[tuple[Any, ...]]]:
    """Rows whose values fit, but one, which is any value in any column."""
    rows = data.draw(rows_of(SQLITE.values()))
    n, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(SQLITE) - 1))
    odd = data.draw(ANYTHING)
    return column, [
        (*row[:column], odd, *row[column + 1 :]) if m == n else row for m, row in enumerate(rows)
    ]


def check_odd(crossed: Crossed, data: st.DataObject) -> None:
    column, rows = with_one_odd(data)
    if isinstance(crossed.target, PostgresSide):
        crossed.target.execute("DROP TABLE IF EXISTS things")
    crossed.fill(rows)
    run = crossed.run()
    if run.status is RunStatus.SUCCEEDED:
        check_kept(crossed)
    else:
        assert f"Column c{column} of things has values" in str(run.error)
        assert crossed.target.execute("SELECT to_regclass('things')") == [(None,)]


@hypothesis.settings(SETTINGS, max_examples=6)
@given(data=st.data())
def test_a_value_that_postgresql_cannot_hold_is_refused_before_the_first_row(
    into_postgres: Crossed, data: st.DataObject
) -> None:
    check_odd(into_postgres, data)


@pytest.mark.matrix
@hypothesis.settings(SETTINGS, max_examples=150)
@given(data=st.data())
def test_any_value_that_postgresql_cannot_hold_is_refused_before_the_first_row(
    into_postgres: Crossed, data: st.DataObject
) -> None:
    check_odd(into_postgres, data)


@pytest.fixture
def converted(postgresql: Both, sqlite: Both, tmp_path: Path) -> Crossed:
    sqlite.source.execute(ddl(list(SQLITE)))
    names = [f"c{n}" for n in range(len(SQLITE))]
    return Crossed(tmp_path, sqlite.source, postgresql.target, list(SQLITE), convert=names)


@hypothesis.settings(SETTINGS, max_examples=4)
@given(rows=rows_of([ANYTHING] * len(SQLITE)))
def test_with_convert_every_row_comes_whatever_it_holds(
    converted: Crossed, rows: list[tuple[Any, ...]]
) -> None:
    converted.fill(rows)
    assert converted.run().error is None
    assert converted.target.execute("SELECT count(*) FROM things") == [(len(rows),)]


@pytest.mark.parametrize(
    ("type_", "value", "told"),
    [
        ("numeric", -(2**63), ""),
        ("numeric", "12\0 34", "c0 of things has values"),
        ("timestamp", "2025-01-06 12:00:00\0 34", "c0 of things has values"),
        ("tsvector", "noon:12:00", "c0 of things has values"),
    ],
)
def test_a_value_is_held_or_refused_where_the_engines_fail_to_tell(
    postgresql: Both, sqlite: Both, tmp_path: Path, type_: str, value: object, told: str
) -> None:
    sqlite.source.execute(ddl([""]))
    postgresql.target.execute(ddl([type_]))
    crossed = Crossed(tmp_path, sqlite.source, postgresql.target, [""])
    crossed.fill([(value,)])
    assert told in str(crossed.run().error)
    assert len(postgresql.target.execute("SELECT id FROM things")) == (not told)
