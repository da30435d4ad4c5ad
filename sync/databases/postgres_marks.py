"""Marks: what tells that PostgreSQL's rows were not touched, without reading their values.

A row version stands at one place (`ctid`) and was written by one transaction (`xmin`). The mark of
rows is a sum over both, so as long as a server's transaction ids cannot come again, equal marks are
equal rows. They come again after a promotion, after a crash (of transactions that did not wait for
the disk), when files were put back, and after 2^32 transactions. So a mark is believed only under
its basis, which is another one after each of these, and after the table was rewritten or has other
columns: a column's default stands in rows that were there before it without touching them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.databases.shape import Table

MARK = "hash_record_extended(ROW(ctid, xmin), 0)"
# Of plain tables of PostgreSQL's own kind of storage alone: a view has no places, the parts of a
# whole have their own, and what is computed when it is read may be computed otherwise.
BASIS_OF = text("""
    SELECT concat_ws('/', s.system_identifier, d.oid, pg_relation_filenode(c.oid), k.timeline_id,
                     pg_postmaster_start_time(), b.stats_reset, of_columns.basis,
                     pg_snapshot_xmax(pg_current_snapshot())::text::bigint >> 31)
    FROM pg_class c, pg_database d, pg_control_system() s, pg_control_checkpoint() k,
         pg_stat_bgwriter b,  -- its statistics begin anew with each recovery from a crash
         LATERAL (SELECT md5(string_agg(a.attnum || a.attname, '/' ORDER BY a.attnum)) AS basis,
                         bool_or(a.attgenerated = 'v') AS computed FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) of_columns
    WHERE c.oid = to_regclass(:name) AND c.relkind = 'r' AND NOT c.relhassubclass
      AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'heap') AND NOT of_columns.computed
      AND d.datname = current_database()""")


def basis(connection: Connection, table: Table) -> str | None:
    """Under which the marks of the table's rows hold; None where it has none."""
    found: str | None = connection.scalar(BASIS_OF, {"name": table.sql})
    return found


def sums(mark: str) -> str:
    """Both sums over rows' marks; the second one so that exchanged parts do not cancel out."""
    return f"sum({mark}), sum(hashint8extended({mark}, 1))"
