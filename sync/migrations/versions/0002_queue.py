"""The queue: places of requests, and the processes that start them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for requests that wait."""
    op.add_column("run", sa.Column("place", sa.Integer))
    op.add_column("run", sa.Column("tries", sa.Integer, nullable=False, server_default="0"))
    op.add_column("run", sa.Column("retry_at", sa.Float))
    op.create_table(
        "process",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("holder", sa.JSON, nullable=False),
        sa.Column("good_until", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("process")
    for column in ("retry_at", "tries", "place"):
        op.drop_column("run", column)
