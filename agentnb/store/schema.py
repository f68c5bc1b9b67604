"""The tables of the store and its view ``runs``, as SQLAlchemy Core describes them.

Times are whole microseconds since 1970-01-01 UTC, durations whole microseconds: both databases
store and compare such numbers exactly, and an index over them is small.  Long values (prompts,
answers, events) are in tables of their own, so that counting a million runs does not read them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    literal_column,
)
from sqlalchemy.types import TypeEngine

from agentnb.store.record import DURATION, TIMESTAMP, column_info

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: One row for each process that ever recorded a run.
process: Final = Table(
    "process",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("user_name", Text),
    Column("started_at", BigInteger, nullable=False),
    # Time of its last heartbeat; see `processes`.
    Column("seen_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)

_TYPES: Final[dict[str, type[TypeEngine[Any]]]] = {
    "text": Text,
    "integer": Integer,
    "bigint": BigInteger,
    "double": Double,
}
_FOREIGN_KEYS: Final = {"process": "process.id"}


def _record_columns(table: str) -> list[Column[Any]]:
    """Return the columns of a record that are in ``table``."""
    return [
        Column(
            name,
            _TYPES[info.sql]() if info.sql in _TYPES else String(32),
            *(ForeignKey(_FOREIGN_KEYS[name]),) if name in _FOREIGN_KEYS else (),
            primary_key=name == "key",
            nullable=info.nullable,
        )
        for name, info in column_info().items()
        if info.table == table
    ]


#: One run of an agent, a `RunRecord`: the values to filter, group and sum by.
run: Final = Table(
    "run",
    metadata,
    *_record_columns("run"),
    Index(None, "started_at"),
    # Runs are looked up by their id alone, too.
    Index(None, "run_id", "platform"),
    Index(None, "session_id"),
    Index(None, "process", "status"),
)

#: Hour of a run's start, in hours since 1970-01-01 UTC.
run_hour: Final = run.c.started_at // literal_column("3600000000", BigInteger)

#: Covering index for sums of usage, ordered by hours and then names, so that SQLite sums a million
#: runs without sorting them.  A computed column instead of the expression would break upserts.
USAGE: Final = Index(
    "ix_run_usage",
    run_hour,
    run.c.agent,
    run.c.platform,
    run.c.model,
    run.c.user_name,
    run.c.status,
    run.c.started_at,
    run.c.input_tokens,
    run.c.output_tokens,
    run.c.total_tokens,
    run.c.cached_tokens,
    run.c.reasoning_tokens,
    run.c.cost_usd,
    run.c.duration,
    run.c.first_token,
)

#: The long texts of a run; no row, or NULLs, where content is not to be stored.
content: Final = Table(
    "content",
    metadata,
    Column("run", String(32), ForeignKey("run.key", ondelete="CASCADE"), primary_key=True),
    *_record_columns("content"),
)

#: Events of a run in chunks; `event.serialization` encodes the payload.
event_chunk: Final = Table(
    "event_chunk",
    metadata,
    Column("run", String(32), ForeignKey("run.key", ondelete="CASCADE"), primary_key=True),
    # Position of the first event in the run, from 0.
    Column("first", Integer, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
    Column("payload", Text, nullable=False),
)

tool_call: Final = Table(
    "tool_call",
    metadata,
    Column("run", String(32), ForeignKey("run.key", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("call_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    # Since the run was sent.
    Column("started", BigInteger),
    Column("finished", BigInteger),
    Column("arguments", Text),
    Column("result", Text),
    Column("error", Text),
)

#: How far a platform's list of runs has been pulled.
cursor: Final = Table(
    "cursor",
    metadata,
    Column("platform", Text, primary_key=True),
    # "" for all runs, or the session that the platform lists by.
    Column("scope", Text, primary_key=True),
    Column("newest", BigInteger, nullable=False),
    Column("pulled_at", BigInteger, nullable=False),
)

#: A row of a map that was interrupted without a checkpoint; see `map_rows`.
kept_row: Final = Table(
    "kept_row",
    metadata,
    Column("map", String(12), primary_key=True),
    # Digests, as in a checkpoint: of the settings of the map, and of the row.
    Column("settings", LargeBinary, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("result", Text, nullable=False),
    # The local id of the run, which may not be recorded (yet).
    Column("run", String(32), index=True),
    Column("kept_at", BigInteger, nullable=False, index=True),
)


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
