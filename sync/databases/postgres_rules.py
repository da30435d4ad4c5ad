"""What PostgreSQL's catalogue says of a table's foreign keys, triggers, policies and sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sync.databases.failures import DRIVER_ERRORS
from sync.databases.rules import ForeignKey, Rules, Sequence
from sync.databases.shape import quoted

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from sync.databases.shape import Table

RULES_OF = text("""
    SELECT bool_or(contype = 'f') AS related, COALESCE(bool_or(condeferrable), false) AS deferrable,
        ARRAY(SELECT tgname::text FROM pg_trigger
              WHERE tgrelid = :oid AND NOT tgisinternal AND tgenabled IN ('O', 'A')
              UNION ALL
              SELECT rulename::text FROM pg_rewrite
              WHERE ev_class = :oid AND rulename <> '_RETURN' AND ev_enabled IN ('O', 'A')
              ORDER BY 1) AS triggers,
        ARRAY(SELECT attname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
              WHERE attrelid = :oid AND attnum > 0 AND NOT attisdropped
                AND (atthasdef OR attidentity <> '' OR typdefault IS NOT NULL)) AS filled
    FROM pg_constraint WHERE :oid IN (conrelid, confrelid)""")
# By what depends on what: pg_get_serial_sequence wants rights on the schema.
SEQUENCES_OF = text("""
    SELECT a.attname, format('%I.%I', n.nspname, s.relname),
           CASE WHEN has_sequence_privilege(s.oid, 'SELECT')
                 AND has_sequence_privilege(s.oid, 'UPDATE') THEN ''
                ELSE format('GRANT SELECT, UPDATE ON SEQUENCE %I.%I TO %I;',
                            n.nspname, s.relname, current_user) END
    FROM pg_depend d
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_namespace n ON n.oid = s.relnamespace
    JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = :oid AND d.deptype IN ('a', 'i') ORDER BY s.oid""")
# Those of partitions are copies of their parents'.
FOREIGN_KEYS_OF = text("""
    SELECT conname AS name, format('%I.%I', nc.nspname, c.relname) AS child, conrelid AS child_oid,
           format('%I.%I', np.nspname, p.relname) AS parent, confrelid AS parent_oid,
           ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS k(num, place)
                 JOIN pg_attribute ON attrelid = conrelid AND attnum = num ORDER BY place)
               AS columns,
           ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS k(num, place)
                 JOIN pg_attribute ON attrelid = confrelid AND attnum = num ORDER BY place)
               AS parent_columns,
           condeferrable AS deferrable, confdeltype AS on_delete
    FROM pg_constraint
    JOIN pg_class c ON c.oid = conrelid JOIN pg_namespace nc ON nc.oid = c.relnamespace
    JOIN pg_class p ON p.oid = confrelid JOIN pg_namespace np ON np.oid = p.relnamespace
    WHERE contype = 'f' AND conparentid = 0 AND :oid IN (conrelid, confrelid)
    ORDER BY conname, conrelid""")
# `next` is what it would give next: it never goes backwards.
MOVE_ON = """
    SELECT setval('{literal}', top)
    FROM (SELECT max({column}) AS top FROM {table} WHERE {where}) AS rows,
         (SELECT last_value + is_called::int AS next FROM {sequence}) AS sequence
    WHERE top >= next"""


def rules(connection: Connection, oid: int, *, policed: bool) -> Rules:
    """What holds for the rows of the table with that OID."""
    found = connection.execute(RULES_OF, {"oid": oid}).one()
    # Most tables have neither, and a small run is to stay one.
    keys = connection.execute(FOREIGN_KEYS_OF, {"oid": oid}).mappings() if found.related else ()
    sequences = connection.execute(SEQUENCES_OF, {"oid": oid}).all() if found.filled else ()
    return Rules(
        oid=oid,
        filled=frozenset(found.filled),
        foreign_keys=tuple(map(_foreign_key, keys)),
        deferrable=found.deferrable,
        policed=policed,
        triggers=tuple(found.triggers),
        sequences=tuple(
            Sequence(column=column, name=name, lacking=lacking)
            for column, name, lacking in sequences
        ),
    )


def _foreign_key(row: RowMapping) -> ForeignKey:
    facts: dict[str, Any] = {
        name: tuple(fact) if isinstance(fact, list) else fact for name, fact in row.items()
    }
    return ForeignKey(**facts)


def move_on(connection: Connection, table: Table, sequence: Sequence, where: str | None) -> None:
    """Move a sequence on behind the greatest number in its column, of rows `where` if given."""
    connection.exec_driver_sql(
        MOVE_ON.format(
            literal=sequence.name.replace("'", "''"),
            sequence=sequence.name,
            column=quoted(sequence.column),
            table=table.sql,
            where=where or "true",
        )
    )


def naming(connection: Connection, table: Table, key: ForeignKey, where: str) -> str | None:
    """A row of `key`'s child, as text, that names a row of `table` that `where` holds for.

    None where there is none, or where our role may not read the child.
    """
    columns, parents = (
        ", ".join(map(quoted, names)) for names in (key.columns, key.parent_columns)
    )
    others = f" AND ({where}) IS NOT TRUE" if key.child_oid == key.parent_oid else ""
    try:
        with connection.begin_nested():
            found = connection.exec_driver_sql(
                f"SELECT {columns} FROM {key.child}"
                f" WHERE ({columns}) IN (SELECT {parents} FROM {table.sql} WHERE {where}){others}"
                " LIMIT 1"
            ).first()
    except DRIVER_ERRORS:
        return None  # the server says it itself, then
    if found is None:
        return None
    return ", ".join(f"{name} = {value}" for name, value in zip(key.columns, found, strict=True))
