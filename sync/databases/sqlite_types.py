"""SQLite's types: what a declared one means, and what it makes of a value that is stored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sync.databases.shape import quoted
from sync.databases.sqlite_days import class_of

if TYPE_CHECKING:
    from sync.databases.digest import Entry

PLAIN_TYPE = re.compile(
    r"(?!.*\b(?:primary|not|null|unique|check|default|collate|references|as|generated|constraint)\b)"
    r"[a-z_][a-z_0-9 ]*(?:\(\s*\d+\s*(?:,\s*\d+\s*)?\))?",
    re.IGNORECASE,
)
# By the first of these that a declared type has in it; a column without a type has none.
AFFINITIES = (
    ("INT", "number"),
    ("CHAR", "text"),
    ("CLOB", "text"),
    ("TEXT", "text"),
    ("BLOB", ""),
    ("REAL", "real"),
    ("FLOA", "real"),
    ("DOUB", "real"),
)
# A comparison with a number makes a number of a text that looks like one, as storing it does.
NUMBER = "typeof({0}) = 'text' AND CAST({0} AS NUMERIC) = +{0} THEN CAST({0} AS NUMERIC)"
WHOLE = (
    "typeof({0}) = 'real' AND CAST({0} AS INTEGER) = {0}"
    " AND CAST({0} AS INTEGER) > -9223372036854775808 THEN CAST({0} AS INTEGER)"
)
STORED = {
    "text": "CASE WHEN typeof({0}) IN ('integer', 'real') THEN CAST({0} AS TEXT) ELSE {0} END",
    "number": f"CASE WHEN {NUMBER} WHEN {WHOLE} ELSE {{0}} END",
    "real": "CASE WHEN typeof({0}) = 'integer' THEN CAST({0} AS REAL)"
    f" WHEN {NUMBER.replace('THEN CAST({0} AS NUMERIC)', 'THEN CAST({0} AS REAL)')} ELSE {{0}} END",
}


def affinity(declared: str) -> str:
    """Of a declared type; INTEGER and NUMERIC store alike."""
    words = declared.upper()
    default = "number" if words else ""
    return next((found for part, found in AFFINITIES if part in words), default)


def as_stored(entry: Entry) -> str:
    """A column's value, as SQL, as it is once it is stored in the other side's column."""
    name, wanted = quoted(entry.column.name), affinity(entry.cast or "")
    if not wanted or wanted == affinity(entry.column.type):
        return name
    return STORED[wanted].replace("{0}", name)


def meant(declared: str, table: Any, *, alias: bool) -> str:
    """The type that means in any table what the declared one means in its own.

    None where values stand as they are: in an ANY of a STRICT table (elsewhere ANY turns '01' into
    1), in a view of several SELECTs (which tells the types of the first). An INTEGER key that is no
    name of the rowid (no `alias`) is an INT, which never is one.
    """
    if table.type == "view":
        compound = re.search(r"\b(union|except|intersect)\b", table.sql, re.IGNORECASE)
        if compound and class_of(declared) is None:
            return ""
    if declared.upper() == "ANY" and (table.strict or table.type == "view"):
        return ""
    return declared if alias or declared.upper() != "INTEGER" else "INT"


def declared(type_: str, *, strict: bool) -> str:
    """A type as a new table declares it; in quotes where its words would mean something else."""
    if not type_:
        return "ANY" if strict else ""
    return type_ if PLAIN_TYPE.fullmatch(type_) else quoted(type_)
