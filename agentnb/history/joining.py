"""A run that was joined again is the one that was sent: in the end there is one row of it.

Where who sent it lost it (cut off, interrupted, paused), what was seen after joining takes its
place, with the question and the moment of sending of the first.  Where that saw the run's end
itself, or is about to, what was joined adds nothing and goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, delete, func, select, update

from agentnb.history.chunks import decode, encode
from agentnb.history.schema import content, event_chunk, run, tool_call

__all__ = ["join"]

# Ends that the platform told; whatever else a joined run ends by says nothing of the run itself.
_TOLD: Final = ("completed", "cancelled", "failed")
# What the first recording misses.
_LOST: Final = ("truncated", "interrupted", "paused")
_MICRO: Final = 1_000_000


def join(connection: Connection, joined: Mapping[str, Any]) -> None:
    """Make one row of a joined run that has ended, ``joined``, and of what was recorded of it."""
    if joined["status"] not in _TOLD or joined["error_class"] is not None:
        return
    same = (
        (run.c.platform == joined["platform"])
        & (run.c.run_id == joined["run_id"])
        & (run.c.key != joined["key"])
        & (run.c.source != "platform")
    )
    found = select(run).where(same).order_by(run.c.started_at)
    first = connection.execute(found).mappings().first()
    if first is None:
        return
    if first["status"] in _LOST:
        _replace(connection, first, joined)
    else:
        connection.execute(delete(run).where(run.c.key == joined["key"]))


def _replace(connection: Connection, first: RowMapping, joined: Mapping[str, Any]) -> None:
    key, later = joined["key"], joined["started_at"] - first["started_at"]
    token = joined["first_token"]
    connection.execute(
        update(run)
        .where(run.c.key == key)
        .values(
            source=first["source"],
            pulled_at=first["pulled_at"],
            title=first["title"],
            started_at=first["started_at"],
            duration=joined["duration"] + later if joined["duration"] is not None else None,
            first_token=first["first_token"] or (None if token is None else token + later),
        )
    )
    asked = connection.execute(select(content).where(content.c.run == first["key"])).mappings()
    if (texts := asked.first()) is not None:
        known = {name: texts[name] for name in ("prompt", "request", "remote")}
        connection.execute(
            update(content)
            .where(content.c.run == key)
            .values({n: func.coalesce(v, content.c[n]) for n, v in known.items()})
        )
    _delay(connection, key, later)
    connection.execute(delete(run).where(run.c.key == first["key"]))


def _delay(connection: Connection, key: str, micros: int) -> None:
    """Count the run's times from ``micros`` earlier."""
    connection.execute(
        update(tool_call)
        .where(tool_call.c.run == key)
        .values(started=tool_call.c.started + micros, finished=tool_call.c.finished + micros)
    )
    chunks = select(event_chunk.c.first, event_chunk.c.payload).where(event_chunk.c.run == key)
    for first, payload in connection.execute(chunks).all():
        events, times = decode(payload)
        moved = encode(events, [time + micros / _MICRO for time in times])
        connection.execute(
            update(event_chunk)
            .where(event_chunk.c.run == key, event_chunk.c.first == first)
            .values(payload=moved)
        )
