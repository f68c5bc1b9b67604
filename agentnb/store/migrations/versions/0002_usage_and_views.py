"""Indexes for usage and for run ids, and views for SQL.

The views have the columns of the tables of the same names in Python: times as timestamps (in SQLite
text in UTC, which its date functions read), durations in seconds.  SQLite refuses some changes of a
table that a view reads: a later migration drops and recreates the views.  The view `runs` follows
the columns of a record and is created by `upgrade` after the last migration.
"""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_COUNTED: Final = (
    "agent",
    "platform",
    "model",
    "user_name",
    "status",
    "started_at",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
    "duration",
    "first_token",
)


def upgrade() -> None:
    """Make the indexes and the views."""
    hour = sa.text("(started_at / 3600000000)")
    op.create_index("ix_run_usage", "run", [hour, *_COUNTED])
    # The id first: who looks for a run by it need not know the platform.
    op.drop_index("ix_run_platform_run_id", "run")
    op.create_index("ix_run_run_id_platform", "run", ["run_id", "platform"])
    moment = _text_in_utc if op.get_bind().dialect.name == "sqlite" else _timestamp
    for name, select in (
        ("tool_calls", _tool_calls(moment)),
        ("sessions", _sessions(moment)),
    ):
        # By the driver: SQLAlchemy would interpret colons and percent signs.
        op.get_bind().exec_driver_sql(f"CREATE VIEW {name} AS {select}")


def _text_in_utc(micros: str) -> str:
    seconds = f"strftime('%Y-%m-%d %H:%M:%S', ({micros}) / 1000000, 'unixepoch')"
    return f"{seconds} || printf('.%06d', ({micros}) % 1000000)"


def _timestamp(micros: str) -> str:
    # A multiple of an interval is exact; to_timestamp() takes seconds as a float.
    return f"TIMESTAMPTZ 'epoch' + ({micros}) * INTERVAL '1 microsecond'"


def _seconds(micros: str) -> str:
    # A plain division would be a decimal number in PostgreSQL.
    return f"CAST({micros} AS DOUBLE PRECISION) / 1000000"


def _tool_calls(moment: Callable[[str], str]) -> str:
    return f"""
        SELECT
          coalesce(r.run_id, r.key) AS run_id,
          r.platform, r.agent, r.session_id,
          t.position, t.call_id, t.name, t.status,
          {moment("r.started_at + t.started")} AS started_at,
          {_seconds("t.finished - t.started")} AS duration,
          t.arguments, t.result, t.error,
          r.key AS local_id
        FROM tool_call AS t JOIN run AS r ON r.key = t.run
    """


def _sessions(moment: Callable[[str], str]) -> str:
    order = "PARTITION BY r.platform, r.session_id ORDER BY r.started_at"
    return f"""
        WITH turn AS (
          SELECT
            r.*, c.prompt,
            row_number() OVER ({order}, r.key) AS nth,
            row_number() OVER ({order} DESC, r.key DESC) AS nth_last
          FROM run AS r LEFT JOIN content AS c ON c.run = r.key
          WHERE r.session_id IS NOT NULL
        )
        SELECT
          session_id, platform,
          max(CASE WHEN nth_last = 1 THEN agent END) AS agent,
          count(*) AS runs,
          max(CASE WHEN nth = 1 THEN prompt END) AS first_prompt,
          max(CASE WHEN nth_last = 1 THEN prompt END) AS last_prompt,
          {moment("min(started_at)")} AS started_at,
          {moment("max(started_at)")} AS last_at,
          max(CASE WHEN nth_last = 1 THEN status END) AS status,
          CAST(sum(total_tokens) AS BIGINT) AS total_tokens,
          sum(cost_usd) AS cost_usd
        FROM turn GROUP BY platform, session_id
    """
