"""The sessions that a conversation may go on in, from what this process ran before."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentnb import history
from agentnb.agents import Agent
from agentnb.conversation.turns import attachment_of
from agentnb.errors import RequestError
from agentnb.render import one_line
from agentnb.run import Run
from agentnb.transcript import Status

__all__ = ["SessionInfo", "known_runs", "newer_runs", "runs_in_session", "session_list"]

_LISTED: Final = 100
_TITLE: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session of an agent: ``key`` is its id, ``title`` its first question, in one line.

    ``turns`` counts the runs of it that this process has, ``updated`` is when the last one was
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
    for run in history.recent_runs():
        if isinstance(run, Run) and run.client is agent.platform and run.agent == agent.id:
            found[id(run)] = run
    sessions: dict[str, list[Run]] = {}
    for run in sorted(found.values(), key=lambda r: r.created_at):
        if run.session_id is not None:
            sessions.setdefault(run.session_id, []).append(run)
    return sessions


def runs_in_session(agent: Agent, session: str | None) -> list[Run]:
    """Return the runs of one session that this process has, oldest first."""
    return [] if session is None else _runs_of(agent, ()).get(session, [])


def known_runs(agent: Agent, own: Iterable[Run], session: str) -> list[Run]:
    """Return the runs of one session, those of the conversation's ``own`` too, oldest first.

    Raises:
        RequestError: there are none.
    """
    runs = _runs_of(agent, own).get(session)
    if runs is None:
        raise RequestError(f"There is no session '{one_line(session, 80)}' here.")
    return runs


def newer_runs(agent: Agent, session: str, *, known: Set[Run], after: datetime | None) -> list[Run]:
    """Return the runs of a session that were sent elsewhere since ``after``, oldest first.

    ``known`` are left out, and so is what never reached the platform: it is in no session.
    """
    found = [
        run
        for run in history.recent_runs()
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
    """Return the sessions of ``agent``, the one used last first, at most 100."""
    found = [
        SessionInfo(
            key=key,
            title=_title(runs[0]),
            turns=len(runs),
            updated=runs[-1].created_at,
            status=runs[-1].status,
            current=key == current,
        )
        for key, runs in _runs_of(agent, own).items()
    ]
    found.sort(key=lambda info: info.updated, reverse=True)
    return found[:_LISTED]


def _title(run: Run) -> str:
    if title := one_line(run.prompt, _TITLE):
        return title
    # An attachment may come without a word.
    return one_line(", ".join(attachment_of(item).name for item in run.request.media), _TITLE)
