"""Which types of one engine hold all values of another type exactly; what else is refused.

    source              target that holds all of it
    any type            itself, text, character varying; a domain counts as its base type
    integers            wider integers, numeric with room for their digits, floats with room
    real                double precision
    numeric(p,s)        numeric, or one with as many digits on either side of the point
    character(n), …     as long or longer; bit(n) likewise
    timestamp(p), …     as many or more digits of the second, and the same kind of zone
    an enum             one of that name with all its labels; composites part by part
    arrays              arrays whose elements hold the elements

In SQLite a column's affinity says what becomes of a value: the same, or none at all, holds all.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sync.databases.postgres_types import WIDENED
from sync.databases.shape import TableKind, quoted
from sync.databases.sqlite_types import affinity
from sync.errors import N_
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sync.databases.port import Database
    from sync.databases.shape import Column, Table, UserType
    from sync.settings import TableSettings

    Made = Mapping[str, UserType]

NARROWER = N_(
    "Column {column} of {table} is {target_type} in the target, which cannot hold all values of the"
    " source's {source_type} as they are."
)
MEND = N_("In the target: {statement} Or let its values change: {allow}.")
ANEW = N_(
    "In the target, as SQLite changes no column: {statement} Then a run makes the table anew. Or"
    " let its values change: {allow}."
)
FORM = re.compile(
    r"(?P<name>[^(\[]+?)(?:\((?P<modifiers>-?\d+(?:,-?\d+)?)\))?(?P<zone> with(?:out)? time zone)?"
)
DIGITS = {"smallint": 5, "integer": 10, "oid": 10, "bigint": 19}
# The longest text of a value.
WRITTEN = {"smallint": 6, "integer": 11, "oid": 10, "bigint": 20, "uuid": 36}
HELD = {
    "smallint": {"integer", "bigint", "real", "double precision"},
    "integer": {"bigint", "double precision"},
    "oid": {"bigint", "double precision"},
    "cidr": {"inet"},
    "jsonb": {"json"},
}
LENGTHS = {
    "character": {"character", "character varying"},
    "character varying": {"character varying"},
    "bit": {"bit varying"},
    "bit varying": {"bit varying"},
}
MICROSECONDS = 6


@dataclass(frozen=True, slots=True)
class _Form:
    name: str
    modifiers: tuple[int, ...]


def lossy(
    there: Table,
    here: Table,
    columns: Sequence[str],
    settings: TableSettings,
    target: Database,
) -> list[Told]:
    """The columns whose type in the target holds not all values, and that may not be converted."""
    holds = _sqlite_holds if target.kind == "sqlite" else _postgres_holds
    theirs, ours = there.by_name, here.by_name
    return [
        _told(here, theirs[name], ours[name], target)
        for name in columns
        if name in ours
        and name not in settings.convert
        and not holds(theirs[name], ours[name])
        # A date of another class is refused in its own words.
        and (name != settings.date_column or theirs[name].date_class is ours[name].date_class)
    ]


def _told(table: Table, there: Column, here: Column, target: Database) -> Told:
    statement = _mend(table, there, here)
    hint = MEND
    if target.kind == "sqlite":
        hint, statement = ANEW, f"ALTER TABLE {table.sql} RENAME TO {quoted(table.name + '_old')};"
    return Told(
        NARROWER,
        hint=hint,
        column=here.name,
        table=table.name,
        source_type=there.type or "-",
        target_type=here.type or "-",
        statement=statement,
        allow=f"convert = {json.dumps([here.name], ensure_ascii=False)}",
    )


def told_of(there: Table, columns: tuple[str, ...], *, exists: bool) -> Iterator[Told]:
    """What of a source's table does not become the same in the target; all values do."""
    if not exists and there.kind is not TableKind.TABLE:
        text = N_("It is a {kind} in the source, and becomes a table in the target.")
        yield Told(text, kind=Told(there.kind))
    plain = [c.name for c in there.columns if c.identity and c.name in columns]
    if plain and not exists:
        text = N_("In the target, these become plain columns with the source's values: {columns}.")
        yield Told(text, columns=", ".join(plain))
    if computed := [c.name for c in there.columns if c.generated and c.name not in columns]:
        text = N_("Not copied, unless named in columns, for the source computes them: {columns}.")
        yield Told(text, columns=", ".join(computed))


