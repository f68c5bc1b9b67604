"""Runs of processes that ended without finishing them: they become ``interrupted``."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, exists, select, update

from agentnb._support.fork import after_fork_in_child
from agentnb.event.serialization import decode
from agentnb.event.transcript import fold
from agentnb.store.deduplication import settle
from agentnb.store.processes import database_time, is_row_gone, liveness_columns, process_id
from agentnb.store.record import content_texts, plain
from agentnb.store.schema import content, event_chunk, process, run, tool_call
from agentnb.store.store import Store

#: Error of a run whose process is gone.
GONE: Final = "The process that ran it went away."

# Interval between two checks of other processes, in seconds.
_CHECK_INTERVAL: Final = 5.0
# How long a reader waits for writers, in milliseconds.
_LOCK_TIMEOUT: Final = 250
_UNFINISHED: Final = ("queued", "running")

_lock = threading.Lock()
_checked_at: float | None = None


def mark_interrupted(store: Store, *, every: float = _CHECK_INTERVAL) -> int:
    """Set unfinished runs of processes that are gone to ``interrupted``; return how many.

    Checks at most once in ``every`` seconds and never fails: a store that cannot be written to is
    left for the next time.  Runs that wait for an approval are kept.
    """
    global _checked_at
    moment = time.monotonic()
    with _lock:
        if _checked_at is not None and moment - _checked_at < every:
            return 0
        _checked_at = moment
    try:
        gone = _gone_processes(store)
        if not gone:
            return 0
        with store.begin(timeout=_LOCK_TIMEOUT) as connection:
            return sum(_interrupt(connection, store, *process) for process in gone)
    # A reader of a table must not fail because of this.
    except Exception:
        return 0


def end_process(connection: Connection) -> None:
    """Mark this process as ended and its unfinished runs as ``interrupted``."""
    _end(connection, process_id())


def _gone_processes(store: Store) -> list[tuple[str, int]]:
    """Return the id and ``seen_at`` of processes that are gone and left runs unfinished."""
    unfinished = exists().where(run.c.process == process.c.id, run.c.status.in_(_UNFINISHED))
    with store.connect() as connection:
        candidates = select(process.c.id, *liveness_columns(connection)).where(
            process.c.ended_at.is_(None), process.c.id != process_id(), unfinished
        )
        rows = connection.execute(candidates).mappings().all()
    return [(row["id"], row["seen_at"]) for row in rows if is_row_gone(row)]


def _interrupt(connection: Connection, store: Store, id_: str, seen_at: int) -> int:
    # It may have written a heartbeat since, or another process was faster.
    same = (process.c.id == id_) & (process.c.seen_at == seen_at) & process.c.ended_at.is_(None)
    if connection.execute(select(process.c.id).where(same).with_for_update()).first() is None:
        return 0
    keys = _unfinished_keys(connection, id_)
    for key in keys if store.store_content else ():
        # Texts are written only from time to time; the events are complete.
        chunks = (
            select(event_chunk.c.payload)
            .where(event_chunk.c.run == key)
            .order_by(event_chunk.c.first)
        )
        with suppress(ValueError):
            events = [e for p in connection.execute(chunks).scalars() for e in decode(p)[0]]
            texts = content_texts(fold(events))
            values = {name: plain(text) for name, text in texts.items() if text is not None}
            connection.execute(update(content).where(content.c.run == key).values(values))
    _end(connection, id_)
    return len(keys)


def _unfinished_keys(connection: Connection, id_: str) -> list[str]:
    keys = select(run.c.key).where(run.c.process == id_, run.c.status.in_(_UNFINISHED))
    return list(connection.execute(keys.order_by(run.c.key)).scalars())


def _end(connection: Connection, id_: str) -> None:
    keys = _unfinished_keys(connection, id_)
    unfinished = (run.c.process == id_) & run.c.status.in_(_UNFINISHED)
    connection.execute(
        update(tool_call)
        .where(
            tool_call.c.status == "running",
            tool_call.c.run.in_(select(run.c.key).where(unfinished)),
        )
        .values(status="abandoned")
    )
    connection.execute(update(run).where(unfinished).values(status="interrupted", error=GONE))
    connection.execute(
        update(process).where(process.c.id == id_).values(ended_at=database_time(connection))
    )
    # Other rows of the same runs may have their end.
    settle(connection, keys)


def _after_fork() -> None:
    global _lock, _checked_at
    _lock, _checked_at = threading.Lock(), None


after_fork_in_child(_after_fork)
