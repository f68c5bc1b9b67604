"""What the store holds of a run, read as it stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select

import agentnb
from agentnb.event.serialization import decode
from agentnb.event.types import Event
from agentnb.store.recorder import flush
from agentnb.store.schema import content, event_chunk, process, run, tool_call
from agentnb.store.store import Store

LONG = 30.0


@dataclass(frozen=True)
class Recorded:
    """All rows of one run, and its events."""

    run: dict[str, Any]
    content: dict[str, Any]
    calls: list[dict[str, Any]]
    events: list[Event]
    times: list[float]
    chunks: int


def rows(store: Store, table: Table) -> list[dict[str, Any]]:
    """Every row of a table."""
    with store.connect() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def recorded(store: Store, key: str | agentnb.Run) -> Recorded:
    """What the store holds of a run; of one of this process, after it was flushed."""
    if not isinstance(key, str):
        assert flush(LONG)
        key = key.local_id
    (row,) = [found for found in rows(store, run) if found["key"] == key]
    texts = [found for found in rows(store, content) if found["run"] == key]
    calls = [found for found in rows(store, tool_call) if found["run"] == key]
    chunks = [found for found in rows(store, event_chunk) if found["run"] == key]
    events: list[Event] = []
    times: list[float] = []
    for chunk in sorted(chunks, key=lambda found: found["first"]):
        # One follows the other, without a gap and without an overlap.
        assert chunk["first"] == len(events)
        some, when = decode(chunk["payload"])
        assert chunk["count"] == len(some)
        events += some
        times += when
    return Recorded(
        run=row,
        content=texts[0] if texts else {},
        calls=sorted(calls, key=lambda found: found["position"]),
        events=events,
        times=times,
        chunks=len(chunks),
    )


def keys(store: Store) -> set[str]:
    """The keys of all runs."""
    return {row["key"] for row in rows(store, run)}


def processes(store: Store) -> list[dict[str, Any]]:
    """The processes that recorded."""
    return rows(store, process)