def _mend(table: Table, there: Column, here: Column) -> str:
    """What would make PostgreSQL's column hold all of the source's."""
    ours = {made.name: made for made in here.rests_on}
    labels = [
        f"ALTER TYPE {made.name} ADD VALUE '{label.replace(chr(39), chr(39) * 2)}'"
        for made in there.rests_on
        if made.kind == "e" and made.name in ours
        for label in made.parts
        if label not in ours[made.name].parts
    ]
    if there.type == here.type and labels:
        return "; ".join(labels) + ";"
    wanted = "text" if there.type == here.type else there.type
    return f"ALTER TABLE {table.sql} ALTER COLUMN {quoted(here.name)} TYPE {wanted};"


def _sqlite_holds(there: Column, here: Column) -> bool:
    return affinity(here.type) in {"", affinity(there.type)}


def _postgres_holds(there: Column, here: Column) -> bool:
    theirs, ours = ({made.name: made for made in column.rests_on} for column in (there, here))
    return _holds(there.type, here.type, theirs, ours)


def _holds(there: str, here: str, theirs: Made, ours: Made) -> bool:
    if WIDENED.get(there) == here:
        return True
    there, here = _undomained(there, theirs), _undomained(here, ours)
    if here in {"text", "character varying"}:
        return True
    if there in theirs and there in ours and there == here:
        return _made_alike(theirs[there], ours[here], theirs, ours)
    if there.endswith("[]") and here.endswith("[]"):
        return here.removesuffix("[]") in {"text", "character varying"} or _holds(
            there.removesuffix("[]"), here.removesuffix("[]"), theirs, ours
        )
    return there == here or _fits(_form(there), _form(here))


def _undomained(type_: str, made: Made) -> str:
    while type_ in made and made[type_].kind == "d":
        type_ = made[type_].parts[0]
    return type_


def _made_alike(one: UserType, other: UserType, theirs: Made, ours: Made) -> bool:
    if one.kind == "e":
        return set(one.parts) <= set(other.parts)
    return len(one.parts) == len(other.parts) and all(
        _holds(a, b, theirs, ours) for a, b in zip(one.parts, other.parts, strict=True)
    )


def _form(type_: str) -> _Form:
    found = FORM.fullmatch(type_)
    if found is None:
        return _Form(type_, ())
    numbers = (found["modifiers"] or "").split(",")
    return _Form(
        found["name"] + (found["zone"] or ""), tuple(int(number) for number in numbers if number)
    )


def _fits(there: _Form, here: _Form) -> bool:
    """Whether a built-in type holds all of another one."""
    if here.name == "numeric":
        return _numeric_fits(there, here)
    if here.name in LENGTHS.get(there.name, ()):
        return not here.modifiers or (there.modifiers or (1 << 30,)) <= here.modifiers
    if here.name == "character varying":
        return WRITTEN.get(there.name, 1 << 30) <= here.modifiers[0]
    timed = here.name.startswith(("time", "interval")) and there.name.startswith(here.name)
    timed &= not there.name.endswith("[]")
    if timed and here.name in {there.name, "interval"}:
        return not here.modifiers or (there.modifiers or (MICROSECONDS,)) <= here.modifiers
    return here.name in HELD.get(there.name, ())


def _numeric_fits(there: _Form, here: _Form) -> bool:
    if there.name in DIGITS:
        digits, scale = DIGITS[there.name], 0
    elif there.name == "numeric" and there.modifiers:
        scale = there.modifiers[1]
        digits = there.modifiers[0] - scale
    else:
        return there.name == "numeric" and not here.modifiers
    return not here.modifiers or (
        here.modifiers[1] >= scale and here.modifiers[0] - here.modifiers[1] >= digits
    )
