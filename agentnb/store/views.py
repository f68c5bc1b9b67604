"""The SQL view ``runs``: the columns of `agentnb.runs` for queries by hand."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from agentnb.store.record import DURATION, TIMESTAMP, column_info

__all__ = ["recreate_runs_view"]

_SQLITE_TIME: Final = (
    "strftime('%Y-%m-%d %H:%M:%S', {0} / 1000000, 'unixepoch') || printf('.%06d', {0} % 1000000)"
)
# A multiple of an interval is exact; to_timestamp() takes seconds as a float.
_POSTGRESQL_TIME: Final = "TIMESTAMPTZ 'epoch' + {0} * INTERVAL '1 microsecond'"


def recreate_runs_view(connection: Connection) -> None:
    """Create the view from the columns of a `RunRecord`.

    Times are timestamps, in SQLite text in UTC that its date functions read; durations are seconds.
    """
    time = _SQLITE_TIME if connection.dialect.name == "sqlite" else _POSTGRESQL_TIME
    columns: list[str] = []
    for name, info in column_info().items():
        if info.dtype is None:
            continue
        column = f"{'r' if info.table == 'run' else 'c'}.{name}"
        if name == "run_id":
            column = "coalesce(r.run_id, r.key)"
        elif info.dtype == TIMESTAMP:
            column = time.format(column)
        elif info.dtype == DURATION:
            # A plain division would be a decimal number in PostgreSQL.
            column = f"CAST({column} AS DOUBLE PRECISION) / 1000000"
        columns.append(f"{column} AS {info.label or name}")
        if name == "cost_usd":
            columns.append("CASE WHEN r.cost_usd IS NOT NULL THEN 'platform' END AS cost_source")
    # By the driver: SQLAlchemy would interpret colons and percent signs.
    connection.exec_driver_sql("DROP VIEW IF EXISTS runs")
    connection.exec_driver_sql(
        f"CREATE VIEW runs AS SELECT {', '.join(columns)}, c.remote"
        " FROM run AS r LEFT JOIN content AS c ON c.run = r.key"
    )
