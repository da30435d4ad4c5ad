"""Which values of a source the other engine cannot hold: counted before any row moves.

One pass over the rows looks for values that are not surely held, by SQL alone; only those of
columns where there are any are looked at one by one.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.errors

from sync.databases.crossing import form_of, plain_lines, sure
from sync.databases.shape import Column, quoted
from sync.databases.sqlite import decoded_text, text_as
from sync.databases.values import UnheldError, reader

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from sync.databases.values import Value

REFUSED = (
    *(psycopg2.DataError, psycopg2.IntegrityError, psycopg2.NotSupportedError),
    psycopg2.errors.SyntaxError,  # of a tsvector or a jsonpath
)
ASKED = 1_000  # values of one question to PostgreSQL
IS = {"NaN": "{c} = 'NaN'", "-0": "{c} = 0 AND {c}::text = '-0'"}
SHORT_MAX = 1 << 16  # characters of a text that is read with others
EXAMPLE_MAX = 60  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A column on both sides, and whether its values may be converted, or count days."""

    there: Column
    here: Column
    convert: bool
    days: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Values of a column that the target's cannot hold; `mendable` tells that `convert` helps."""

    there: Column
    here: Column
    count: int
    example: str
    mendable: bool


def in_postgres(connection: Connection, rows: str, columns: Sequence[Crossing]) -> list[Misfit]:
    """What SQLite cannot hold of these rows (`FROM … WHERE …`): NaN and -0.

    SQLite makes NULL of NaN, and 0 of -0.
    """
    asked = [(column, what) for column in columns for what in _askable(column)]
    if not asked:
        return []
    counts = ", ".join(
        f"count(*) FILTER (WHERE {IS[what].format(c=quoted(column.there.name))})"
        for column, what in asked
    )
    found = connection.exec_driver_sql(f"SELECT {counts} {rows}").one()
    return [
        Misfit(
            there=column.there,
            here=column.here,
            count=count,
            example=what,
            mendable=not column.convert and (what == "-0" or not column.here.not_null),
        )
        for (column, what), count in zip(asked, found, strict=True)
        if count
    ]


def _askable(column: Crossing) -> Iterator[str]:
    """What there may be in a column that does not fit."""
    if form_of(column.there).stored == "real":
        if not column.convert:
            yield "-0"
        if not column.convert or column.here.not_null:
            yield "NaN"


def in_sqlite(
    connection: Connection, rows: str, columns: Sequence[Crossing], writing: Connection | None
) -> list[Misfit]:
    """What PostgreSQL cannot hold of these rows; `writing`, if any, is asked for its own types."""
    asked = [c for c in columns if not c.convert or c.here.not_null or form_of(c.here).other]
    patterns = {c: pattern for c in asked if (pattern := plain_lines(c.there, c.here))}
    suspects = _doubted(connection, rows, [c for c in asked if c not in patterns])
    suspects += _odd_texts(connection, rows, patterns)
    with text_as(connection, decoded_text) as driver:
        found = [_of_column(driver, rows, column, writing) for column in suspects]
    return [misfit for misfit in found if misfit]


def _doubted(connection: Connection, rows: str, columns: Sequence[Crossing]) -> list[Crossing]:
    """The columns that have values of which SQL cannot tell that they are surely held."""
    doubts = [_doubt(column) for column in columns]
    driver = _driver(connection)
    if not driver.execute(f"SELECT 1 {rows} AND ({' OR '.join(doubts) or 0}) LIMIT 1").fetchone():
        return []
    found = driver.execute(f"SELECT {', '.join(f'max({d})' for d in doubts)} {rows}").fetchone()
    return [column for column, doubted in zip(columns, found, strict=True) if doubted]


