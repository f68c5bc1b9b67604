"""`ChatWidget`, a conversation as a Jupyter widget, and its API."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import traitlets

from agentnb.conversation import Change, Conversation, SessionInfo
from agentnb.errors import RequestError
from agentnb.platforms.media import MediaLike
from agentnb.run.approvals import ApprovalRef
from agentnb.run.run import Run
from agentnb.widgets.base import AgentWidget, log_failure
from agentnb.widgets.chat_publisher import ChatPublisher

_log = logging.getLogger(__name__)


class _ConversationTrait(traitlets.TraitType[Any, Any]):
    """A trait that is read from the conversation itself, and set only to notify observers.

    So code that waited for a run reads its result, even before the observers were called.
    """

    def __init__(self) -> None:
        super().__init__(None, allow_none=True, read_only=True)

    def get(self, obj: Any, cls: Any = None) -> Any:
        return getattr(obj.conversation, str(self.name))


class ChatWidget(AgentWidget):
    """A conversation with one agent, as a live view and as an API.

    These traits can be observed, but not set, and are not sent to the page:

    - ``messages``: the messages of the current branch, as dicts with ``id``, ``role`` (``user`` or
      ``assistant``) and ``content``; a question may have ``attachments``, an answer has ``status``
      and ``run_id``.  Observers are notified when a status changes, not of every delta.
    - ``status``: the status of the last answer of the branch, or ``idle``.
    - ``session_id``: the current session, or None.
    - ``usage``: the total usage of all answers, a `Usage` or None.

    Observers are called on the thread that made the change: that of `send` and similar methods, or
    agentnb's own loop, which they must not block.  Their exceptions are logged.

    Closing the widget removes its view; the conversation stays usable.
    """

    messages = _ConversationTrait()
    status = _ConversationTrait()
    session_id = _ConversationTrait()
    usage = _ConversationTrait()

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._updating = threading.Lock()
        self._is_closed = False
        publisher = ChatPublisher(conversation, send=self._send_message)
        self._is_stale = False
        # The page's snapshot is created on demand, see `get_state`.
        super().__init__("chat", publisher)
        conversation.subscribe(self._update_traits)
        self._update_traits()

    @property
    def conversation(self) -> Conversation:
        """The conversation in this view."""
        return self._conversation

    # -- questions -------------------------------------------------------------------------------

    def send(  # type: ignore[override]  # in ipywidgets it sends a message to the page
        self, text: str, *, media: MediaLike | Sequence[MediaLike] = (), **params: Any
    ) -> Run:
        """Send a question after the last message of the branch; return the live run at once.

        ``media`` are attachments and ``params`` the platform's parameters, as for `Agent.start`.

        Raises:
            RequestError: an answer is in progress, or the platform does not support the arguments.
        """
        return self._conversation.send(text, media=media, params=params).run

    def edit(self, index: int, text: str) -> Run:
        """Send ``text`` as another version of the question ``messages[index]``.

        This creates a branch: the messages after that question are kept, see `Conversation`.

        Raises:
            RequestError: that message is not a question, or an answer is in progress.
        """
        return self._conversation.edit(self._turn_at(index, "user"), text).run

    def regenerate(self, index: int | None = None) -> Run:
        """Request another version of the last answer, or of the answer ``messages[index]``.

        Raises:
            RequestError: there is no such answer, or one is in progress.
        """
        turn = None if index is None else self._turn_at(index, "assistant")
        return self._conversation.regenerate(turn).run

    def stop(self) -> None:
        """Stop the answer in progress; the text so far is kept."""
        self._conversation.stop()

    def approve(self, approval_id: ApprovalRef = None, *, payload: Any = None) -> Run:
        """Approve a pending approval, and return the live run that continues.

        Blocks until the platform has received it.

        Raises:
            RequestError: there is no pending approval.
            UnsupportedError: the platform does not support approvals.
        """
        return self._conversation.approve(approval_id, payload=payload)

    def deny(self, approval_id: ApprovalRef = None, *, payload: Any = None) -> Run:
        """Deny a pending approval; otherwise as `approve`."""
        return self._conversation.deny(approval_id, payload=payload)

    # -- sessions --------------------------------------------------------------------------------

    def new(self) -> None:
        """Start another conversation, in a new session."""
        self._conversation.new()

    def sessions(self) -> list[SessionInfo]:
        """Return the agent's known sessions, newest first, at most 100."""
        return self._conversation.sessions()

    def open(self, key: str | None = None) -> None:
        """Continue the session ``key``, one of `sessions`, and display its messages.

        Without a key, open the widget's comm, as the constructor does.

        Raises:
            RequestError: there is no such session, or an answer is in progress.
        """
        if key is not None:
            self._conversation.open(key)
        elif self._may_open():
            super().open()

    # -- the page --------------------------------------------------------------------------------

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the state for a page that is created or reloaded."""
        state: dict[str, Any] = cast("Any", super()).get_state(key, drop_defaults)
        if key is None or key == "snapshot" or (not isinstance(key, str) and "snapshot" in key):
            state["snapshot"] = cast("ChatPublisher", self._publisher).snapshot()
        return state

    def send_state(self, key: Any = None) -> None:
        """Send traits to the page, except a single snapshot, whose changes it has received."""
        if key != "snapshot":
            cast("Any", super()).send_state(key)

    def close(self) -> None:
        """Remove the view; the conversation and its runs go on."""
        self._is_closed = True
        super().close()

    def _may_open(self) -> bool:
        """Return whether there may be a page."""
        return not self._is_closed

    def _send_message(self, message: Mapping[str, Any], buffers: Sequence[Any] = ()) -> None:
        # `send` is overridden.
        with log_failure():
            cast("Any", super()).send(dict(message), buffers=list(buffers))

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

    def _update_traits(self, change: Change | None = None) -> None:
        """Update the traits, on one thread at a time.

        No thread waits for another, since an observer may wait for a change by that other thread.
        """
        self._is_stale = True
        while self._is_stale and self._updating.acquire(blocking=False):
            try:
                self._is_stale = False
                chat = self._conversation
                self._set("messages", chat.messages)
                self._set("usage", chat.usage)
                self._set("session_id", chat.session_id)
                # Last, since observers mostly wait for the status.
                self._set("status", chat.status)
            finally:
                self._updating.release()

    def _set(self, name: str, value: Any) -> None:
        try:
            self.set_trait(name, value)
        except Exception:
            _log.exception("An observer of a chat raised")

    def __repr__(self) -> str:
        chat = self._conversation
        count = len(chat.branch)
        return f"<Chat {chat.agent.name}, {count} question{'' if count == 1 else 's'}>"
