"""Number of reconnects of a run's stream; NULL for runs that were recorded before."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column to the table and to its view."""
    op.execute("DROP VIEW runs")
    op.add_column("run", sa.Column("reconnects", sa.Integer()))
    moment = _text_in_utc if op.get_bind().dialect.name == "sqlite" else _timestamp
    # By the driver: SQLAlchemy would interpret colons and percent signs.
    op.get_bind().exec_driver_sql(f"CREATE VIEW runs AS {_runs(moment)}")


def _text_in_utc(micros: str) -> str:
    seconds = f"strftime('%Y-%m-%d %H:%M:%S', ({micros}) / 1000000, 'unixepoch')"
    return f"{seconds} || printf('.%06d', ({micros}) % 1000000)"


def _timestamp(micros: str) -> str:
    # A multiple of an interval is exact; to_timestamp() takes seconds as a float.
    return f"TIMESTAMPTZ 'epoch' + ({micros}) * INTERVAL '1 microsecond'"


def _seconds(micros: str) -> str:
    # A plain division would be a decimal number in PostgreSQL.
    return f"CAST({micros} AS DOUBLE PRECISION) / 1000000"


def _runs(moment: Callable[[str], str]) -> str:
    return f"""
        SELECT
          coalesce(r.run_id, r.key) AS run_id,
          r.session_id, r.platform, r.agent, r.model, r.user_name, r.status,
          c.prompt, c.text,
          {moment("r.started_at")} AS started_at,
          {moment("r.finished_at")} AS finished_at,
          {_seconds("r.duration")} AS duration,
          {_seconds("r.first_token")} AS time_to_first_token,
          r.input_tokens, r.output_tokens, r.total_tokens, r.cached_tokens, r.reasoning_tokens,
          r.cost_usd,
          CASE WHEN r.cost_usd IS NOT NULL THEN 'platform' END AS cost_source,
          r.tool_calls, r.tool_errors, r.reconnects,
          r.error, r.error_code, r.error_class, r.source,
          r.key AS local_id,
          c.remote
        FROM run AS r LEFT JOIN content AS c ON c.run = r.key
    """
