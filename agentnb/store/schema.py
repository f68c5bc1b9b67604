"""The tables of the store, as SQLAlchemy Core describes them.

Moments are whole microseconds since 1970-01-01 UTC, spans whole microseconds: both databases keep
and compare such numbers exactly, and an index over them is small.  What is long (prompts, answers,
events) stands in tables of its own, so that counting a million runs reads only what is counted.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
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

__all__ = [
    "USAGE",
    "content",
    "cursor",
    "event_chunk",
    "kept_row",
    "metadata",
    "process",
    "run",
    "run_hour",
    "tool_call",
]

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: A process that records; one row for each that ever did.
process: Final = Table(
    "process",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("user_name", Text),
    Column("started_at", BigInteger, nullable=False),
    # When it last said that it lives; see `processes`.
    Column("seen_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)

#: One execution of an agent: what is filtered by, grouped by and added up.
run: Final = Table(
    "run",
    metadata,
    # agentnb's own id (`RunFacts.local_id`); of a run known only from its platform, a digest of
    # the platform's name and the run's id there.
    Column("key", String(32), primary_key=True),
    # recorded (its stream was seen here), platform (pulled), or both.
    Column("source", Text, nullable=False),
    Column("process", String(32), ForeignKey("process.id")),
    Column("platform", Text, nullable=False),
    Column("agent", Text),
    Column("title", Text),
    Column("run_id", Text),
    Column("session_id", Text),
    Column("model", Text),
    Column("user_name", Text),
    Column("status", Text, nullable=False),
    # When it was sent; of a pulled run, when the platform says it began, or was made.
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("duration", BigInteger),
    Column("first_token", BigInteger),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    # As the platform reported it, in US dollars.
    Column("cost_usd", Double),
    Column("tool_calls", Integer),
    Column("tool_errors", Integer),
    # How often its stream was taken up again; NULL where nobody here followed one, or counted.
    Column("reconnects", Integer),
    Column("events", Integer),
    Column("error", Text),
    Column("error_code", Text),
    # The class of the exception that a failed run ended by.
    Column("error_class", Text),
    # When the platform's own entry was last pulled.
    Column("pulled_at", BigInteger),
    Index(None, "started_at"),
    # Runs are asked for by their id alone, too.
    Index(None, "run_id", "platform"),
    Index(None, "session_id"),
    Index(None, "process", "status"),
)

#: The hour a run was sent, in hours since 1970-01-01 UTC.
run_hour: Final = run.c.started_at // literal_column("3600000000", BigInteger)

#: What usage is added up from without reading the runs themselves.  It is in the order of the hours
#: and, within one, of the names, so that SQLite sums up a million runs without sorting them.  An
#: expression does that; a computed column would be in the way of every upsert.
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
    Column("prompt", Text),
    Column("text", Text),
    Column("reasoning", Text),
    # JSON: what else was asked with, see `recorder`.
    Column("request", Text),
    # JSON: the platform's own entry of the run, as `RemoteRun.raw`.
    Column("remote", Text),
)

#: The events of a run, as many in a row as one write brought; see `chunks` for the payload.
event_chunk: Final = Table(
    "event_chunk",
    metadata,
    Column("run", String(32), ForeignKey("run.key", ondelete="CASCADE"), primary_key=True),
    # The position of the first one in the run, from 0.
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
    # What was listed: "" for all runs, or the session that the platform lists by.
    Column("scope", Text, primary_key=True),
    Column("newest", BigInteger, nullable=False),
    Column("pulled_at", BigInteger, nullable=False),
)

#: A row of a map that was interrupted without a checkpoint; see `kept_rows`.
kept_row: Final = Table(
    "kept_row",
    metadata,
    Column("map", String(12), primary_key=True),
    # Digests, as in a checkpoint: of what all rows of the map share, and of the row.
    Column("settings", LargeBinary, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("result", Text, nullable=False),
    # The local id of the run, which may not be recorded (yet).
    Column("run", String(32), index=True),
    Column("kept_at", BigInteger, nullable=False, index=True),
)
