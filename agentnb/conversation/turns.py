"""What a conversation is made of: turns, and the sessions that they were said in."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from agentnb.errors import NotFoundError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import Usage
from agentnb.platforms.base import Media, Message
from agentnb.platforms.names import attachment_name
from agentnb.run.run import Run

__all__ = [
    "Attachment",
    "Earlier",
    "Strand",
    "Turn",
    "attachment_of",
    "chained",
    "last_after",
    "messages_of",
    "path_to",
    "told_before",
    "total_usage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """How an attachment is shown: ``size`` in bytes, ``preview`` a small image as a data address.

    None is what is not known.
    """

    name: str
    mime_type: str | None = None
    size: int | None = None
    preview: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "mime_type": self.mime_type,
            "size": self.size,
            "preview": self.preview,
        }


@dataclass(eq=False, slots=True)
class Strand:
    """A session as one conversation uses it.

    ``id`` is None until the platform gave one; ``tip`` is the last turn that reached it, the only
    one after which it can go on; ``gone`` says that the platform knows it no longer.  ``told`` are
    the messages that it began with, where no turn stands for them.
    """

    id: str | None = None
    tip: Turn | None = None
    gone: bool = False
    told: tuple[Message, ...] = ()


@dataclass(eq=False, slots=True, kw_only=True)
class Turn:
    """One question and its answer.

    ``before`` is the turn that it follows; turns after the same one are versions of a question.
    A decision on an approval may put another run in the place of ``run``, which tells all of it.
    ``note`` is one line for the reader, on what the agent does not know.
    """

    id: str
    before: Turn | None
    prompt: str
    run: Run
    strand: Strand
    media: tuple[Media, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    note: str | None = None
    # Whether the platform has it in its session; what it never got is no part of one.
    reached: bool = True
    _told: list[dict[str, Any]] | None = field(default=None, repr=False)

    @property
    def parent(self) -> str | None:
        """The id of the turn before, None for a first question."""
        return None if self.before is None else self.before.id

    def settle(self) -> None:
        """Say where its session stands, now that its run has ended."""
        run, strand = self.run, self.strand
        if isinstance(run.exception, NotFoundError):
            # Otherwise every further question would meet the same error.
            strand.gone = strand.id is not None
            self.reached = False
        elif len(run.events) > 1:
            # More than the event that it failed: the platform knows the question.
            strand.id = run.session_id or strand.id
            self.reached = True
        else:
            self.reached = False
        if not self.reached and strand.tip is self:
            before = self.before
            while before is not None and not (before.reached and before.strand is strand):
                before = before.before
            strand.tip = before

    def messages(self) -> list[dict[str, Any]]:
        """Return the question and the answer as `Conversation.messages` has them."""
        if self._told is not None:
            return self._told
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
        told = [question, answer]
        if final and status in FINAL_STATUSES:
            # Said once and for all: a long conversation is not told anew at every question.
            self._told = told
        return told


def path_to(turn: Turn | None) -> list[Turn]:
    """Return the turns from the first question to ``turn``."""
    path: list[Turn] = []
    while turn is not None:
        path.append(turn)
        turn = turn.before
    return path[::-1]


def last_after(turn: Turn, turns: Iterable[Turn]) -> Turn:
    """Return the last made of those ``turns`` that follow ``turn`` on any branch, or itself."""
    following = {turn}
    for later in turns:
        if later.before in following:
            following.add(later)
            turn = later
    return turn


def messages_of(turn: Turn | None) -> list[dict[str, Any]]:
    """Return the messages of the branch that ends with ``turn``, the caller's own to change."""
    return [_copied(message) for t in path_to(turn) for message in t.messages()]


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a new session can be told of a branch, and whether something of it has no words."""

    messages: list[Message]
    attachments: bool
    silent: bool


def told_before(turn: Turn | None) -> Earlier:
    """Return what a new session has to begin with to know the branch that ends with ``turn``."""
    told: list[Message] = []
    attachments = silent = False
    for t in path_to(turn):
        if not t.reached:
            continue
        attachments = attachments or bool(t.media)
        if text := t.run.transcript.text:
            told.append({"role": "user", "content": t.prompt})
            told.append({"role": "assistant", "content": text})
        else:
            # The question alone would stand before the next one, as if it were part of it.
            silent = True
    return Earlier(told, attachments, silent)


def chained(runs: Iterable[Run], strand: Strand, before: Turn | None = None) -> list[Turn]:
    """Return recorded runs of one session as turns, each after the one before it."""
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
            strand=strand,
            media=media,
            attachments=tuple(map(attachment_of, media)),
            params=dict(request.params),
        )
        strand.tip = turn
        if run.done or run.transcript.is_final:
            turn.settle()
        turns.append(turn)
        last = turn
    return turns


def attachment_of(media: Media) -> Attachment:
    """Return how an attachment is shown that code gave."""
    name, size = media.name, None
    if media.path is not None:
        name = name or media.path.name
        with suppress(OSError):
            size = media.path.stat().st_size
    elif media.data is not None:
        size = len(media.data)
    elif media.url is not None and not media.url.lower().startswith("data:"):
        with suppress(ValueError):  # no address
            parts = urlsplit(media.url)
            name = name or unquote(parts.path.rpartition("/")[2]) or parts.hostname
    name = name and attachment_name(name)
    guessed = mimetypes.guess_type(name)[0] if name else None
    return Attachment(name=name or "attachment", mime_type=media.mime_type or guessed, size=size)


def total_usage(turns: Sequence[Turn]) -> Usage | None:
    """Return the sum of what was reported for the turns; a figure nobody reported is None."""
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
