"""Refusal and state of a run; NULL for runs that were recorded before."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; `upgrade` recreates the view, which SQLite would have to read meanwhile."""
    op.execute("DROP VIEW IF EXISTS runs")
    op.add_column("content", sa.Column("refusal", sa.Text()))
    op.add_column("content", sa.Column("state", sa.Text()))
