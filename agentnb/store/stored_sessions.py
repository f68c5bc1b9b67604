"""Sessions of an agent that other processes of this user recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from agentnb.event.transcript import Status
from agentnb.store.interruption import mark_interrupted
from agentnb.store.processes import process_id, user_name
from agentnb.store.stored_run import StoredRun, stored
from agentnb.store.values import from_micros

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

# The list is to pick one from and must be fast.
_MAX_RUNS: Final = 2000
_MAX_TITLE: Final = 200
# Runs that have ended or paused; live ones of other processes cannot be followed here.
_ENDED: Final = ("completed", "failed", "cancelled", "truncated", "interrupted", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session: its first prompt, its number of runs, and the time and status of the last one."""

    id: str
    question: str
    runs: int
    updated: datetime
    status: Status


def list_sessions(platform: str, agent: str) -> list[StoredSession]:
    """Return the sessions of an agent, the last used first; [] without a store."""
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
            func.substr(content.c.prompt, 1, _MAX_TITLE).label("question"),
        )
        .join(content, content.c.run == run.c.key, isouter=True)
        .where(*_of_other_processes(platform, agent), run.c.session_id.is_not(None))
        .order_by(run.c.started_at.desc())
        .limit(_MAX_RUNS)
    )
    with opened.connect() as connection:
        rows = connection.execute(query).all()
    sessions: dict[str, list[Any]] = {}
    for row in rows:
        sessions.setdefault(row.session_id, []).append(row)
    return [
        StoredSession(
            id=session,
            question=rows[-1].question or "",
            runs=len(rows),
            updated=from_micros(rows[0].started_at),
            status=rows[0].status,
        )
        for session, rows in sessions.items()
    ]


def load_session(platform: str, agent: str, session: str) -> list[StoredRun]:
    """Return the runs of a session, oldest first; [] if there are none, or no store."""
    from sqlalchemy import select

    from agentnb.store.schema import run
    from agentnb.store.store import store

    opened = store()
    if opened is None:
        return []
    query = (
        select(run)
        .where(*_of_other_processes(platform, agent), run.c.session_id == session)
        .order_by(run.c.started_at)
    )
    with opened.connect() as connection:
        return [stored(connection, row) for row in connection.execute(query).mappings().all()]


def _of_other_processes(platform: str, agent: str) -> Sequence[ColumnElement[bool]]:
    from agentnb.store.schema import run

    return (
        run.c.platform == platform,
        run.c.agent == agent,
        # A store may be shared by a team.
        run.c.user_name == user_name(),
        # The runs of this process are available as `Run`.
        run.c.process != process_id(),
        run.c.status.in_(_ENDED),
    )
