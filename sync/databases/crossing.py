"""Types between engines, in one table: what PostgreSQL and SQLite make of each other's columns.

PostgreSQL's types are the common words: a column of another engine is one made for a PostgreSQL
type, and each base type has one form there. Of SQLite, `stored` is what typeof() says of its
values. A type that is not in the table is TEXT as PostgreSQL writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sync.databases.shape import Column, DateClass, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

Stored = Literal["integer", "real", "text", "blob"]
# True of text that PostgreSQL and SQLite take for the same, byte by byte: ASCII without NUL.
PLAIN = (
    "typeof({c}) = 'text' AND instr({c}, char(0)) = 0"
    " AND {c} NOT GLOB '*[^' || char(1) || '-' || char(127) || ']*'"
)
AT = "substr({c}, 1, 19)"
NONE = "'+0 days'"  # without any, SQLite takes 2025-02-29 for a day
# A number in text, as plain as most are.
DECIMAL = (
    "typeof({c}) = 'text' AND instr({c}, char(0)) = 0 AND length({c}) < 40"
    " AND {c} GLOB '[-0-9]*' AND {c} GLOB '*[0-9]'"
    " AND substr({c}, 2) NOT GLOB '*[^0-9.]*' AND {c} NOT GLOB '*.*.*'"
)
# What may follow the seconds: at most six digits of them.
PART = "{t} GLOB '.[0-9]*' AND length({t}) <= 7 AND substr({t}, 2) NOT GLOB '*[^0-9]*'"
LOCAL = PART.replace("{t}", "substr({c}, 20)")
UTC = PART.replace("{t}", "substr({c}, 20, length({c}) - 25)") + " AND {c} GLOB '*+00:00'"
DAY = (
    r"(?!0000)\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
TIME = r" (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
LINES = {
    "date": DAY,
    "timestamp without time zone": DAY + TIME,
    "timestamp with time zone": DAY + TIME + r"(?:Z|\+00:00)?",
}
SURE_TIME = (
    "typeof({c}) = 'text' AND instr({c}, char(0)) = 0 AND {c} >= '0001-'"
    f" AND datetime({AT}, {NONE}) IS {AT}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the values of a PostgreSQL base type stand in SQLite.

    `declared` is the type of a column that is made for it, `sent` the value as PostgreSQL hands it
    over. `sure` is true, in SQLite, of values that surely can be held; of others `values.reader`
    decides. `never_number` tells that an affinity for numbers leaves its texts alone; `other` that
    only PostgreSQL itself can tell which texts are values.
    """

    stored: Stored
    declared: str
    sent: str = "{c}::text"
    sure: str = "0"
    never_number: bool = False
    other: bool = False


