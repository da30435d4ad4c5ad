"""The store's tables. Instants are seconds since the epoch, days are ISO text.

That at most one run of a target is running is kept by a unique index, not by asking first. What
stands here is the newest schema; `sync.migrations` brings older stores to it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator

from sync.told import Told

if TYPE_CHECKING:
    from sqlalchemy import Dialect


class ToldText(TypeDecorator[Told]):
    """A Told as JSON text; pure ASCII, so that no fact is too odd for a database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Told | None, dialect: Dialect) -> str | None:
        """To text."""
        del dialect
        return json.dumps(value.to_json()) if value else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> Told | None:
        """From text."""
        del dialect
        return Told.from_json(json.loads(value)) if value else None


metadata = MetaData()
run_table = Table(
    "run",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("target", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("start_date", String(10), nullable=False),
    Column("end_date", String(10), nullable=False),
    Column("tables", JSON, nullable=False),
    Column("only", String(16), nullable=False),
    Column("allow_shrink", Boolean, nullable=False),
    Column("token", BigInteger),
    Column("since_token", BigInteger),
    Column("holder", JSON, nullable=False),
    Column("start_key", String(128)),
    Column("started_at", Float, nullable=False),
    Column("beat_at", Float, nullable=False),
    Column("progress_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("partitions_done", Integer, nullable=False, default=0),
    Column("partitions_total", Integer, nullable=False, default=0),
    Column("rows_done", BigInteger, nullable=False, default=0),
    Column("rows_total", BigInteger, nullable=False, default=0),
    Column("rows_per_s", Float, nullable=False, default=0.0),
    Column("eta_s", Float),
    Column("cancel", String(16)),
    Column("current", Text),
    Column("held_back", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("error", ToldText),
    # Of a request that waits or waited in the queue: its number, and what became of tries to start.
    Column("place", Integer),
    Column("tries", Integer, nullable=False, default=0, server_default="0"),
    Column("retry_at", Float),
    Column("circumstances", JSON(none_as_null=True)),
    Index("run_newest", "target", "started_at"),
    Index("run_start_key", "start_key", unique=True),
    Index(
        "one_running",
        "target",
        unique=True,
        sqlite_where=text("status = 'running'"),
        postgresql_where=text("status = 'running'"),
    ),
)
partition_table = Table(
    "partition",
    metadata,
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("target_rows", BigInteger, nullable=False),
    Column("seconds", Float),
    Column("error", ToldText),
    # Of the plan, and of what was committed; unknown in runs of older versions.
    Column("state", String(16)),
    Column("source_rows", BigInteger),
    Column("committed_at", Float),
    Column("digest", String(32)),
    Column("digest_kind", String(32)),
)
sample_table = Table(
    "sample",
    metadata,
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Float, primary_key=True),
    Column("rows_per_s", Float, nullable=False),
)
event_table = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("event", String(64), nullable=False),
    Column("text", ToldText, nullable=False),
)
process_table = Table(
    "process",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("target", Text, nullable=False),
    Column("holder", JSON, nullable=False),
    Column("good_until", Float, nullable=False),
)
mark_table = Table(
    "mark",
    metadata,
    Column("place", String(64), primary_key=True),
    Column("span", String(80), primary_key=True),
    Column("basis", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("mark", String(32), nullable=False),
)
