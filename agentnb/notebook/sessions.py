"""Where each agent's conversation stands in this notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentnb.cassettes import tapes_begun
from agentnb.errors import NotFoundError
from agentnb.platforms.base import Platform

if TYPE_CHECKING:
    from agentnb.agents import Agent
    from agentnb.conversation import Change, Conversation
    from agentnb.run.run import Run

__all__ = ["Sessions"]

# The client, not the platform's name: two servers of one platform know nothing of each other.  And
# the recording: where it is played back, in another kernel, nothing is there to go on in.
_Key = tuple[Platform, str, int]


class Sessions:
    """The session that the next cell of an agent goes on in.

    A recording, and a playback, begins with none.
    """

    def __init__(self) -> None:
        self._current: dict[_Key, str] = {}
        self._latest: dict[_Key, Run] = {}

    def of(self, agent: Agent) -> str | None:
        """Return the session of ``agent``, None where it has none yet."""
        return self._current.get(_key(agent))

    def ids(self) -> set[str]:
        """Return the sessions that cells go on in."""
        return {session for (*_, tape), session in self._current.items() if tape == tapes_begun()}

    def begin(self, agent: Agent, run: Run) -> None:
        """Say that ``run`` is the latest of ``agent``: only the latest decides where to go on."""
        self._latest[_key(agent)] = run

    def follow(self, chat: Conversation, change: Change) -> None:
        """Take in what happens in a conversation: the next cell goes on where it is."""
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
        """Say that ``run`` has ended."""
        key = _key(agent)
        if self._latest.get(key) is not run:
            return
        if isinstance(run.exception, NotFoundError):
            # Otherwise every further cell would meet the same error.
            self._current.pop(key, None)
        elif run.session_id and len(run.events) > 1:
            # More than the event that it failed: the platform knows the session.
            self._current[key] = run.session_id

    def _move(self, chat: Conversation) -> None:
        """Say that ``chat`` shows another branch or session, or begins a new one."""
        key = _key(chat.agent)
        session, shown = chat.session_id, chat.shown
        # What goes on elsewhere decides no more; what goes on here, once it has ended.
        self._latest.pop(key, None)
        if shown is not None:
            self._latest[key] = shown.run
        self._current.pop(key, None)
        if session is not None:
            self._current[key] = session


def _key(agent: Agent) -> _Key:
    return agent.platform, agent.id, tapes_begun()