FORMS: Mapping[str, Form] = {
    "smallint": Form(
        stored="integer",
        declared="SMALLINT",
        sent="{c}",
        sure="typeof({c}) = 'integer' AND {c} BETWEEN -32768 AND 32767",
    ),
    "integer": Form(
        stored="integer",
        declared="INTEGER",
        sent="{c}",
        sure="typeof({c}) = 'integer' AND {c} BETWEEN -2147483648 AND 2147483647",
    ),
    "bigint": Form(stored="integer", declared="BIGINT", sent="{c}", sure="typeof({c}) = 'integer'"),
    "boolean": Form(
        stored="integer",
        declared="BOOLEAN",
        sent="{c}::int",
        sure="typeof({c}) = 'integer' AND {c} BETWEEN 0 AND 1",
    ),
    "real": Form(stored="real", declared="FLOAT4", sent="{c}::float8"),
    "double precision": Form(
        stored="real", declared="DOUBLE PRECISION", sent="{c}", sure="typeof({c}) = 'real'"
    ),
    # An affinity for numbers would make 5 of 5.00.
    "numeric": Form(stored="text", declared="NUMERIC TEXT"),
    "bytea": Form(stored="blob", declared="BLOB", sent="{c}", sure="typeof({c}) = 'blob'"),
    "text": Form(stored="text", declared="TEXT", sure=PLAIN),
    "character varying": Form(
        stored="text", declared="VARCHAR", sure=PLAIN + " AND length({c}) <= {length}"
    ),
    # The cast to text would strip the blanks that COPY writes.
    "character": Form(
        stored="text",
        declared="CHARACTER",
        sent="(CASE WHEN {c} IS NOT NULL THEN concat({c}) END)",
        sure=PLAIN + " AND length({c}) <= {length}",
    ),
    "date": Form(
        stored="text",
        declared="DATE",
        never_number=True,
        sure="typeof({c}) = 'text' AND {c} >= '0001-' AND date({c}, " + NONE + ") IS {c}",
    ),
    "timestamp without time zone": Form(
        stored="text",
        declared="TIMESTAMP",
        never_number=True,
        sure=f"{SURE_TIME} AND (length({{c}}) = 19 OR {LOCAL})",
    ),
    # SQLite reads an offset with its minutes only.
    "timestamp with time zone": Form(
        stored="text",
        declared="TIMESTAMPTZ",
        sent="replace({c}::text, '+00', '+00:00')",
        never_number=True,
        sure=f"{SURE_TIME} AND (substr({{c}}, 20) IN ('', 'Z', '+00:00') OR {UTC})",
    ),
    "uuid": Form(stored="text", declared="UUID", never_number=True),
    "json": Form(stored="text", declared="JSON TEXT", sure=PLAIN + " AND json_valid({c})"),
    "jsonb": Form(stored="text", declared="JSONB TEXT", other=True),
    "time without time zone": Form(stored="text", declared="TIME", never_number=True, other=True),
}
OTHER = Form(stored="text", declared="TEXT", other=True)
BASES = {
    DateClass.DATE: "date",
    DateClass.TIMESTAMP: "timestamp without time zone",
    DateClass.TIMESTAMPTZ: "timestamp with time zone",
}
# What SQLite's own words for types, beside those above, are to PostgreSQL.
SYNONYMS = {
    "DATETIME": "timestamp without time zone",
    "TIMESTAMP WITHOUT TIME ZONE": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "BOOL": "boolean",
    "NUMERIC": "numeric",
    "DECIMAL": "numeric",
    "DEC": "numeric",
    "GUID": "uuid",
    "JSON": "json",
    "JSONB": "jsonb",
}
BY_DECLARED = {form.declared: base for base, form in FORMS.items()} | SYNONYMS
LOOSE = {"integer": "bigint", "text": "text", "real": "double precision", "numeric": "numeric"}
AFFINITIES = (
    ("integer", ("INT",)),
    ("text", ("CHAR", "CLOB", "TEXT")),
    ("blob", ("BLOB",)),
    ("real", ("REAL", "FLOA", "DOUB")),
)
DAYS = {base: kind for kind, base in BASES.items()}
SCALED = {"numeric", "character varying", "character"}


def split(type_: str) -> tuple[str, tuple[int, ...]]:
    """A type's name without modifiers, and these: numeric(12,2), timestamp(3) without time zone."""
    found = re.fullmatch(r"([^()]*)\(([-\d, ]*)\)([^()]*)", type_)
    if found is None:
        return type_.strip(), ()
    head, modifiers, tail = found.groups()
    return (head.rstrip() + tail).strip(), tuple(int(m) for m in modifiers.split(",") if m.strip())


def base_of(column: Column) -> str:
    """The name of a PostgreSQL column's type, without modifiers; of a domain of dates, theirs."""
    return BASES[column.date_class] if column.date_class else split(column.type)[0]


def form_of(column: Column) -> Form:
    """How the values of a PostgreSQL column stand in SQLite."""
    return FORMS.get(base_of(column), OTHER)


def sent(column: Column, *, convert: bool) -> str:
    """A column of PostgreSQL as SQL that gives its values as they stand in SQLite."""
    form, name = form_of(column), quoted(column.name)
    if convert and form.stored == "real":
        name = f"(NULLIF({name}, 'NaN') + 0)"  # which makes 0 of -0
    return form.sent.format(c=name)


