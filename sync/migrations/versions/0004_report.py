"""What a report wants: under what a run went, and of each partition plan, time and digest."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for it; of older runs it is not known."""
    op.add_column("run", sa.Column("circumstances", sa.JSON(none_as_null=True)))
    for column in (
        sa.Column("state", sa.String(16)),
        sa.Column("source_rows", sa.BigInteger),
        sa.Column("committed_at", sa.Float),
        sa.Column("digest", sa.String(32)),
        sa.Column("digest_kind", sa.String(32)),
    ):
        op.add_column("partition", column)


def downgrade() -> None:
    """Forget it."""
    for column in ("digest_kind", "digest", "committed_at", "source_rows", "state"):
        op.drop_column("partition", column)
    op.drop_column("run", "circumstances")
