"""Merging the row of an attached run with the row of the same run as it was started.

Where the first stream was lost (truncated, interrupted, paused, or its process is gone), the row of
the attached stream replaces it and takes over its prompt and start.  Where the first stream has the
run's end, the row of the attached one is deleted.  Until the first has ended both stay, and then
`settle` merges them.

An attach that failed before anything arrived never changes another row of the run: its own row is
deleted where there is another one.
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
from agentnb.store.processes import is_process_gone
from agentnb.store.schema import content, event_chunk, run, tool_call

_Row = Mapping[str, Any] | RowMapping

# Ends reported by the platform; any other end is that of the stream, not of the run.
_REPORTED: Final = ("completed", "cancelled", "failed")
_UNFINISHED: Final = ("queued", "running")
# Keys in one statement.
_BATCH: Final = 500


def best_first() -> list[ColumnElement[Any]]:
    """Return the order that puts the best of several rows with the same run id first.

    Among platforms the newest run comes first, except one that failed before anything arrived, as
    an attach to a run of another platform does.  Among the rows of one platform, the one with the
    run's end comes first, then one that continues, then the one with the most events.
    """
    is_empty = (
        (run.c.status != "completed")
        & run.c.error_class.is_not(None)
        & run.c.first_token.is_(None)
        & (func.coalesce(run.c.tool_calls, 0) == 0)
    )
    newest = func.max(case((is_empty, 0), else_=run.c.started_at)).over(partition_by=run.c.platform)
    has_end = run.c.status.in_(_REPORTED) & run.c.error_class.is_(None)
    rank = case((has_end, 0), (run.c.status.not_in(FINAL_STATUSES), 1), else_=2)
    events = func.coalesce(run.c.events, 0).desc()
    return [newest.desc(), run.c.platform, rank, events, run.c.started_at.desc(), run.c.key]


def find_run(connection: Connection, run_id: str) -> RowMapping | None:
    """Return the row of the run with this key, else the best one with this platform's id."""
    by_key = (run.c.key == run_id).desc()
    statement = select(run).where(or_(run.c.key == run_id, run.c.run_id == run_id))
    return connection.execute(statement.order_by(by_key, *best_first()).limit(1)).mappings().first()


def is_attached() -> ColumnElement[bool]:
    """Return whether a row of `content` is of an attached run, whose prompt is unknown."""
    return content.c.prompt.is_(None) & content.c.request.is_not(None)


_other: Final = run.alias()
# Keys of runs that have another row.
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
    select(run, is_attached().label("is_attached"))
    .select_from(run.outerjoin(content, content.c.run == run.c.key))
    .where(run.c.key == bindparam("key_"))
)


def merge_attached(connection: Connection, attached: _Row) -> bool:
    """Merge the row of an attached run that has ended with the other rows of the run.

    Return whether the row still exists.
    """
    if attached["run_id"] is None:
        return True
    same = (
        (run.c.platform == attached["platform"])
        # A run without a platform id is known by agentnb's own.
        & or_(run.c.run_id == attached["run_id"], run.c.key == attached["run_id"])
        & (run.c.key != attached["key"])
    )
    others = connection.execute(select(run).where(same).order_by(run.c.started_at)).mappings().all()
    if (session := attached["session_id"]) is not None and _has_content(attached):
        # Some platforms number runs within their session.
        others = [row for row in others if row["session_id"] in (None, session)]
    if _is_redundant(connection, attached, others):
        connection.execute(delete(run).where(run.c.key == attached["key"]))
        return False
    first = next((row for row in others if row["source"] != "platform"), None)
    if first is not None and not is_followed(connection, first):
        _replace(connection, first, attached)
    return True


def _is_redundant(connection: Connection, attached: _Row, others: Sequence[RowMapping]) -> bool:
    """Return whether the other rows of a run have all that ``attached`` has."""
    first = next((row for row in others if row["source"] != "platform"), None)
    if first is not None and _has_reported_end(first):
        return True
    if attached["status"] != "completed" and not _has_content(attached):
        # An attach that failed, or was cancelled, before anything arrived.
        return any(not _has_reported_end(attached) or _has_content(row) for row in others)
    if _has_reported_end(attached):
        return False
    if first is None:
        return any(row["status"] in FINAL_STATUSES for row in others)
    if is_followed(connection, first):
        return False
    return first["status"] == "paused" or (first["events"] or 0) >= (attached["events"] or 0)


def _has_content(row: _Row) -> bool:
    return row["first_token"] is not None or bool(row["tool_calls"])


def is_followed(connection: Connection, row: _Row) -> bool:
    """Return whether the process that recorded a run still streams it."""
    return row["status"] in _UNFINISHED and not is_process_gone(connection, row["process"])


def settle(connection: Connection, keys: Sequence[str]) -> None:
    """Merge the rows of runs that have ended with those of attached streams.

    Nearly always there is nothing to do, which one statement finds out for all.
    """
    for start in range(0, len(keys), _BATCH):
        batch = {"keys": keys[start : start + _BATCH]}
        for key in connection.execute(_TO_SETTLE, batch).scalars().all():
            _settle(connection, key)


def _settle(connection: Connection, key: str) -> None:
    first = connection.execute(_FIRST, {"key_": key}).mappings().first()
    if first is None:
        # It was merged when another row of the run was settled.
        return
    if first["is_attached"]:
        merge_attached(connection, first)
        return
    # The prompt of an attached run is unknown.
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
    for attached in connection.execute(later).mappings().all():
        merge_attached(connection, attached)


def _has_reported_end(row: _Row) -> bool:
    """Return whether the platform reported the end; a lost stream fails a run, too."""
    return row["status"] in _REPORTED and row["error_class"] is None


def _replace(connection: Connection, first: RowMapping, attached: _Row) -> None:
    key, later = attached["key"], attached["started_at"] - first["started_at"]
    token = attached["first_token"]
    connection.execute(
        update(run)
        .where(run.c.key == key)
        .values(
            source=first["source"],
            pulled_at=first["pulled_at"],
            title=first["title"],
            started_at=first["started_at"],
            duration=attached["duration"] + later if attached["duration"] is not None else None,
            reconnects=_sum(first["reconnects"], attached["reconnects"]),
            first_token=first["first_token"] or (None if token is None else token + later),
        )
    )
    texts = (
        connection.execute(select(content).where(content.c.run == first["key"])).mappings().first()
    )
    if texts is not None:
        known = {name: texts[name] for name in ("prompt", "request", "remote")}
        connection.execute(
            update(content)
            .where(content.c.run == key)
            .values({n: func.coalesce(v, content.c[n]) for n, v in known.items()})
        )
    _shift_times(connection, key, later)
    connection.execute(delete(run).where(run.c.key == first["key"]))


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _shift_times(connection: Connection, key: str, micros: int) -> None:
    """Add ``micros`` to the run's times."""
    connection.execute(
        update(tool_call)
        .where(tool_call.c.run == key)
        .values(started=tool_call.c.started + micros, finished=tool_call.c.finished + micros)
    )
    chunks = select(event_chunk.c.first, event_chunk.c.payload).where(event_chunk.c.run == key)
    for first, payload in connection.execute(chunks).all():
        events, times = decode(payload)
        shifted = encode(events, [time + micros / 1_000_000 for time in times])
        connection.execute(
            update(event_chunk)
            .where(event_chunk.c.run == key, event_chunk.c.first == first)
            .values(payload=shifted)
        )