def _odd_texts(
    connection: Connection, rows: str, patterns: Mapping[Crossing, re.Pattern[str]]
) -> list[Crossing]:
    """The columns that have what is no text, no UTF-8, long, or not of its pattern.

    To read them, and match the lines of many rows at once, is quicker than SQL that looks into
    texts.
    """
    if not patterns:
        return []
    columns = list(patterns)
    names = [quoted(column.there.name) for column in columns]
    short = (f"CASE WHEN length({n}) >= {SHORT_MAX} THEN x'' ELSE {n} END" for n in names)
    found = _driver(connection).execute(f"SELECT {', '.join(short)} {rows}")
    odd: set[Crossing] = set()
    try:
        while chunk := found.fetchmany(ASKED):
            for column, values in zip(columns, zip(*chunk, strict=True), strict=True):
                if column not in odd and _is_odd(values, patterns[column]):
                    odd.add(column)
    except sqlite3.OperationalError:  # it could not be decoded
        return columns
    return [column for column in columns if column in odd]


def _is_odd(values: Sequence[Any], pattern: re.Pattern[str]) -> bool:
    lines = [value for value in values if value is not None]
    try:
        text = "\n".join([*lines, ""])
    except TypeError:
        return True
    # A text of several lines is not several texts.
    several = pattern.pattern.endswith("*+") and text.count("\n") != len(lines)
    return several or pattern.fullmatch(text) is None


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _doubt(column: Crossing) -> str:
    name = quoted(column.there.name)
    return f"{name} IS NOT NULL AND NOT ({sure(column.there, column.here)})"


def _of_column(
    driver: sqlite3.Connection, rows: str, column: Crossing, writing: Connection | None
) -> Misfit | None:
    name = quoted(column.there.name)
    values: Iterator[Value] = (
        row[0] for row in driver.execute(f"SELECT {name} {rows} AND ({_doubt(column)})")
    )
    other = form_of(column.here).other
    unheld = _refused(values, column, writing) if other and writing else _unheld(values, column)
    count, example = 0, ""
    for value in unheld:
        count, example = count + 1, example or told(value)
    if not count:
        return None
    mendable = not (other or column.convert or column.days)
    return Misfit(
        there=column.there, here=column.here, count=count, example=example, mendable=mendable
    )


def _unheld(values: Iterable[Value], column: Crossing) -> Iterator[Value]:
    read = reader(column.here, convert=column.convert, days=column.days)
    for value in values:
        try:
            held = read(value)
        except UnheldError:
            yield value
        else:
            if held is None and column.here.not_null:
                yield value


def _refused(values: Iterator[Value], column: Crossing, writing: Connection) -> Iterator[Value]:
    """Those that PostgreSQL does not read as the type, or would write in another way."""
    strange: list[Value] = []

    def texts() -> Iterator[str]:
        for value in values:
            unheld = list(_unheld([value], column))
            strange.extend(unheld)
            if not unheld:
                yield str(value)

    asked = texts()
    while batch := list(islice(asked, ASKED)):
        yield from _asked(batch, column.here.type, writing)
    yield from strange


def _asked(batch: list[str], type_: str, writing: Connection) -> list[Value]:
    """Those of a batch that are not values of the type; halved until it is known which."""
    driver = writing.connection.driver_connection
    assert driver is not None
    try:
        with driver.cursor() as cursor:
            cursor.execute(
                f"SELECT v FROM unnest(%s::text[]) AS v WHERE (v::{type_.replace('%', '%%')})::text"
                " IS DISTINCT FROM v",
                (batch,),
            )
            return [row[0] for row in cursor.fetchall()]
    except REFUSED:
        if len(batch) == 1:
            return [batch[0]]
    finally:
        driver.rollback()
    middle = len(batch) // 2
    return [*_asked(batch[:middle], type_, writing), *_asked(batch[middle:], type_, writing)]


def told(value: Value) -> str:
    """A value as people are shown it: what it is can be seen, whatever is in it."""
    if value is None:
        return "NULL"
    shown = f"x'{value[:EXAMPLE_MAX].hex()}'" if isinstance(value, bytes) else repr(value)
    shown = shown.encode(errors="backslashreplace").decode()
    return shown if len(shown) <= EXAMPLE_MAX else shown[:EXAMPLE_MAX] + "…"
