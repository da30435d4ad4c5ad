"""SQLite's values as a PostgreSQL type holds them: read strictly, or converted where asked for.

What is read strictly is the same value afterwards, only perhaps written as PostgreSQL writes it
(`2025-01-06T12:00Z` is an instant). What is converted may be another: docs/types.md tells how.
"""

from __future__ import annotations

import json
import math
import re
import struct
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

from sync.databases.crossing import base_of, split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sync.databases.digest import Entry
    from sync.databases.shape import Column

Value = int | float | str | bytes | None
BOUNDS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
EXACT = Context(prec=150_000, Emax=999_999, Emin=-999_999)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
DIGITS_MAX, DECIMALS_MAX = 131_072, 16_383  # of a numeric, before and after the point
DAY = r"(?P<year>\d{4}|[1-9]\d{4,6})-(?P<day>\d\d-\d\d)"
TIME = r"[ T](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<part>\d+))?)?"
DATES = re.compile(rf"{DAY}(?:[ T]00:00(?::00(?:\.0+)?)?)?(?P<era> BC)?", re.ASCII)
TIMES = re.compile(rf"{DAY}(?:{TIME})?(?P<era> BC)?", re.ASCII)
INSTANTS = re.compile(rf"{DAY}(?:{TIME})? ?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?(?P<era> BC)?", re.ASCII)
ENDLESS = {"infinity", "-infinity"}
YEARS_MAX = {"date": 5_874_897}
UUIDS = re.compile(r"[\da-fA-F]{8}(-[\da-fA-F]{4}){3}-[\da-fA-F]{12}", re.ASCII)
TRUE, FALSE = {"t", "true", "y", "yes", "on", "1"}, {"f", "false", "n", "no", "off", "0"}


class UnheldError(ValueError):
    """A value that the other side's type cannot hold."""


def reader(
    column: Column, *, convert: bool = False, days: bool = False
) -> Callable[[Value], Value]:
    """What makes a value of SQLite one that a PostgreSQL column holds, as SQLite would keep it.

    It raises UnheldError; with `convert` it gives the nearest value, or None where there is none.
    The days of a date column (`days`) have four digits and no era, for else they would not sort.
    """
    base, modifiers = base_of(column), split(column.type)[1]
    strict, loose = READERS.get(base, (_other, _other))

    def read(value: Value) -> Value:
        if value is None:
            return None
        found = strict(value, base, modifiers)
        if days and isinstance(found, str) and (found[4:5] != "-" or found.endswith("BC")):
            raise UnheldError(value)
        return found

    def read_or_convert(value: Value) -> Value:
        with suppress(UnheldError):
            return read(value)
        with suppress(ValueError, OverflowError, InvalidOperation):
            return read(loose(value, base, modifiers))
        return None

    return read_or_convert if convert and loose is not _other else read


def rows_reader(entries: Sequence[Entry]) -> Callable[[Sequence[Value]], Sequence[Value]]:
    """What makes a source's rows of the entries' columns rows as the target holds them.

    What the target cannot hold stays as it is: a difference, whatever stands there.
    """
    reads = {
        n: reader(entry.other, convert=entry.convert)
        for n, entry in enumerate(entries)
        if entry.other
    }

    def read(values: Sequence[Value]) -> Sequence[Value]:
        held = list(values)
        for n, of_column in reads.items():
            with suppress(UnheldError):
                held[n] = of_column(values[n])
        return held

    return read if reads else lambda values: values


def _unheld(value: object) -> NoReturn:
    raise UnheldError(value)


def _whole(value: Value, base: str, _: tuple[int, ...]) -> Value:
    bound = BOUNDS[base]
    if not isinstance(value, int) or not -bound <= value < bound:
        _unheld(value)
    return value


def _to_whole(value: Value, *_: object) -> Value:
    number = Decimal(str(value).strip())
    return int(number.to_integral_value(ROUND_HALF_UP))


def _truth(value: Value, *_: object) -> Value:
    if not isinstance(value, int) or value not in {0, 1}:
        _unheld(value)
    return value


def _to_truth(value: Value, *_: object) -> Value:
    if isinstance(value, int | float):
        return int(bool(value))
    word = str(value).strip().lower()
    return 1 if word in TRUE else 0 if word in FALSE else None


def _real(value: Value, base: str, _: tuple[int, ...]) -> Value:
    if not isinstance(value, int | float):
        _unheld(value)
    try:
        real = float(value)
    except OverflowError:
        _unheld(value)
    if real != value or (base == "real" and _single(real) != real):
        _unheld(value)
    return real


def _single(real: float) -> float:
    """The nearest number of four bytes."""
    try:
        found: float = struct.unpack("f", struct.pack("f", real))[0]
    except OverflowError:
        return math.inf if real > 0 else -math.inf
    return found


def _to_real(value: Value, base: str, _: tuple[int, ...]) -> Value:
    real = float(_told(value))
    return _single(real) if base == "real" else real


def _number(value: Value, _: str, modifiers: tuple[int, ...]) -> Value:
    if value == "NaN" or (value in {"Infinity", "-Infinity"} and not modifiers):
        return value
    if isinstance(value, float):
        value = repr(value)
    if not isinstance(value, int | str) or not NUMBER.fullmatch(str(value)):
        _unheld(value)
    number = _scaled(Decimal(value), modifiers)
    if number != Decimal(value):
        _unheld(value)
    return f"{number:f}" if number else f"{abs(number):f}"


