"""Marks: which rows a digest was taken of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for digests that were taken."""
    op.create_table(
        "mark",
        sa.Column("place", sa.String(64), primary_key=True),
        sa.Column("span", sa.String(80), primary_key=True),
        sa.Column("basis", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("mark", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("mark")
