"""Any values arrive as they are, PostgreSQL to PostgreSQL and SQLite to SQLite.

Each type is a column of one table; its values are made up as text, written into the source, synced
and compared by what COPY writes of either side, or by SQLite's own bytes.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.installation import Both, PostgresSide, SqliteSide, table

MONDAY = "2025-01-06"
Texts = st.SearchStrategy[str]
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ODD = WORDS | st.text(st.sampled_from("\\N.\t\n\r\"',{}()[] é\u0301👩"))


def numbers(low: int, high: int) -> Texts:
    return (st.integers(low, high) | st.sampled_from([low, high, max(low, 0)])).map(str)


def bits(low: int, high: int) -> Texts:
    return st.text(st.sampled_from("01"), min_size=low, max_size=high)


def array(elements: Texts) -> Texts:
    def quoted(text: str | None) -> str:
        escaped = (text or "").replace("\\", "\\\\").replace('"', '\\"')
        return "NULL" if text is None else f'"{escaped}"'

    def written(found: tuple[list[str | None], int | None]) -> str:
        items, low = found
        bounds = f"[{low}:{low + len(items) - 1}]=" if items and low is not None else ""
        return f"{bounds}{{{','.join(map(quoted, items))}}}"

    lists = st.lists(st.none() | elements, max_size=4)
    return st.tuples(lists, st.none() | st.integers(-5, 5)).map(written)


CLOCKS = st.tuples(numbers(0, 23), numbers(0, 59), numbers(0, 59), numbers(0, 999_999)).map(
    lambda t: f"{t[0]}:{t[1]}:{t[2]}.{t[3]:>06}"
)
OFFSETS = st.tuples(st.sampled_from("+-"), numbers(0, 15), numbers(0, 59)).map(
    lambda t: f"{t[0]}{t[1]}:{t[2]:>02}"
)


def days(last_year: int) -> Texts:
    found = st.tuples(
        numbers(1, last_year) | numbers(1, 9999),
        numbers(1, 12),
        numbers(1, 28),
        st.sampled_from(["", "", " BC"]),
    )
    return found.map(
        lambda t: f"{min(int(t[0]), 4700) if t[3] else t[0]:>04}-{t[1]:>02}-{t[2]:>02}%s{t[3]}"
    )


def dates(last_year: int, *more: Texts) -> Texts:
    dated = st.tuples(days(last_year), *more).map(lambda t: t[0] % " ".join(["", *t[1:]]))
    return st.sampled_from(["infinity", "-infinity"]) | dated


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=6,
)
REALS = st.floats(width=32).map(repr)
DOUBLES = st.floats().map(repr)
NUMERICS = st.tuples(numbers(-(10**40), 10**40), numbers(-500, 500)).map("e".join) | (
    st.sampled_from(["NaN", "Infinity", "-Infinity", "0.000", "-0"])
)
TYPES: dict[str, Texts] = {
    "smallint": numbers(-(2**15), 2**15 - 1),
    "integer": numbers(-(2**31), 2**31 - 1),
    "bigint": numbers(-(2**63), 2**63 - 1),
    "oid": numbers(0, 2**32 - 1),
    "numeric": NUMERICS,
    "numeric(12,2)": st.integers(-(10**12) + 1, 10**12 - 1).map(lambda n: f"{n}e-2"),
    "real": REALS,
    "double precision": DOUBLES,
    "money": numbers(-(2**63) // 100 + 1, 2**63 // 100 - 1),
    "boolean": st.sampled_from(["t", "f"]),
    "text": ODD,
    "varchar(9)": ODD.map(lambda text: text[:9]),
    "char(9)": ODD.map(lambda text: text[:9]),
    "bpchar": ODD,
    "bytea": st.binary().map(lambda raw: f"\\x{raw.hex()}"),
    "bit(5)": bits(5, 5),
    "varbit": bits(0, 70),
    "date": dates(5_874_896),
    "timestamp": dates(294_275, CLOCKS),
    "timestamptz(3)": dates(294_275, CLOCKS, OFFSETS),
    "time": CLOCKS,
    "timetz": st.tuples(CLOCKS, OFFSETS).map("".join),
    "interval": st.tuples(
        numbers(-(10**9), 10**9), numbers(-(2**31), 2**31 - 1), numbers(-(10**15), 10**15)
    ).map(lambda t: f"{t[0]} mon {t[1]} days {t[2]} microseconds"),
    "uuid": st.uuids().map(str),
    "inet": (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str),
    "json": JSON.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
    "jsonb": JSON.map(lambda value: json.dumps(value, ensure_ascii=False)),
    "text[]": array(ODD),
    "numeric[]": array(NUMERICS),
    "bytea[]": array(st.binary().map(lambda raw: f"\\x{raw.hex()}")),
    "int4range": st.tuples(numbers(-99, 0), numbers(0, 99)).map(lambda t: f"[{t[0]},{t[1]}]"),
    "point": st.tuples(DOUBLES, DOUBLES).map(lambda t: f"({t[0]},{t[1]})"),
    "tsvector": st.lists(st.text("ab密", min_size=1), max_size=3).map(" ".join),
}
# Text alone: in the binary form they have numbers that differ between databases.
MADE: dict[str, Texts] = {
    "mood": st.sampled_from(["sad", "it's", "\\N", ""]),
    "mood[]": array(st.sampled_from(["sad", "it's", "\\N", ""])),
    "cents": numbers(0, 10**9),
    "pair": st.tuples(numbers(-9, 9), ODD).map(
        lambda t: '({},"{}")'.format(t[0], t[1].replace("\\", "\\\\").replace('"', '""'))
    ),
}
MAKE = """
    CREATE TYPE mood AS ENUM ('sad', 'it''s', E'\\\\N', ''); CREATE DOMAIN cents AS numeric;
    CREATE TYPE pair AS (a integer, b text)"""
Synced = Callable[[list[tuple[Any, ...]]], tuple[list[bytes], list[bytes]]]


def rows_of(columns: list[st.SearchStrategy[Any]]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*(st.none() | column for column in columns)), min_size=1, max_size=5)


@pytest.fixture
def through_postgresql(postgresql: Both, tmp_path: Path) -> Synced:
    """Rows by way of two tables: of built-in types, and with those that somebody made."""
    source, target = postgresql.source, postgresql.target
    assert isinstance(source, PostgresSide)
    assert isinstance(target, PostgresSide)
    for side in (source, target):
        side.execute(MAKE)
    for name, types in (("built_in", TYPES), ("made", TYPES | MADE)):
        columns = ", ".join(f"c{n} {type_}" for n, type_ in enumerate(types))
        source.execute(f"CREATE TABLE {name} (day date, id integer, {columns})")
    installation = postgresql.installation(
        tmp_path, table("built_in", "day"), table("made", "day"), run={"shrink_max": 0}
    )

    def synced(rows: list[tuple[Any, ...]]) -> tuple[list[bytes], list[bytes]]:
        source.execute("TRUNCATE built_in, made")
        numbered = [(MONDAY, n, *row) for n, row in enumerate(rows)]
        source.insert("made", numbered)
        source.insert("built_in", [row[: len(TYPES) + 2] for row in numbered])
        assert installation.run(MONDAY).error is None
        forms = (("made", "text"), ("built_in", "text"), ("built_in", "binary"))
        there, here = (
            [side.written(f"SELECT * FROM {name} ORDER BY id", form) for name, form in forms]
            for side in (source, target)
        )
        return there, here

    return synced


SQLITE_TYPES = ("", "INTEGER", "NUMERIC", "REAL", "TEXT", "BLOB", "VARCHAR(3)", "BOOLEAN")
MIXED = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.integers().map(str)
    | DOUBLES
)


@pytest.fixture
def through_sqlite(sqlite: Both, tmp_path: Path) -> Synced:
    """Rows by way of a table with a column of each affinity, and of a STRICT one."""
    source, target = sqlite.source, sqlite.target
    assert isinstance(source, SqliteSide)
    assert isinstance(target, SqliteSide)
    columns = ", ".join(f"c{n} {type_}" for n, type_ in enumerate(SQLITE_TYPES))
    source.execute(f"CREATE TABLE loose (day DATE, {columns})")
    columns = ", ".join(f"c{n} ANY" for n in range(len(SQLITE_TYPES)))
    source.execute(f"CREATE TABLE strict (day TEXT, {columns}) STRICT")
    installation = sqlite.installation(
        tmp_path, table("loose", "day"), table("strict", "day"), run={"shrink_max": 0}
    )

    def synced(rows: list[tuple[Any, ...]]) -> tuple[list[bytes], list[bytes]]:
        for name in ("loose", "strict"):
            source.execute(f"DELETE FROM {name}")
            source.insert(name, [(MONDAY, *row) for row in rows])
        assert installation.run(MONDAY).error is None
        terms = ", ".join(f"typeof(c{n}), c{n}" for n in range(len(SQLITE_TYPES)))
        there, here = (
            [row for name in ("loose", "strict") for row in side.raw(f"SELECT {terms} FROM {name}")]
            for side in (source, target)
        )
        return there, here

    return synced


FEW = hypothesis.settings(
    deadline=None,
    max_examples=5,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate],
)
MANY = hypothesis.settings(FEW, max_examples=50)


@FEW
@given(rows=rows_of([*TYPES.values(), *MADE.values()]))
def test_any_values_of_postgresql_arrive(through_postgresql: Synced, rows: list[Any]) -> None:
    there, here = through_postgresql(rows)
    assert here == there


@pytest.mark.matrix
@pytest.mark.parametrize("verify", ["none", "digest"])
def test_values_of_100_mb_arrive(both: Both, tmp_path: Path, verify: str) -> None:
    blob = "bytea" if both.kind == "postgresql" else "BLOB"
    both.source.execute(f"CREATE TABLE t (day date, b {blob}, t text)")
    if both.kind == "postgresql":
        big = "decode(repeat('00ff5c0a', 25000000), 'hex'), repeat('\\密', 25000000)"
        same = "SELECT md5(b), md5(t), length(b) FROM t"
    else:
        big = "zeroblob(100000000), printf('%.*c', 100000000, 'x')"
        same = "SELECT length(b), length(t), count(*) FROM t"
    both.source.execute(f"INSERT INTO t SELECT '{MONDAY}', {big}")
    run = both.installation(tmp_path, table("t", "day"), run={"verify": verify}).run(MONDAY)
    source, target = both.rows(same)
    assert (run.error, target, source[0][-1] in {100_000_000, 1}) == (None, source, True)


@pytest.mark.matrix
@MANY
@given(rows=rows_of([*TYPES.values(), *MADE.values()]))
def test_very_many_values_of_postgresql_arrive(through_postgresql: Synced, rows: list[Any]) -> None:
    there, here = through_postgresql(rows)
    assert here == there


@FEW
@given(rows=rows_of([MIXED] * len(SQLITE_TYPES)))
def test_any_values_of_sqlite_arrive(through_sqlite: Synced, rows: list[Any]) -> None:
    there, here = through_sqlite(rows)
    assert here == there


@pytest.mark.matrix
@MANY
@given(rows=rows_of([MIXED] * len(SQLITE_TYPES)))
def test_very_many_values_of_sqlite_arrive(through_sqlite: Synced, rows: list[Any]) -> None:
    there, here = through_sqlite(rows)
    assert here == there
