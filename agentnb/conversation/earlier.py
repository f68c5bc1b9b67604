"""The sessions of an agent, from the runs of this process and the history."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentnb.agents import Agent
from agentnb.config import EMBEDDED
from agentnb.conversation.turns import attachment_of
from agentnb.errors import RequestError
from agentnb.event.transcript import Status
from agentnb.platforms.base_platform import OfflinePlatform
from agentnb.render import one_line
from agentnb.run.clients import is_embedded
from agentnb.run.run import Run
from agentnb.store import recent
from agentnb.store.stored_sessions import StoredSession, list_sessions, load_session

_log = logging.getLogger(__name__)

_MAX_SESSIONS: Final = 100
_MAX_TITLE: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session of an agent: ``key`` is its id, ``title`` its first question, in one line.

    ``turns`` counts its known runs; ``updated`` and ``status`` are the last one's.  ``current``
    marks the session that the conversation continues.
    """

    key: str
    title: str
    turns: int
    updated: datetime
    status: Status
    current: bool = False


def _runs_of(agent: Agent, own: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of ``agent`` that have a session, by session, oldest first.

    They are the conversation's ``own`` and those of this process.
    """
    found = {id(run): run for run in (*own, *_runs_here(agent))}
    sessions: dict[str, list[Run]] = {}
    for run in sorted(found.values(), key=lambda r: r.created_at):
        if run.session_id is not None:
            sessions.setdefault(run.session_id, []).append(run)
    return sessions


def _runs_here(agent: Agent) -> list[Run]:
    # By client, because two servers of one platform do not share sessions.
    return [
        run
        for run in recent.recent_runs()
        if isinstance(run, Run) and run.client is agent.platform and run.agent == agent.id
    ]


def runs_in_session(agent: Agent, session: str | None) -> list[Run]:
    """Return the runs of one session, from this process and the history, oldest first."""
    return [] if session is None else _all_runs(agent, (), session)


def known_runs(agent: Agent, own: Iterable[Run], session: str) -> list[Run]:
    """Return the runs of one session, including the conversation's ``own``, oldest first.

    Raises:
        RequestError: there are none.
    """
    runs = _all_runs(agent, own, session)
    if not runs:
        raise RequestError(f"There is no session '{one_line(session, 80)}' here.")
    return runs


def _all_runs(agent: Agent, own: Iterable[Run], session: str) -> list[Run]:
    here = _runs_of(agent, own).get(session, [])
    known = {run.local_id for run in here}
    found = [run for run in _stored_runs(agent, session) if run.local_id not in known]
    return sorted((*found, *here), key=lambda run: run.created_at)


def _outlives_this_process(agent: Agent) -> bool:
    """Return whether the platform still knows the sessions of earlier processes.

    Those of functions and of the embedded sandbox are lost with the process.
    """
    platform = agent.platform
    if platform.name in ("local", EMBEDDED) or isinstance(platform, OfflinePlatform):
        return False
    return not is_embedded(platform)


def _stored_runs(agent: Agent, session: str) -> list[Run]:
    if not _outlives_this_process(agent):
        return []
    platform = agent.platform
    try:
        found = load_session(platform.name, agent.id, session)
    except Exception:
        _log.info("The earlier turns of a session cannot be read", exc_info=True)
        return []
    return [Run.recorded(run, platform=platform) for run in found]


def _stored_sessions(agent: Agent) -> list[StoredSession]:
    if not _outlives_this_process(agent):
        return []
    try:
        return list_sessions(agent.platform.name, agent.id)
    except Exception:
        _log.info("The earlier sessions of an agent cannot be read", exc_info=True)
        return []


def newer_runs(agent: Agent, session: str, *, known: Set[Run], after: datetime | None) -> list[Run]:
    """Return the runs of a session sent outside this conversation since ``after``, oldest first.

    Without those ``known``, and those that never reached the platform.
    """
    found = [
        run
        for run in _runs_here(agent)
        if run.session_id == session
        and run not in known
        and (after is None or run.created_at >= after)
        and not (run.done and len(run.events) < 2)
    ]
    return sorted(found, key=lambda run: run.created_at)


def session_list(agent: Agent, own: Iterable[Run], current: str | None) -> list[SessionInfo]:
    """Return the sessions of ``agent``, from this process and the history, at most 100.

    The one used last comes first.
    """
    found: dict[str, SessionInfo] = {}
    for stored in _stored_sessions(agent):
        found[stored.id] = SessionInfo(
            key=stored.id,
            title=one_line(stored.question, _MAX_TITLE) or f"Session {one_line(stored.id, 40)}",
            turns=stored.runs,
            updated=stored.updated,
            status=stored.status,
            current=stored.id == current,
        )
    for key, runs in _runs_of(agent, own).items():
        before = found.get(key)
        earlier = [run for run in runs if not run.durable] if before else []
        found[key] = SessionInfo(
            key=key,
            title=before.title if before else _title(runs[0]),
            # Runs opened from the history are in both.
            turns=len(runs) + (before.turns - len(earlier) if before else 0),
            updated=runs[-1].created_at,
            status=runs[-1].status,
            current=key == current,
        )
    return sorted(found.values(), key=lambda info: info.updated, reverse=True)[:_MAX_SESSIONS]


def _title(run: Run) -> str:
    if title := one_line(run.prompt, _MAX_TITLE):
        return title
    return one_line(", ".join(attachment_of(item).name for item in run.request.media), _MAX_TITLE)