def sure(there: Column, here: Column) -> str:
    """SQL that is true, in SQLite, of values of `there` that the PostgreSQL column `here` holds."""
    base, modifiers = base_of(here), split(here.type)[1]
    if here.date_class and modifiers:
        return "0"
    template = form_of(here).sure
    if base == "numeric":
        template = _sure_number(modifiers)
    length = modifiers[0] if modifiers else 1 << 31
    return template.format(c=quoted(there.name), length=length)


def _sure_number(modifiers: tuple[int, ...]) -> str:
    if not modifiers:
        real = "typeof({c}) = 'real' AND {c} > -9e999 AND {c} < 9e999"
        return f"(typeof({{c}}) = 'integer' OR {real} OR {DECIMAL})"
    precision, scale = modifiers[0], modifiers[1] if len(modifiers) > 1 else 0
    # Of up to 14 digits, a double is the nearest to one decimal number alone.
    room = min(precision, 14) - scale
    if scale < 0 or room < 0:
        return "0"
    point = "instr({c}, '.')"
    return (
        f"(typeof({{c}}) IN ('integer', 'real') AND {{c}} > -1e{room} AND {{c}} < 1e{room}"
        f" AND {{c}} = round({{c}}, {scale}) OR {DECIMAL} AND CASE {point}"
        f" WHEN 0 THEN length({{c}}) <= {room}"
        f" ELSE {point} <= {room + 1} AND length({{c}}) - {point} <= {scale} END)"
    )


def plain_lines(there: Column, here: Column) -> re.Pattern[str] | None:
    """What matches lines of texts of `there` that PostgreSQL's `here` surely holds.

    None where SQL tells it as quickly.
    """
    base, modifiers = base_of(here), split(here.type)[1]
    if base in {"text", "character varying", "character"} and not modifiers:
        return re.compile(r"[^\0]*")
    line = None if modifiers else LINES.get(base)
    if base == "numeric" and affinity(there.type) == "text":
        precision, scale = (*modifiers, 0)[:2] if modifiers else (60, 30)
        if 0 < scale < precision:
            line = rf"-?\d{{1,{precision - scale}}}(?:\.\d{{1,{scale}}})?"
    return re.compile(rf"(?:{line}\n)*+", re.ASCII) if line else None


def affinity(declared: str) -> str:
    """What SQLite makes of values that enter a column of this declared type; "" for nothing."""
    words = declared.upper()
    for name, marks in AFFINITIES:
        if any(mark in words for mark in marks):
            return "" if name == "blob" else name
    return "numeric" if words else ""


def holds(declared: str, form: Form) -> bool:
    """Whether an SQLite column of this type keeps all values of a form as they are."""
    kind = affinity(declared)
    match form.stored:
        case "integer":
            return kind in {"", "integer", "numeric"}
        case "real":
            return kind in {"", "real"}
        case "text":
            return kind in {"", "text"} or form.never_number
        case "blob":
            return True


def in_sqlite(column: Column) -> Column:
    """The SQLite column that is made for a PostgreSQL one."""
    base, modifiers = split(column.type)
    type_ = form_of(column).declared
    if base in SCALED and modifiers and min(modifiers) >= 0:
        type_ += f"({','.join(map(str, modifiers))})"
    return replace(column, type=type_)


def in_postgres(column: Column) -> Column:
    """The PostgreSQL column that is made for an SQLite one."""
    base, modifiers = split(" ".join(column.type.upper().split()))
    kind = affinity(base)
    # A word for text or whole numbers promises no bounds in SQLite, so none are made of it.
    found = BY_DECLARED.get(base, "")
    if not base:
        found = "text"
    elif kind == "integer":
        found = "bigint"
    elif found in {"", "character varying", "character"}:
        found = LOOSE.get(kind, "bytea")
    if column.date_class:
        found = BASES[column.date_class]
    type_ = found
    if found == "numeric" and modifiers:
        type_ += f"({','.join(map(str, modifiers))})"
    return replace(column, type=type_, portable=True, date_class=DAYS.get(found))
