"""PostgreSQL's user-defined types: of what they consist, and the statements that make them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.databases.shape import UserType, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sync.databases.shape import Column

FIRST_USER_OID = 16_384  # FirstNormalObjectId: below it, types are the same on every server
# From each type down to what it consists of: an array's elements, a domain's base, a composite's
# attributes, a multirange's range, a range's values.
RESTS_ON = text(r"""
    WITH RECURSIVE part(root, oid, depth) AS (
        SELECT named.oid, named.oid, 0 FROM unnest(CAST(:types AS oid[])) AS named(oid)
        UNION
        SELECT part.root, below.oid, part.depth + 1 FROM part JOIN pg_type t ON t.oid = part.oid
        CROSS JOIN LATERAL (
            SELECT t.typelem WHERE t.typelem <> 0 AND t.typcategory = 'A'
            UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
            UNION ALL SELECT a.atttypid FROM pg_attribute a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
              AND NOT a.attisdropped
            UNION ALL SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid
            UNION ALL SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid
        ) AS below(oid) WHERE part.depth < 20)
    SELECT part.root, format_type(t.oid, NULL) AS name, t.typtype,
        CASE t.typtype
        WHEN 'e' THEN (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
                       WHERE enumtypid = t.oid)
        WHEN 'd' THEN ARRAY[format_type(t.typbasetype, t.typtypmod)]
        WHEN 'r' THEN (SELECT ARRAY[format_type(rngsubtype, NULL)] FROM pg_range
                       WHERE rngtypid = t.oid)
        WHEN 'c' THEN (SELECT array_agg(format_type(atttypid, atttypmod) ORDER BY attnum)
                       FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0
                       AND NOT attisdropped)
        END AS parts,
        CASE t.typtype
        WHEN 'e' THEN (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                       FROM pg_enum WHERE enumtypid = t.oid)
        WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod)
            || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
            || COALESCE((SELECT string_agg(' ' || pg_get_constraintdef(oid), '' ORDER BY conname)
                         FROM pg_constraint WHERE contypid = t.oid AND contype = 'c'), '')
        WHEN 'r' THEN (SELECT 'SUBTYPE = ' || format_type(rngsubtype, NULL) FROM pg_range
                       WHERE rngtypid = t.oid)
        WHEN 'c' THEN (SELECT string_agg(quote_ident(attname) || ' '
                       || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
                       FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0
                       AND NOT attisdropped)
        END AS body
    FROM (SELECT root, oid, max(depth) AS depth FROM part GROUP BY root, oid) AS part
    JOIN pg_type t ON t.oid = part.oid
    WHERE t.oid >= :user_oid AND t.typtype IN ('e', 'd', 'r', 'c')
    ORDER BY part.root, part.depth DESC""")
# A real is written in the few digits that tell it from other reals: of a double precision they mean
# another number, so that it is made one before it is written.
WIDENED = {"real": "double precision", "real[]": "double precision[]"}
NAMED = text("SELECT to_regtype(name)::oid FROM unnest(CAST(:names AS text[])) AS name")
MAKE = {
    "e": "CREATE TYPE {} AS ENUM ({})",
    "d": "CREATE DOMAIN {} AS {}",
    "r": "CREATE TYPE {} AS RANGE ({})",
    "c": "CREATE TYPE {} AS ({})",
}


def read_as(there: Column, here: Column) -> str:
    """A source's column as SQL that COPY writes so that the target's type reads the same value."""
    cast = f"::{here.type}" if WIDENED.get(there.type) == here.type else ""
    return quoted(there.name) + cast


def rests_on(connection: Connection, types: Sequence[int]) -> dict[int, tuple[UserType, ...]]:
    """Of each type (an oid), the user-defined types in it, in the order in which to make them."""
    found: dict[int, tuple[UserType, ...]] = dict.fromkeys(types, ())
    if all(oid < FIRST_USER_OID for oid in types):
        return found
    rows = connection.execute(RESTS_ON, {"types": list(types), "user_oid": FIRST_USER_OID})
    for root, name, kind, parts, body in rows:
        ddl = MAKE[kind].format(name, body or "")
        found[root] += (UserType(name=name, kind=kind, parts=tuple(parts or ()), ddl=ddl),)
    return found


def named(connection: Connection, names: Sequence[str]) -> dict[str, tuple[UserType, ...] | None]:
    """Of each type (a name), the same as it is in this database; None where it does not exist."""
    oids = connection.execute(NAMED, {"names": list(names)}).scalars().all()
    found = rests_on(connection, [oid for oid in oids if oid])
    return {name: found[oid] if oid else None for name, oid in zip(names, oids, strict=True)}
