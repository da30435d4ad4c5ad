"""What PostgreSQL's catalogue says of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.databases.postgres_rules import rules
from sync.databases.postgres_types import FIRST_USER_OID, rests_on
from sync.databases.rules import Rules
from sync.databases.shape import Column, DateClass, Table, TableKind

if TYPE_CHECKING:
    from sqlalchemy import Connection

# By oids that mean something else elsewhere, or in a binary form that is not written or (of an
# empty value) not read back; theirs or their arrays'.
UNSENDABLE = "^_?(reg|aclitem|oidvector|int2vector|tsquery)"
TABLE_OF = text("""
    SELECT c.oid, n.nspname, row_security_active(c.oid) AS policed, CASE WHEN EXISTS (
        SELECT FROM pg_partition_tree(c.oid) p JOIN pg_class f ON f.oid = p.relid
        WHERE f.relkind = 'f') THEN 'f' ELSE c.relkind END AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND (n.nspname = :schema
           OR (CAST(:schema AS text) IS NULL AND pg_table_is_visible(c.oid)))""")
COLUMNS_OF = text("""
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
           t.typtype = 'b' AND t.oid < :user_oid AND t.typname !~ :unsendable,
           format_type(COALESCE(NULLIF(t.typbasetype, 0), t.oid), NULL), t.oid,
           a.attidentity <> ''
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum""")
INDEXES_OF = text("""
    SELECT i.indisprimary, i.indisunique, array_agg(a.attname::text ORDER BY k.position) AS columns
    FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = :oid AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND k.position <= i.indnkeyatts
    GROUP BY i.indexrelid, i.indisprimary, i.indisunique""")
KINDS = {
    "r": TableKind.TABLE,
    "p": TableKind.PARTITIONED,
    "v": TableKind.VIEW,
    "m": TableKind.MATERIALIZED,
    "f": TableKind.FOREIGN,
}
DATE_CLASSES = {
    "date": DateClass.DATE,
    "timestamp without time zone": DateClass.TIMESTAMP,
    "timestamp with time zone": DateClass.TIMESTAMPTZ,
}


def table(connection: Connection, schema: str | None, name: str, *, written: bool) -> Table | None:
    """The table or view of that exact name, or None; on the search path without a `schema`.

    What its database demands of rows is asked where it is `written`.
    """
    found = connection.execute(TABLE_OF, {"schema": schema, "name": name}).first()
    if found is None:
        return None
    rows = connection.execute(
        COLUMNS_OF, {"oid": found.oid, "user_oid": FIRST_USER_OID, "unsendable": UNSENDABLE}
    ).all()
    made = rests_on(connection, [type_oid for *_, type_oid, _ in rows])
    columns = tuple(
        Column(
            name=column,
            type=type_,
            not_null=not_null,
            generated=generated,
            portable=portable,
            identity=identity,
            date_class=DATE_CLASSES.get(base),
            rests_on=made[type_oid],
        )
        for column, type_, not_null, generated, portable, base, type_oid, identity in rows
    )
    indexes = connection.execute(INDEXES_OF, {"oid": found.oid}).all()
    return Table(
        schema=found.nspname,
        name=name,
        columns=columns,
        key=next((tuple(index.columns) for index in indexes if index.indisprimary), ()),
        unique=tuple(frozenset(index.columns) for index in indexes if index.indisunique),
        indexed=frozenset(index.columns[0] for index in indexes),
        rules=rules(connection, found.oid, policed=found.policed)
        if written
        else Rules(oid=found.oid, policed=found.policed),
        kind=KINDS[found.kind],
    )
