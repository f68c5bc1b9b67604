"""The first schema.

It is never changed: later changes of its tables are migrations of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "cursor",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("pulled_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "scope", name="pk_cursor"),
    )
    op.create_table(
        "process",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("user_name", sa.Text()),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_process"),
    )
    op.create_table(
        "run",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("process", sa.String(length=32)),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text()),
        sa.Column("title", sa.Text()),
        sa.Column("run_id", sa.Text()),
        sa.Column("session_id", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("user_name", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("duration", sa.BigInteger()),
        sa.Column("first_token", sa.BigInteger()),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("total_tokens", sa.BigInteger()),
        sa.Column("cached_tokens", sa.BigInteger()),
        sa.Column("reasoning_tokens", sa.BigInteger()),
        sa.Column("cost_usd", sa.Double[float]()),
        sa.Column("tool_calls", sa.Integer()),
        sa.Column("tool_errors", sa.Integer()),
        sa.Column("events", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_class", sa.Text()),
        sa.Column("pulled_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["process"], ["process.id"], name="fk_run_process"),
        sa.PrimaryKeyConstraint("key", name="pk_run"),
    )
    op.create_index("ix_run_platform_run_id", "run", ["platform", "run_id"])
    op.create_index("ix_run_process_status", "run", ["process", "status"])
    op.create_index("ix_run_session_id", "run", ["session_id"])
    op.create_index("ix_run_started_at", "run", ["started_at"])
    op.create_table(
        "content",
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("prompt", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.Column("reasoning", sa.Text()),
        sa.Column("request", sa.Text()),
        sa.Column("remote", sa.Text()),
        sa.ForeignKeyConstraint(["run"], ["run.key"], name="fk_content_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", name="pk_content"),
    )
    op.create_table(
        "event_chunk",
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("first", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"], ["run.key"], name="fk_event_chunk_run", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "first", name="pk_event_chunk"),
    )
    op.create_table(
        "tool_call",
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started", sa.BigInteger()),
        sa.Column("finished", sa.BigInteger()),
        sa.Column("arguments", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["run"], ["run.key"], name="fk_tool_call_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "position", name="pk_tool_call"),
    )
