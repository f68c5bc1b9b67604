"""Table of rows of maps that were interrupted without a checkpoint."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "kept_row",
        sa.Column("map", sa.String(12), nullable=False),
        sa.Column("settings", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("run", sa.String(32)),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("map", "settings", "key", name="pk_kept_row"),
    )
    op.create_index("ix_kept_row_run", "kept_row", ["run"])
    op.create_index("ix_kept_row_kept_at", "kept_row", ["kept_at"])
