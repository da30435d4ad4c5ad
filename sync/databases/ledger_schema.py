"""The tables that we keep in the target, as they stand in other people's databases."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, MetaData, String, Table, Text

from sync.databases.instants import Instant


class LedgerTables:
    """Our tables in one schema."""

    def __init__(self, schema: str | None) -> None:
        self.metadata = MetaData(schema=schema)
        self.lease = Table(
            "batch_sync_lease",
            self.metadata,
            Column("name", String(64), primary_key=True),
            Column("token", BigInteger, nullable=False),
            Column("run_id", String(64), nullable=False),
            Column("protocol", Integer, nullable=False),
            Column("lock_fingerprint", Text, nullable=False),
            Column("acquired_at", Instant, nullable=False),
            Column("released_at", Instant),
        )
        self.run = Table(
            "batch_sync_run",
            self.metadata,
            Column("token", BigInteger, primary_key=True, autoincrement=False),
            Column("run_id", String(64), nullable=False),
            Column("holder", Text, nullable=False),
            Column("start_date", Date, nullable=False),
            Column("end_date", Date, nullable=False),
            Column("tables", Text, nullable=False),
            Column("acquired_at", Instant, nullable=False),
            Column("beat_at", Instant, nullable=False),
            Column("rows_done", BigInteger, nullable=False, default=0),
            Column("rows_total", BigInteger, nullable=False, default=0),
            Column("partitions_done", Integer, nullable=False, default=0),
            Column("partitions_total", Integer, nullable=False, default=0),
            Column("released_at", Instant),
            Column("outcome", String(16)),
            Column("ended_by", Text),
            Column("reason", Text),
        )
        self.checkpoint = Table(
            "batch_sync_checkpoint",
            self.metadata,
            Column("table_name", Text, primary_key=True),
            Column("day", Date, primary_key=True),
            Column("rows", BigInteger, nullable=False),
            Column("digest", Text),
            Column("digest_kind", String(32)),
            Column("definition", String(64), nullable=False),
            Column("day_closed", Boolean, nullable=False),
            Column("run_id", String(64), nullable=False),
            Column("token", BigInteger, nullable=False),
            Column("committed_at", Instant, nullable=False),
        )
