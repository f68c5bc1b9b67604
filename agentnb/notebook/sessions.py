"""The current session of each agent in this notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentnb.cassettes import cassette_count
from agentnb.errors import NotFoundError
from agentnb.platforms.base import Platform

if TYPE_CHECKING:
    from agentnb.agents import Agent
    from agentnb.conversation import Change, Conversation
    from agentnb.run.run import Run

# By client, because two servers of one platform do not share sessions, and by cassette, because a
# playback in another kernel begins without sessions.
_Key = tuple[Platform, str, int]


class Sessions:
    """The session that the next cell of each agent continues."""

    def __init__(self) -> None:
        self._current: dict[_Key, str] = {}
        self._latest: dict[_Key, Run] = {}

    def of(self, agent: Agent) -> str | None:
        return self._current.get(_key(agent))

    def ids(self) -> set[str]:
        return {
            session for (*_, tape), session in self._current.items() if tape == cassette_count()
        }

    def begin(self, agent: Agent, run: Run) -> None:
        """Register ``run`` as the latest of ``agent``, whose session counts."""
        self._latest[_key(agent)] = run

    def follow(self, chat: Conversation, change: Change) -> None:
        """Follow a conversation, so that the next cell continues it."""
        if change.kind in ("opened", "head"):
            self._move(chat)
        if change.turn is None:
            return
        run = change.turn.run
        if change.kind in ("added", "replaced"):
            self.begin(chat.agent, run)
        if run.done:
            self.end(chat.agent, run)

    def end(self, agent: Agent, run: Run) -> None:
        """Update the session of ``agent`` once ``run`` has ended."""
        key = _key(agent)
        if self._latest.get(key) is not run:
            return
        if isinstance(run.exception, NotFoundError):
            # Otherwise every further cell would get the same error.
            self._current.pop(key, None)
        elif run.session_id and len(run.events) > 1:
            # More events than its failure: the platform has the session.
            self._current[key] = run.session_id

    def _move(self, chat: Conversation) -> None:
        """Continue with the branch or session that ``chat`` shows now."""
        key = _key(chat.agent)
        session, shown = chat.session_id, chat.shown
        self._latest.pop(key, None)
        if shown is not None:
            self._latest[key] = shown.run
        self._current.pop(key, None)
        if session is not None:
            self._current[key] = session


def _key(agent: Agent) -> _Key:
    return agent.platform, agent.id, cassette_count()
