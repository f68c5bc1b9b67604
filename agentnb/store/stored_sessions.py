"""The sessions of an agent that other processes of this user recorded, on this day or earlier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from agentnb.event.transcript import Status
from agentnb.store.processes import mark_interrupted, process_id, user_name
from agentnb.store.stored_run import StoredRun, stored
from agentnb.store.timestamps import from_micros

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

__all__ = ["StoredSession", "list_sessions", "load_session"]

# How far back to look, in runs: the list is for picking one, and must be there at once.
_RUNS: Final = 2000
_TITLE: Final = 200
# Runs that have come to an end, be it a pause; what goes on elsewhere cannot be followed here.
_ENDED: Final = ("completed", "failed", "cancelled", "truncated", "interrupted", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session: its first question, how many runs it has, and when and how the last one went."""

    id: str
    question: str
    runs: int
    updated: datetime
    status: Status


def list_sessions(platform: str, agent: str) -> list[StoredSession]:
    """Return the sessions of an agent, the one used last first; [] where there is no store."""
    from sqlalchemy import func, select

    from agentnb.store.schema import content, run
    from agentnb.store.store import store

    opened = store()
    if opened is None:
        return []
    mark_interrupted(opened)
    query = (
        select(
            run.c.session_id,
            run.c.status,
            run.c.started_at,
            func.substr(content.c.prompt, 1, _TITLE).label("question"),
        )
        .join(content, content.c.run == run.c.key, isouter=True)
        .where(*_of_others(platform, agent), run.c.session_id.is_not(None))
        .order_by(run.c.started_at.desc())
        .limit(_RUNS)
    )
    with opened.connect() as connection:
        rows = connection.execute(query).all()
    sessions: dict[str, list[Any]] = {}
    for row in rows:
        sessions.setdefault(row.session_id, []).append(row)
    return [
        StoredSession(
            id=session,
            question=found[-1].question or "",
            runs=len(found),
            updated=from_micros(found[0].started_at),
            status=found[0].status,
        )
        for session, found in sessions.items()
    ]


def load_session(platform: str, agent: str, session: str) -> list[StoredRun]:
    """Return the runs of a session, oldest first; [] where there are none, or no store."""
    from sqlalchemy import select

    from agentnb.store.schema import run
    from agentnb.store.store import store

    opened = store()
    if opened is None:
        return []
    query = (
        select(run)
        .where(*_of_others(platform, agent), run.c.session_id == session)
        .order_by(run.c.started_at)
    )
    with opened.connect() as connection:
        return [stored(connection, row) for row in connection.execute(query).mappings().all()]


def _of_others(platform: str, agent: str) -> Sequence[ColumnElement[bool]]:
    from agentnb.store.schema import run

    return (
        run.c.platform == platform,
        run.c.agent == agent,
        # A store may serve a team; what others talk about is theirs.
        run.c.user_name == user_name(),
        # The runs of this process are at hand themselves, and can do more.
        run.c.process != process_id(),
        run.c.status.in_(_ENDED),
    )
