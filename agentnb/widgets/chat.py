"""`ChatWidget`: a conversation as a Jupyter widget, and what code does with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import traitlets

from agentnb.conversation import Change, Conversation, SessionInfo
from agentnb.errors import RequestError
from agentnb.platforms.media import MediaLike
from agentnb.run.approvals import Named
from agentnb.run.run import Run
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.chat_controller import ChatPublisher

__all__ = ["ChatWidget"]

_log = logging.getLogger(__name__)


class _Followed(traitlets.TraitType[Any, Any]):
    """A trait that is read from the conversation itself and set only to tell its observers.

    So whoever waited for a run reads what it brought, even before the observers were called.
    """

    def __init__(self) -> None:
        super().__init__(None, allow_none=True, read_only=True)

    def get(self, obj: Any, cls: Any = None) -> Any:
        return getattr(obj.conversation, str(self.name))


class ChatWidget(AgentWidget):
    """A conversation with one agent, shown and used from code.

    These traits follow it and can be observed; none can be set, and none is sent to the page,
    which has each text already:

    - ``messages``: those of the branch shown, as dicts with ``id``, ``role`` (``user`` or
      ``assistant``) and ``content``; a question may have ``attachments``, an answer has ``status``
      and ``run_id``.  Observers are told when a status changes, not of every delta.
    - ``status``: of the last answer shown, ``idle`` where there is none.
    - ``session_id``: the session that it goes on in, None where there is none yet.
    - ``usage``: the sum of what was reported for all answers, a `Usage` or None.

    Observers are called on the thread that made the change: that of `send` and its like, or
    agentnb's own loop, which they must not block.  One that raises is logged and hurts no run.

    Closing the widget takes its view away; the conversation stays usable.
    """

    messages = _Followed()
    status = _Followed()
    session_id = _Followed()
    usage = _Followed()

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._publisher = ChatPublisher(conversation, send=self._send_message)
        self._mirroring = threading.Lock()
        self._gone = False
        self._stale = False
        # What the page is given is made when it asks, see `get_state`.
        super().__init__(kind="chat", snapshot={})
        conversation.subscribe(self._mirror)
        self._mirror()

    @property
    def conversation(self) -> Conversation:
        """The conversation that it shows."""
        return self._conversation

    # -- talking ---------------------------------------------------------------------------------

    def send(  # type: ignore[override]  # ipywidgets has the name for messages to the page
        self, text: str, *, media: MediaLike | Sequence[MediaLike] = (), **params: Any
    ) -> Run:
        """Ask ``text`` after the last message shown; return the live run at once.

        ``media`` are attachments and ``params`` the platform's own, as of `Agent.start`.

        Raises:
            RequestError: an answer is under way, or the platform cannot take what was given.
        """
        return self._conversation.send(text, media=media, params=params).run

    def edit(self, index: int, text: str) -> Run:
        """Ask ``text`` in place of the question ``messages[index]``, as a version of it.

        It is a branch: the messages after that question stay, see `Conversation`.

        Raises:
            RequestError: that message is no question of the user, or an answer is under way.
        """
        return self._conversation.edit(self._turn_at(index, "user"), text).run

    def regenerate(self, index: int | None = None) -> Run:
        """Ask for another version of the last answer, or of the answer ``messages[index]``.

        Raises:
            RequestError: there is no such answer, or one is under way.
        """
        turn = None if index is None else self._turn_at(index, "assistant")
        return self._conversation.regenerate(turn).run

    def stop(self) -> None:
        """Stop the answer that is under way; what arrived is kept."""
        self._conversation.stop()

    def approve(self, approval_id: Named = None) -> Run:
        """Approve what the agent asks for (blocks until the platform knows).

        Returns the run as which it goes on, live.

        Raises:
            RequestError: nothing waits for a decision.
            UnsupportedError: the platform takes none.
        """
        return self._conversation.approve(approval_id)

    def deny(self, approval_id: Named = None) -> Run:
        """Deny what the agent asks for; otherwise as `approve`."""
        return self._conversation.deny(approval_id)

    # -- moving about ----------------------------------------------------------------------------

    def new(self) -> None:
        """Begin another conversation, with a new session."""
        self._conversation.new()

    def sessions(self) -> list[SessionInfo]:
        """Return the agent's sessions that this process knows, newest first, at most 100."""
        return self._conversation.sessions()

    def open(self, key: str | None = None) -> None:
        """Go on in the session ``key``, one of `sessions`, and show what was said in it.

        Without a key it opens the widget's comm, which its making does already.

        Raises:
            RequestError: there is no such session, or an answer is under way.
        """
        if key is not None:
            self._conversation.open(key)
        elif self._may_open():
            super().open()
            self._publisher.start()

    # -- to and from the page --------------------------------------------------------------------

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return what the page is given when it is made or loaded anew."""
        state: dict[str, Any] = cast("Any", super()).get_state(key, drop_defaults)
        if key is None or key == "snapshot" or (not isinstance(key, str) and "snapshot" in key):
            state["snapshot"] = self._publisher.snapshot()
        return state

    def send_state(self, key: Any = None) -> None:
        """Send traits to the page, but never a snapshot on its own: it was told all of that."""
        if key != "snapshot":
            cast("Any", super()).send_state(key)

    def close(self) -> None:
        """Take the view away.  The conversation and its runs go on."""
        # Also called for a widget that is being torn down half made.
        publisher: ChatPublisher | None = getattr(self, "_publisher", None)
        if publisher is not None:
            publisher.close()
            self._gone = True
        super().close()

    def _may_open(self) -> bool:
        """Tell whether there may be a page; else nothing is sent anywhere."""
        return not self._gone

    def _send_message(self, message: Mapping[str, Any], buffers: Sequence[Any] = ()) -> None:
        # Not by `send`, which here asks the agent.
        cast("Any", super()).send(dict(message), buffers=list(buffers))

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        self._publisher.receive(content, buffers)

    # -- inside ----------------------------------------------------------------------------------

    def _turn_at(self, index: int, role: str) -> str:
        messages = self._conversation.messages
        try:
            message = messages[index]
        except IndexError:
            raise RequestError(f"There is no message {index}; there are {len(messages)}.") from None
        if message["role"] != role:
            what = "a question" if role == "user" else "an answer"
            raise RequestError(f"Message {index} is not {what}.", hint="See chat.messages.")
        return message["id"] if role == "user" else message["id"].removesuffix("/answer")

    def _mirror(self, change: Change | None = None) -> None:
        """Bring the traits up to date.

        One thread does it at a time, and none waits for another: an observer may be waiting for
        what that other thread is to bring.
        """
        self._stale = True
        while self._stale and self._mirroring.acquire(blocking=False):
            try:
                self._stale = False
                chat = self._conversation
                self._set("messages", chat.messages)
                self._set("usage", chat.usage)
                self._set("session_id", chat.session_id)
                # Last, for it is what observers wait for.
                self._set("status", chat.status)
            finally:
                self._mirroring.release()

    def _set(self, name: str, value: Any) -> None:
        try:
            self.set_trait(name, value)
        except Exception:
            _log.exception("An observer of a chat raised")

    def __repr__(self) -> str:
        chat = self._conversation
        count = len(chat.branch)
        return f"<Chat {chat.agent.name}, {count} question{'' if count == 1 else 's'}>"
