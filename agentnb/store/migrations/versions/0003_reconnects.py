"""Number of reconnects of a run's stream; NULL for runs that were recorded before."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; `upgrade` recreates the view, which SQLite would have to read meanwhile."""
    op.execute("DROP VIEW IF EXISTS runs")
    op.add_column("run", sa.Column("reconnects", sa.Integer()))
