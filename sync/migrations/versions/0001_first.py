"""Runs, partitions, samples, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables as they were at the first release."""
    op.create_table(
        "run",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("start_date", sa.String(10), nullable=False),
        sa.Column("end_date", sa.String(10), nullable=False),
        sa.Column("tables", sa.JSON, nullable=False),
        sa.Column("only", sa.String(16), nullable=False),
        sa.Column("allow_shrink", sa.Boolean, nullable=False),
        sa.Column("token", sa.BigInteger),
        sa.Column("since_token", sa.BigInteger),
        sa.Column("holder", sa.JSON, nullable=False),
        sa.Column("start_key", sa.String(128)),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("beat_at", sa.Float, nullable=False),
        sa.Column("progress_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
        sa.Column("partitions_done", sa.Integer, nullable=False),
        sa.Column("partitions_total", sa.Integer, nullable=False),
        sa.Column("rows_done", sa.BigInteger, nullable=False),
        sa.Column("rows_total", sa.BigInteger, nullable=False),
        sa.Column("rows_per_s", sa.Float, nullable=False),
        sa.Column("eta_s", sa.Float),
        sa.Column("cancel", sa.String(16)),
        sa.Column("current", sa.Text),
        sa.Column("held_back", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
    )
    running = sa.text("status = 'running'")
    op.create_index("run_newest", "run", ["target", "started_at"])
    op.create_index("run_start_key", "run", ["start_key"], unique=True)
    op.create_index(
        "one_running",
        "run",
        ["target"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )
    op.create_table(
        "partition",
        sa.Column(
            "run_id", sa.String(64), sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("target_rows", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "sample",
        sa.Column(
            "run_id", sa.String(64), sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("at", sa.Float, primary_key=True),
        sa.Column("rows_per_s", sa.Float, nullable=False),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "run_id",
            sa.String(64),
            sa.ForeignKey("run.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    for table in ("event", "sample", "partition", "run"):
        op.drop_table(table)
