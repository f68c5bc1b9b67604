"""A run that was joined again is the one that was sent: in the end there is one row of it.

Where who sent it lost it (cut off, interrupted, paused, or its process is gone), what was seen
after joining takes its place, with the question and the moment of sending of the first.  Where that
saw the run's end itself, what was joined adds nothing and goes.  As long as it may still see it,
both stay; `settle` makes one row of them when it has ended.

An attempt to join that failed before anything arrived never changes another row of the run: its own
row is deleted where there is another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from agentnb.event.serialization import decode, encode
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.store.processes import process_is_gone
from agentnb.store.schema import content, event_chunk, run, tool_call

__all__ = ["best_first", "goes_on", "is_joined", "join", "settle"]

# Ends that the platform told; whatever else a joined run ends by says nothing of the run itself.
_TOLD: Final = ("completed", "cancelled", "failed")
_UNFINISHED: Final = ("queued", "running")
_MICRO: Final = 1_000_000
# Runs that one statement looks for others of.
_AT_ONCE: Final = 500


def best_first() -> list[ColumnElement[Any]]:
    """Return the order in which the best of several rows with the same run id comes first.

    Of several platforms' runs the newest counts, but for one that failed before anything arrived,
    as an attempt to join a run of another platform does; of the rows of one platform, the one that
    has the run's end, then one that goes on, then the one with the most events.
    """
    is_empty = (
        (run.c.status != "completed")
        & run.c.error_class.is_not(None)
        & run.c.first_token.is_(None)
        & (func.coalesce(run.c.tool_calls, 0) == 0)
    )
    newest = func.max(case((is_empty, 0), else_=run.c.started_at)).over(partition_by=run.c.platform)
    has_end = run.c.status.in_(_TOLD) & run.c.error_class.is_(None)
    rank = case((has_end, 0), (run.c.status.not_in(FINAL_STATUSES), 1), else_=2)
    events = func.coalesce(run.c.events, 0).desc()
    return [newest.desc(), run.c.platform, rank, events, run.c.started_at.desc(), run.c.key]


def is_joined() -> ColumnElement[bool]:
    """Return whether a row of `content` is of a run that was joined: its question is not known."""
    return content.c.prompt.is_(None) & content.c.request.is_not(None)


_other: Final = run.alias()
# Those of some runs that another row is of, too.
_TO_SETTLE: Final = (
    select(run.c.key)
    .where(
        run.c.key.in_(bindparam("keys", expanding=True)),
        exists().where(
            _other.c.platform == run.c.platform,
            _other.c.run_id == run.c.run_id,
            _other.c.key != run.c.key,
        ),
    )
    .order_by(run.c.key)
)
_FIRST: Final = (
    select(run, is_joined().label("is_joined"))
    .select_from(run.outerjoin(content, content.c.run == run.c.key))
    .where(run.c.key == bindparam("key_"))
)


def join(connection: Connection, joined: Mapping[str, Any] | RowMapping) -> bool:
    """Make one row of a joined run that has ended, ``joined``, and of what was recorded of it.

    Returns whether the row of ``joined`` is still there.
    """
    if joined["run_id"] is None:
        return True
    same = (
        (run.c.platform == joined["platform"])
        # Where the platform gave no id, a run goes by agentnb's own.
        & or_(run.c.run_id == joined["run_id"], run.c.key == joined["run_id"])
        & (run.c.key != joined["key"])
    )
    found = connection.execute(select(run).where(same).order_by(run.c.started_at)).mappings().all()
    if (session := joined["session_id"]) is not None and _has_content(joined):
        # Some platforms number runs within their session.
        found = [row for row in found if row["session_id"] in (None, session)]
    if _is_superfluous(connection, joined, found):
        connection.execute(delete(run).where(run.c.key == joined["key"]))
        return False
    first = next((row for row in found if row["source"] != "platform"), None)
    if first is not None and not goes_on(connection, first):
        _replace(connection, first, joined)
    return True


def _is_superfluous(
    connection: Connection, joined: Mapping[str, Any] | RowMapping, others: Sequence[RowMapping]
) -> bool:
    """Tell whether the other rows of a run say all that ``joined`` says."""
    first = next((row for row in others if row["source"] != "platform"), None)
    if first is not None and _is_told(first):
        return True
    if joined["status"] != "completed" and not _has_content(joined):
        # An attempt that failed, or was stopped, before anything arrived.
        return any(not _is_told(joined) or _has_content(row) for row in others)
    if _is_told(joined):
        return False
    if first is None:
        return any(row["status"] in FINAL_STATUSES for row in others)
    if goes_on(connection, first):
        return False
    return first["status"] == "paused" or (first["events"] or 0) >= (joined["events"] or 0)


def _has_content(row: Mapping[str, Any] | RowMapping) -> bool:
    return row["first_token"] is not None or bool(row["tool_calls"])


def goes_on(connection: Connection, row: Mapping[str, Any] | RowMapping) -> bool:
    """Tell whether the process that recorded a run still follows it."""
    return row["status"] in _UNFINISHED and not process_is_gone(connection, row["process"])


def settle(connection: Connection, keys: Sequence[str]) -> None:
    """Make one row of each run that has ended, and of what joined it and saw its end.

    Nearly always there is nothing to do, which one statement finds for all.
    """
    for start in range(0, len(keys), _AT_ONCE):
        some = {"keys": keys[start : start + _AT_ONCE]}
        for key in connection.execute(_TO_SETTLE, some).scalars().all():
            _settle(connection, key)


def _settle(connection: Connection, key: str) -> None:
    first = connection.execute(_FIRST, {"key_": key}).mappings().first()
    if first is None:
        # It was one of the rows of another run, which was settled before.
        return
    if first["is_joined"]:
        join(connection, first)
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
