"""The turns of a conversation, and their sessions."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from agentnb.errors import NotFoundError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import Usage
from agentnb.platforms.base import Media, Message
from agentnb.platforms.names import attachment_name
from agentnb.run.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Description of an attachment: ``size`` in bytes, ``preview`` a data URL of a small image."""

    name: str
    mime_type: str | None = None
    size: int | None = None
    preview: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(eq=False, slots=True)
class ChatSession:
    """A session of a conversation.

    ``id`` is None until the platform returns one; ``tip`` is its last turn, the only one to be
    continued; ``gone`` means that the platform has deleted it.  ``history`` are the messages that
    it began with and that have no turn.
    """

    id: str | None = None
    tip: Turn | None = None
    gone: bool = False
    history: tuple[Message, ...] = ()


@dataclass(eq=False, slots=True, kw_only=True)
class Turn:
    """One question and its answer.

    ``before`` is the turn that it follows; turns after the same one are versions of a question.
    After a decision on an approval ``run`` is the successor, which has all events.  ``note`` is one
    line for the user on what the agent does not know.  ``reached`` is whether the platform has it
    in its session.
    """

    id: str
    before: Turn | None
    prompt: str
    run: Run
    chat_session: ChatSession
    media: tuple[Media, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    note: str | None = None
    reached: bool = True
    _messages: list[dict[str, Any]] | None = field(default=None, repr=False)

    @property
    def parent(self) -> str | None:
        """Id of the turn before, None for a first question."""
        return None if self.before is None else self.before.id

    def settle(self) -> None:
        """Update the session once the run has ended."""
        run, chat_session = self.run, self.chat_session
        if isinstance(run.exception, NotFoundError):
            # Otherwise every further question would get the same error.
            chat_session.gone = chat_session.id is not None
            self.reached = False
        elif len(run.events) > 1:
            # More events than its failure: the platform has the question.
            chat_session.id = run.session_id or chat_session.id
            self.reached = True
        else:
            self.reached = False
        if not self.reached and chat_session.tip is self:
            before = self.before
            while before is not None and not (
                before.reached and before.chat_session is chat_session
            ):
                before = before.before
            chat_session.tip = before

    def messages(self) -> list[dict[str, Any]]:
        """Return the question and the answer as `Conversation.messages` has them."""
        if self._messages is not None:
            return self._messages
        run = self.run
        with run.lock:
            final, status, text = run.done, run.status, run.transcript.text
        question: dict[str, Any] = {"id": self.id, "role": "user", "content": self.prompt}
        if self.attachments:
            question["attachments"] = [
                {k: v for k, v in a.to_dict().items() if k != "preview"} for a in self.attachments
            ]
        answer = {
            "id": f"{self.id}/answer",
            "role": "assistant",
            "content": text,
            "status": status,
            "run_id": run.id,
        }
        if run.error is not None:
            answer["error"] = run.error
        messages = [question, answer]
        if final and status in FINAL_STATUSES:
            # Cached, because a long conversation is read at every question.
            self._messages = messages
        return messages


def branch_to(turn: Turn | None) -> list[Turn]:
    """Return the turns from the first question to ``turn``."""
    path: list[Turn] = []
    while turn is not None:
        path.append(turn)
        turn = turn.before
    return path[::-1]


def branch_end(turn: Turn, turns: Iterable[Turn]) -> Turn:
    """Return the latest of the ``turns`` that follow ``turn`` on any branch, or itself."""
    following = {turn}
    for later in turns:
        if later.before in following:
            following.add(later)
            turn = later
    return turn


def messages_of(turn: Turn | None) -> list[dict[str, Any]]:
    """Return copies of the messages of the branch that ends with ``turn``."""
    return [_copied(message) for t in branch_to(turn) for message in t.messages()]


@dataclass(frozen=True, slots=True)
class PriorMessages:
    """Messages for a new session, and whether parts of the branch are missing in them."""

    messages: list[Message]
    has_attachments: bool
    has_empty_answers: bool


def prior_messages(turn: Turn | None) -> PriorMessages:
    """Return the messages that begin a new session after the branch that ends with ``turn``."""
    messages: list[Message] = []
    has_attachments = has_empty_answers = False
    for t in branch_to(turn):
        if not t.reached:
            continue
        has_attachments = has_attachments or bool(t.media)
        if text := t.run.transcript.text:
            messages.append({"role": "user", "content": t.prompt})
            messages.append({"role": "assistant", "content": text})
        else:
            # Without an answer the question would look like part of the next one.
            has_empty_answers = True
    return PriorMessages(messages, has_attachments, has_empty_answers)


def turns_of_runs(
    runs: Iterable[Run], chat_session: ChatSession, before: Turn | None = None
) -> list[Turn]:
    """Return the runs of one session as consecutive turns after ``before``."""
    turns: list[Turn] = []
    last = before
    for run in runs:
        request = run.request
        media = tuple(request.media)
        turn = Turn(
            id=uuid.uuid4().hex,
            before=last,
            prompt=request.prompt,
            run=run,
            chat_session=chat_session,
            media=media,
            attachments=tuple(map(attachment_of, media)),
            params=dict(request.params),
        )
        chat_session.tip = turn
        if run.done or run.transcript.is_final:
            turn.settle()
        turns.append(turn)
        last = turn
    return turns


def attachment_of(media: Media) -> Attachment:
    """Return the description of an attachment."""
    name, size = media.name, None
    if media.path is not None:
        name = name or media.path.name
        with suppress(OSError):
            size = media.path.stat().st_size
    elif media.data is not None:
        size = len(media.data)
    elif media.url is not None and not media.url.lower().startswith("data:"):
        with suppress(ValueError):  # not a valid URL
            parts = urlsplit(media.url)
            name = name or unquote(parts.path.rpartition("/")[2]) or parts.hostname
    name = name and attachment_name(name)
    guessed = mimetypes.guess_type(name)[0] if name else None
    return Attachment(name=name or "attachment", mime_type=media.mime_type or guessed, size=size)


def total_usage(turns: Sequence[Turn]) -> Usage | None:
    """Return the sum of the turns' usage; a figure that no turn has is None."""
    found = [usage for turn in turns if (usage := turn.run.usage) is not None]
    if not found:
        return None
    sums: dict[str, Any] = {}
    for name in Usage.__dataclass_fields__:
        known = [value for usage in found if (value := getattr(usage, name)) is not None]
        sums[name] = sum(known) if known else None
    return Usage(**sums)


def _copied(message: Mapping[str, Any]) -> dict[str, Any]:
    copied = dict(message)
    if "attachments" in copied:
        copied["attachments"] = [dict(each) for each in copied["attachments"]]
    return copied
