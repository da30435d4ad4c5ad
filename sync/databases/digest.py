"""The digest of rows: 128 bits that do not depend on their order, and how many rows there are.

Each row becomes a hash over its columns' values; two sums of it modulo 2^64 are the digest. A sum,
and no XOR, so that a row that stands twice counts twice. Two kinds, each computed where the rows
are (docs/digest.md tells what they cannot see):

    record-1   PostgreSQL's own hash of a record: fast, for two PostgreSQL servers of 14 or newer
    md5-1      MD5 of a text that says each value exactly: the same in every engine

Of `md5-1` the text of a value is its kind and then itself, so that NULL, "" and 0 differ and no
column runs into the next: `n` NULL, `i7;` integer, `r` and 16 hex digits real (IEEE 754), `t3:abc`
text with its length in characters, `b2:00ff` bytes. The halves of a row's MD5 are what is summed.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    from sync.databases.shape import Column, Table

RECORD = "record-1"
MD5 = "md5-1"
MODULUS = 1 << 64

# A row's hash, and then the values that were asked for, as text and in their order.
Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Digest:
    """How many rows, and 32 hex digits, comparable only among digests of one kind.

    None where rows were counted alone. `mark` tells where they stand, not what they are.
    """

    rows: int
    value: str | None = None
    mark: str | None = field(default=None, compare=False)


NOTHING = Digest(0, "0" * 32, "0" * 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A column that enters a row's hash.

    `alike` tells that the other side stores its values in the very same form. Where it does not,
    they are brought to the target's type first, `cast`, as copying does. `other` is the column of
    the other side where that is another engine; `convert` tells that copying converts its values.
    """

    column: Column
    alike: bool
    cast: str | None = None
    other: Column | None = None
    convert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Digested:
    """What is digested of a table's rows, and which of them where not all."""

    kind: str
    entries: tuple[Entry, ...]
    where: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of a table whose `column` is `low` or later and before `high`.

    They fall into `buckets` (a power of two) by the hash of their `key`; `chosen` are some of them.
    Of a row, the values of `shown` are handed over.
    """

    table: Table
    column: Column
    low: date
    high: date
    digested: Digested
    key: Digested
    shown: Digested
    buckets: int = 1
    chosen: tuple[int, ...] = (0,)


def entries(
    columns: Sequence[tuple[Column, Column]],
    *,
    source: bool,
    crossing: bool = False,
    convert: Collection[str] = (),
) -> tuple[Entry, ...]:
    """How pairs of a source's and a target's column enter on one of the two sides.

    `crossing` tells that the two are of different engines, which write values in their own ways.
    """

    def entry(there: Column, here: Column) -> Entry:
        if crossing:
            column, other = (there, here) if source else (here, there)
            converts = source and column.name in convert
            return Entry(column=column, alike=False, other=other, convert=converts)
        alike = there.portable and here.portable and there.type == here.type
        casts = source and here.portable and there.type != here.type
        return Entry(
            column=there if source else here, alike=alike, cast=here.type if casts else None
        )

    return tuple(entry(there, here) for there, here in columns)


def summed(rows: int, *sums: object) -> Digest:
    """The digest of sums as a database gives them: of any sign and size, None for no rows.

    The first two are of the rows' hashes, the next two of their marks.
    """
    halves = [f"{int(str(half or 0)) % MODULUS:016x}" for half in sums]
    return Digest(rows, "".join(halves[:2]), "".join(halves[2:]) or None)


def total(digests: Sequence[Digest]) -> Digest:
    """The digest of all these rows together: sums of sums."""
    values = [digest.value for digest in digests if digest.value]
    first, second = (sum(int(value[n : n + 16], 16) for value in values) for n in (0, 16))
    return summed(sum(digest.rows for digest in digests), first, second)


class Md5Sums:
    """The digest `md5-1` of rows of Python values, as SQLite hands them over."""

    def __init__(self) -> None:
        self._rows = self._first = self._second = 0

    def add(self, values: Sequence[object]) -> None:
        """Count one row in."""
        first, second = struct.unpack(">QQ", row_md5(values))
        self._rows += 1
        self._first += first
        self._second += second

    def digest(self) -> Digest:
        """Of all that was added."""
        return summed(self._rows, self._first, self._second)


def row_md5(values: Sequence[object]) -> bytes:
    """The hash of one row, 16 bytes."""
    text = "".join(map(_canonical, values))
    # What is not UTF-8 in an SQLite file came as surrogates, and goes as the bytes it was.
    return hashlib.md5(text.encode(errors="surrogateescape"), usedforsecurity=False).digest()


def _canonical(value: object) -> str:
    if value is None:
        return "n"
    if isinstance(value, str):
        return f"t{len(value)}:{value}"
    if isinstance(value, int):
        return f"i{value};"
    if isinstance(value, float):
        return "r" + struct.pack(">d", value).hex()
    assert isinstance(value, bytes), type(value)
    return f"b{len(value)}:{value.hex()}"
