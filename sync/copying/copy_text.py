"""COPY's text format between PostgreSQL and Python's values, a column of many rows at a time.

A value is escaped or unescaped only where its column has anything to escape.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from sync.databases.crossing import form_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sync.copying.pipe import Pipe
    from sync.databases.shape import Column

NULL = "\\N"
SPECIAL = "\\\t\n\r"
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
ESCAPED = re.compile(r"\\(.)")
UNESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Cells: TypeAlias = "Sequence[str]"
Encoder: TypeAlias = "Callable[[Sequence[Any]], Cells]"


def encoders(columns: Iterable[Column]) -> list[Encoder]:
    """What makes the cells of each of these PostgreSQL columns of the values that they hold."""
    return [ENCODERS.get(form_of(column).declared, _text_cells) for column in columns]


def lines_of(columns: Iterable[Cells]) -> bytes:
    """The rows of these columns as lines."""
    return ("\n".join(map("\t".join, zip(*columns, strict=True))) + "\n").encode()


def _text_cells(values: Sequence[Any]) -> Cells:
    if None in values:
        present = _text_cells([value for value in values if value is not None])
        cells = iter(present)
        return [NULL if value is None else next(cells) for value in values]
    whole = "".join(values)
    if any(special in whole for special in SPECIAL):
        return [value.translate(ESCAPES) for value in values]
    return values


def _plain_cells(values: Sequence[Any]) -> Cells:
    """Of values whose text has nothing to escape."""
    if None in values:
        return [NULL if value is None else str(value) for value in values]
    return list(map(str, values))


def _blob_cells(values: Sequence[Any]) -> Cells:
    return [NULL if value is None else f"\\\\x{value.hex()}" for value in values]


# By the type of the SQLite column that is made for them; text is what is not here.
ENCODERS: Mapping[str, Encoder] = {
    "BLOB": _blob_cells,
    **dict.fromkeys(
        (
            *("SMALLINT", "INTEGER", "BIGINT", "BOOLEAN", "FLOAT4", "DOUBLE PRECISION"),
            *("NUMERIC TEXT", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "UUID"),
        ),
        _plain_cells,
    ),
}


def rows_of(pipe: Pipe, columns: Sequence[Column]) -> Iterator[Iterable[tuple[Any, ...]]]:
    """The rows that come through a pipe as lines, block by block, as these PostgreSQL columns'."""
    decode = [DECODERS[form_of(column).stored] for column in columns]
    rest: list[bytes] = []
    while block := pipe.read():
        end = block.rfind(b"\n")
        if end < 0:
            rest.append(block)
            continue
        text = b"".join((*rest, block[:end])).decode()
        rest = [block[end + 1 :]]
        cells = zip(*(line.split("\t") for line in text.split("\n")), strict=True)
        yield zip(*(make(of) for make, of in zip(decode, cells, strict=True)), strict=True)


def _texts(cells: Cells) -> Sequence[str | None]:
    nulls, whole = cells.count(NULL), "".join(cells)
    if whole.count("\\") > nulls:
        return [
            None if cell == NULL else ESCAPED.sub(_unescaped, cell) if "\\" in cell else cell
            for cell in cells
        ]
    return [None if cell == NULL else cell for cell in cells] if nulls else cells


def _unescaped(found: re.Match[str]) -> str:
    return UNESCAPES.get(found[1], found[1])


def _made_by(make: Callable[[str], Any]) -> Callable[[Cells], Sequence[Any]]:
    def values(cells: Cells) -> Sequence[Any]:
        if NULL in cells:
            return [None if cell == NULL else make(cell) for cell in cells]
        return list(map(make, cells))

    return values


DECODERS: Mapping[str, Callable[[Cells], Sequence[Any]]] = {
    "integer": _made_by(int),
    "real": _made_by(float),
    "blob": _made_by(lambda cell: bytes.fromhex(cell[3:])),  # after its escaped backslash and x
    "text": _texts,
}
