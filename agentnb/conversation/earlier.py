"""The sessions that a conversation may go on in, from what was run before, here and elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentnb.agents import Agent
from agentnb.cassettes.offline import OfflinePlatform
from agentnb.config import EMBEDDED
from agentnb.conversation.turns import attachment_of
from agentnb.errors import RequestError
from agentnb.event.transcript import Status
from agentnb.render import one_line
from agentnb.run.clients import is_embedded
from agentnb.run.run import Run
from agentnb.store import recent
from agentnb.store.stored_sessions import StoredSession, list_sessions, load_session

__all__ = ["SessionInfo", "known_runs", "newer_runs", "runs_in_session", "session_list"]

_log = logging.getLogger(__name__)

_LISTED: Final = 100
_TITLE: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session of an agent: ``key`` is its id, ``title`` its first question, in one line.

    ``turns`` counts the runs of it that are known, ``updated`` is when the last one was
    sent, ``status`` that one's.  ``current`` marks the session that the conversation goes on in.
    """

    key: str
    title: str
    turns: int
    updated: datetime
    status: Status
    current: bool = False


def _runs_of(agent: Agent, own: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of ``agent`` that have a session, by session, oldest first.

    They are the conversation's ``own`` and those of this process that the same agent answered, of
    the same client: two servers of one platform know nothing of each other.
    """
    found: dict[int, Run] = {id(run): run for run in own}
    for run in recent.recent_runs():
        if isinstance(run, Run) and run.client is agent.platform and run.agent == agent.id:
            found[id(run)] = run
    sessions: dict[str, list[Run]] = {}
    for run in sorted(found.values(), key=lambda r: r.created_at):
        if run.session_id is not None:
            sessions.setdefault(run.session_id, []).append(run)
    return sessions


def runs_in_session(agent: Agent, session: str | None) -> list[Run]:
    """Return the runs of one session, oldest first: those of this process and earlier ones."""
    return [] if session is None else _all_runs(agent, (), session)


def known_runs(agent: Agent, own: Iterable[Run], session: str) -> list[Run]:
    """Return the runs of one session, those of the conversation's ``own`` too, oldest first.

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
    """Tell whether the platform still knows a session of an earlier process.

    A function's and the embedded sandbox's, whichever platform that stands for, are in this
    process's memory: to show one of another would be to show what the agent does not know.
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
    # A store that fails takes nothing from a conversation but its earlier turns.
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
    """Return the runs of a session that were sent elsewhere since ``after``, oldest first.

    ``known`` are left out, and so is what never reached the platform: it is in no session.
    """
    found = [
        run
        for run in recent.recent_runs()
        if isinstance(run, Run)
        and run.client is agent.platform
        and run.agent == agent.id
        and run.session_id == session
        and run not in known
        and (after is None or run.created_at >= after)
        and not (run.done and len(run.events) < 2)
    ]
    return sorted(found, key=lambda run: run.created_at)


def session_list(agent: Agent, own: Iterable[Run], current: str | None) -> list[SessionInfo]:
    """Return the sessions of ``agent``, the one used last first, at most 100.

    They are those of this process, and what this user's earlier processes recorded.
    """
    found: dict[str, SessionInfo] = {}
    for stored in _stored_sessions(agent):
        found[stored.id] = SessionInfo(
            key=stored.id,
            title=one_line(stored.question, _TITLE) or f"Session {one_line(stored.id, 40)}",
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
            # Those that were opened are among both.
            turns=len(runs) + (before.turns - len(earlier) if before else 0),
            updated=runs[-1].created_at,
            status=runs[-1].status,
            current=key == current,
        )
    return sorted(found.values(), key=lambda info: info.updated, reverse=True)[:_LISTED]


def _title(run: Run) -> str:
    if title := one_line(run.prompt, _TITLE):
        return title
    # An attachment may come without a word.
    return one_line(", ".join(attachment_of(item).name for item in run.request.media), _TITLE)
