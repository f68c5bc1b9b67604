"""A run that was joined again is the one that was sent: in the end there is one row of it.

Where who sent it lost it (cut off, interrupted, paused, or its process is gone), what was seen
after joining takes its place, with the question and the moment of sending of the first.  Where that
saw the run's end itself, what was joined adds nothing and goes.  As long as it may still see it,
both stay; `settle` makes one row of them when it has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, delete, func, select, update

from agentnb.history.chunks import decode, encode
from agentnb.history.processes import process_is_gone
from agentnb.history.schema import content, event_chunk, run, tool_call

__all__ = ["join", "settle"]

# Ends that the platform told; whatever else a joined run ends by says nothing of the run itself.
_TOLD: Final = ("completed", "cancelled", "failed")
_UNFINISHED: Final = ("queued", "running")
_MICRO: Final = 1_000_000


def join(connection: Connection, joined: Mapping[str, Any] | RowMapping) -> None:
    """Make one row of a joined run that has ended, ``joined``, and of what was recorded of it."""
    if not _is_told(joined):
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
    if _is_told(first):
        connection.execute(delete(run).where(run.c.key == joined["key"]))
    elif first["status"] not in _UNFINISHED or process_is_gone(connection, first["process"]):
        _replace(connection, first, joined)


def settle(connection: Connection, key: str) -> None:
    """Make one row of the run ``key``, which has ended, and of what joined it and saw its end."""
    first = connection.execute(select(run).where(run.c.key == key)).mappings().first()
    if first is None or first["run_id"] is None:
        return
    # Who joins a run does not know the question.
    later = (
        select(run)
        .select_from(run.outerjoin(content, content.c.run == run.c.key))
        .where(
            run.c.platform == first["platform"],
            run.c.run_id == first["run_id"],
            run.c.key != key,
            run.c.source != "platform",
            run.c.started_at >= first["started_at"],
            content.c.prompt.is_(None),
        )
        .order_by(run.c.started_at)
    )
    for joined in connection.execute(later).mappings().all():
        join(connection, joined)


def _is_told(row: Mapping[str, Any] | RowMapping) -> bool:
    """Tell whether the platform itself told of the end; one who lost a run has it failed, too."""
    return row["status"] in _TOLD and row["error_class"] is None


def _replace(
    connection: Connection, first: RowMapping, joined: Mapping[str, Any] | RowMapping
) -> None:
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
            reconnects=_sum(first["reconnects"], joined["reconnects"]),
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


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


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
