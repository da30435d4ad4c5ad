"""PostgreSQL's SQL for the digest of rows, computed in the server.

`hash_record_extended` alone would not do. It adds the columns' hashes up, so that values which two
rows have exchanged would cancel out in the sum over rows: its bits are mixed before they are
summed. PostgreSQL's hash of 64-bit integers and instants keeps 32 bits, that of a numeric leaves
the sign out, that of an interval takes a month for 30 days: these enter by their binary form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.databases.crossing import form_of, sent
from sync.databases.digest import MD5, RECORD
from sync.databases.postgres_types import WIDENED
from sync.databases.shape import quoted

if TYPE_CHECKING:
    from sync.databases.digest import Digested, Entry, Part

FIRST_VERSION = (14,)  # that has hash_record_extended
# Whose own hash tells every two values apart, as far as 64 bits can.
EXACT = {"boolean", "smallint", "integer", "date", "uuid", "bytea"}
TEXTS = {"text", "character varying", "character"}
SENT = {
    "bigint": "int8send",
    "numeric": "numeric_send",
    "real": "float4send",
    "double precision": "float8send",
    "money": "cash_send",
    "interval": "interval_send",
    "timestamp without time zone": "timestamp_send",
    "timestamp with time zone": "timestamptz_send",
    "time without time zone": "time_send",
    "time with time zone": "timetz_send",
}
BLANKED = {"character", "bpchar"}
INTEGERS = {"smallint", "integer", "bigint"}
REALS = {"real", "double precision"}
MIXED = "sum(hashint8extended(h, {}) # hashint8extended(h >> 32, {}))"


def row_hash(digested: Digested) -> str:
    """The hash of one row, as an expression over the table's columns."""
    if digested.kind == RECORD:
        return f"hash_record_extended(ROW({', '.join(map(_record_term, digested.entries))}), 0)"
    assert digested.kind == MD5, digested.kind
    terms = ", ".join(map(_md5_term, digested.entries))
    return f"md5(convert_to(array_to_string(ARRAY[{terms}], ''), 'UTF8'))"


def sums(kind: str) -> str:
    """Rows and both sums over rows' hashes that are named `h`."""
    if kind == RECORD:
        return f"count(*), {MIXED.format(1, 2)}, {MIXED.format(3, 4)}"
    halves = (f"sum(('x' || substr(h, {first}, 16))::bit(64)::bigint)" for first in (1, 17))
    return f"count(*), {', '.join(halves)}"


def bucket(part: Part) -> str:
    """In which bucket of a part a row is, as an expression over the table's columns."""
    hashed = row_hash(part.key)
    if part.key.kind == MD5:
        hashed = f"('x' || substr({hashed}, 1, 8))::bit(32)::bigint"
    return f"({hashed}) & {part.buckets - 1}"


def texts(digested: Digested) -> list[str]:
    """The values as text, in the target's precision."""
    return list(map(_text, digested.entries))


def _record_term(entry: Entry) -> str:
    name, base = quoted(entry.column.name), _base(entry.column.type)
    if not entry.alike:
        return f'{_text(entry)} COLLATE "C"'
    if base in EXACT:
        return name
    if base in TEXTS:
        return f'{name} COLLATE "C"'
    if base in SENT:
        return f"{SENT[base]}({name})"
    return f'{_text(entry)} COLLATE "C"'


def _md5_term(entry: Entry) -> str:
    name, base = quoted(entry.column.name), _base(entry.cast or entry.column.type)
    if entry.other:
        return _crossing_term(entry)
    value = f"{_text(entry)}::{base}" if entry.cast else name
    if base in INTEGERS:
        said = f"'i' || {value} || ';'"
    elif base == "boolean":
        said = f"'i' || {value}::int || ';'"
    elif base in REALS:
        said = f"'r' || encode(float8send({value}::float8), 'hex')"
    elif base == "bytea":
        said = f"'b' || length({value}) || ':' || encode({value}, 'hex')"
    else:
        text = _text(entry)
        said = f"'t' || length({text}) || ':' || {text}"
    return f"COALESCE({said}, 'n')"


def _crossing_term(entry: Entry) -> str:
    """As the value stands in SQLite."""
    value = f"({sent(entry.column, convert=entry.convert)})"
    said = {
        "integer": f"'i' || {value} || ';'",
        "real": f"'r' || encode(float8send({value}::float8), 'hex')",
        "blob": f"'b' || length({value}) || ':' || encode({value}, 'hex')",
        "text": f"'t' || length({value}) || ':' || {value}",
    }
    return f"COALESCE({said[form_of(entry.column).stored]}, 'n')"


def _text(entry: Entry) -> str:
    """The value as COPY writes it, in the target's precision."""
    name = quoted(entry.column.name)
    if entry.other:
        return f"({sent(entry.column, convert=entry.convert)})::text"
    if entry.cast and WIDENED.get(entry.column.type) == entry.cast:
        return f"({name}::{entry.cast}::text)"
    text = f"{name}::text"
    if entry.cast or _base(entry.column.type) in BLANKED:
        # The cast would write a boolean as a word, an address with its mask, and strip the blanks
        # that COPY writes; a composite of NULLs is no NULL.
        text = f"(CASE WHEN {name} IS DISTINCT FROM NULL THEN concat({name}) END)"
    return f"({text}::{entry.cast}::text)" if entry.cast else f"({text})"


def _base(type_: str) -> str:
    """A type's name without modifiers: numeric(12,2) is numeric, timestamp(3) without … too."""
    head, bracket, tail = type_.partition("(")
    return head + tail.partition(")")[2] if bracket else type_