def _scaled(number: Decimal, modifiers: tuple[int, ...]) -> Decimal:
    """`number` with as many digits after the point as the type has, rounded as PostgreSQL does."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or number.adjusted() >= DIGITS_MAX or -exponent > DECIMALS_MAX:
        _unheld(number)
    if not modifiers:
        return number
    precision, scale = modifiers[0], modifiers[1] if len(modifiers) > 1 else 0
    rounded = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, context=EXACT)
    if rounded and rounded.adjusted() >= precision - scale:
        _unheld(number)
    return rounded


def _to_number(value: Value, _: str, modifiers: tuple[int, ...]) -> Value:
    number = Decimal(_told(value).strip())
    if number.is_infinite() and not modifiers:
        return "Infinity" if number > 0 else "-Infinity"
    return f"{_scaled(number, modifiers):f}"


def _text(value: Value, base: str, modifiers: tuple[int, ...]) -> Value:
    if not isinstance(value, str) or "\0" in value or (not value.isascii() and _broken(value)):
        _unheld(value)
    if modifiers and len(value) > modifiers[0]:
        _unheld(value)
    return value.ljust(modifiers[0]) if modifiers and base == "character" else value


def _broken(text: str) -> bool:
    """Whether it was no UTF-8: such bytes were read as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _to_text(value: Value, _: str, modifiers: tuple[int, ...]) -> Value:
    text = _told(value).replace("\0", "")
    text = text.encode(errors="surrogateescape").decode(errors="replace")
    return text[: modifiers[0]] if modifiers else text


def _told(value: Value) -> str:
    """Any value as text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _bytes(value: Value, *_: object) -> Value:
    if not isinstance(value, bytes):
        _unheld(value)
    return value


def _to_bytes(value: Value, *_: object) -> Value:
    return str(value).encode(errors="surrogateescape")


def _moment(value: Value, base: str, modifiers: tuple[int, ...]) -> Value:
    if not isinstance(value, str):
        _unheld(value)
    if value in ENDLESS:
        return value
    found = MOMENTS[base].fullmatch(value)
    if found is None:
        _unheld(value)
    parts = found.groupdict()
    year = _year(value, parts, YEARS_MAX.get(base, 294_276))
    day = f"{parts['year']}-{parts['day']}"
    era = parts["era"] or ""
    if base == "date":
        return f"{day}{era}"
    clock = _clock(value, parts, modifiers[0] if modifiers else 6)
    if base == "timestamp without time zone":
        return f"{day} {clock}{era}"
    zone = parts["zone"] or "Z"
    if zone == "Z" or not zone[1:].replace(":", "").strip("0"):
        return f"{day} {clock}+00:00{era}"
    if not 1 < year < 9999:
        _unheld(value)
    at = datetime.fromisoformat(f"{day} {clock[:8]}{zone}").astimezone(UTC)
    return f"{at.replace(tzinfo=None)}{clock[8:]}+00:00"


def _clock(value: str, parts: Mapping[str, str], digits_max: int) -> str:
    """A time of day, its second with as many digits as say something."""
    clock = f"{parts['hour'] or '00'}:{parts['minute'] or '00'}:{parts['second'] or '00'}"
    part = (parts["part"] or "").rstrip("0")
    if clock > "23:59:59" or clock[3:] > "59:59" or clock[6:] > "59" or len(part) > digits_max:
        _unheld(value)
    return f"{clock}.{part}" if part else clock


def _year(value: str, parts: Mapping[str, str], last: int) -> int:
    """The astronomical year of a day that there is."""
    year = int(parts["year"])
    if not 1 <= year <= (4713 if parts["era"] else last):
        _unheld(value)
    year = 1 - year if parts["era"] else year
    try:
        # The calendar repeats every 400 years; Python's has no others than these.
        date.fromisoformat(f"{year % 400 + 2000}-{parts['day']}")
    except ValueError:
        _unheld(value)
    return year


def _to_moment(value: Value, base: str, modifiers: tuple[int, ...]) -> Value:
    at = datetime.fromisoformat(_told(value).strip())
    if base == "date":
        return str(at.date())
    if base == "timestamp without time zone":
        at = at.replace(tzinfo=None)
    keep = modifiers[0] if modifiers else 6
    at = at.replace(microsecond=at.microsecond // 10 ** (6 - keep) * 10 ** (6 - keep))
    return at.isoformat(" ")


def _uuid(value: Value, *_: object) -> Value:
    if not isinstance(value, str) or not UUIDS.fullmatch(value):
        _unheld(value)
    return value.lower()


def _to_uuid(value: Value, *_: object) -> Value:
    return str(UUID(bytes=value) if isinstance(value, bytes) else UUID(str(value).strip()))


def _json(value: Value, *_: object) -> Value:
    found = _text(value, "text", ())
    try:
        json.loads(str(found), parse_constant=_unheld)
    except (ValueError, RecursionError):
        _unheld(value)
    return found


def _to_json(value: Value, *_: object) -> Value:
    return _told(value)


def _other(value: Value, *_: object) -> Value:
    return _text(value, "text", ())


MOMENTS = {
    "date": DATES,
    "timestamp without time zone": TIMES,
    "timestamp with time zone": INSTANTS,
}
READERS: Mapping[str, tuple[Callable[..., Value], Callable[..., Value]]] = {
    **dict.fromkeys(BOUNDS, (_whole, _to_whole)),
    **dict.fromkeys(("real", "double precision"), (_real, _to_real)),
    **dict.fromkeys(("text", "character varying", "character"), (_text, _to_text)),
    **dict.fromkeys(MOMENTS, (_moment, _to_moment)),
    "boolean": (_truth, _to_truth),
    "numeric": (_number, _to_number),
    "bytea": (_bytes, _to_bytes),
    "uuid": (_uuid, _to_uuid),
    "json": (_json, _to_json),
}
