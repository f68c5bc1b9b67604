"""Messages between kernel and page for a chat: the counterpart of ``js/src/chat/protocol.ts``.

The kernel sends ``{type: "chat", seq, ops}`` with changes: ``{op: "chat", set}`` merges fields into
the head, ``{op: "turn", index, turn}`` puts a turn.  Messages of a run, as in
`agentnb.widgets.protocol`, are wrapped as ``{type: "run", turn, message}``, in both directions.  A
page is not trusted: `parse_chat_message` accepts only well-formed messages within limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypedDict, cast

from agentnb._support.text import shortened
from agentnb.conversation import Attachment, Conversation, SessionInfo, Turn
from agentnb.platforms.media import media_refusal
from agentnb.platforms.names import attachment_name
from agentnb.widgets.bounds import KEY_TEXT, NAME_TEXT
from agentnb.widgets.protocol import (
    Fields,
    Snapshot,
    anything,
    count,
    flag,
    jsonable,
    optional,
    parse_fields,
    parse_message,
    text,
)

#: Maximum bytes of a file's chunk; pages send 512 KiB.
MAX_CHUNK: Final = 2**20
#: Maximum bytes of uploaded files in memory.
MAX_UPLOADED: Final = 64 * 2**20

_ID: Final = re.compile(r"[\w.:/-]{1,100}", re.ASCII)
_MIME: Final = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}")
# Formats that browsers decode as plain images.
_PREVIEW: Final = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/=]*")
_MAX_PREVIEW: Final = 16_384
# Characters; the page checks this before it uploads anything.
_MAX_TEXT: Final = 1_000_000
_MAX_ATTACHMENTS: Final = 100


class SentAttachment(TypedDict):
    """A file of a question, uploaded before it."""

    upload: str
    attachment: Attachment


def chat_message(seq: int, ops: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the message with changes."""
    return {"type": "chat", "seq": seq, "ops": list(ops)}


def chat_head(conversation: Conversation) -> dict[str, Any]:
    """Return the state without the turns, whose size does not grow with them."""
    agent = conversation.agent
    media = agent.platform.capabilities.media
    shown = conversation.shown
    return jsonable(
        {
            "title": shortened(agent.title, NAME_TEXT),
            "agent": shortened(agent.id, NAME_TEXT),
            "platform": shortened(agent.platform.name, NAME_TEXT),
            "session_id": _session_name(conversation.session_id),
            "status": conversation.status,
            "media": {
                "reason": media_refusal(agent.platform),
                "accept": [] if media is None else list(media.accept),
                "max_bytes": 0 if media is None else min(media.max_bytes, MAX_UPLOADED),
                "max_count": 0 if media is None else min(media.max_count, _MAX_ATTACHMENTS),
                "alone": media is not None and media.alone,
            },
            "shown": None if shown is None else shown.id,
            "notice": conversation.notice,
        }
    )


def turn_state(turn: Turn, run: Snapshot, *, generation: int = 0) -> dict[str, Any]:
    """Return one turn with the state of its run.

    ``generation`` is increased when another run replaces it.
    """
    head = {
        "id": turn.id,
        "parent": turn.parent,
        "prompt": turn.prompt,
        "note": turn.note,
        "session_id": _session_name(turn.run.session_id),
        "generation": generation,
        "attachments": [attachment.to_dict() for attachment in turn.attachments],
    }
    # The run's state is JSON-compatible already, and by far the largest part.
    return {**jsonable(head), "run": dict(run)}


def chat_snapshot(
    seq: int, head: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the whole state, as in the trait ``snapshot``."""
    return {"seq": seq, "chat": {**head, "turns": list(turns)}}


def session_state(info: SessionInfo) -> dict[str, Any]:
    """Return an entry of the list of sessions."""
    return jsonable(
        {
            "key": info.key,
            "title": info.title,
            "turns": info.turns,
            "updated": info.updated.isoformat(),
            "current": info.current,
        }
    )


def _session_name(session: str | None) -> str | None:
    return None if session is None else shortened(session, NAME_TEXT)


def _identifier(value: Any) -> str:
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise ValueError("not an id")
    return value


def _valid(value: Any, parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(value)
    except ValueError:
        return None


def _matching(pattern: re.Pattern[str], limit: int) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if pattern.fullmatch(text(limit)(value)) is None:
            raise ValueError("not of the form")
        return value

    return parse


_OPTIONAL_FIELDS: Final[dict[str, Callable[[Any], Any]]] = {
    "mime_type": _matching(_MIME, 201),
    "size": count,
    "preview": _matching(_PREVIEW, _MAX_PREVIEW),
}


def _attachments(value: Any) -> list[SentAttachment]:
    if not isinstance(value, list) or len(cast("list[Any]", value)) > _MAX_ATTACHMENTS:
        raise ValueError("not a list within the limit")
    return [_attachment(item) for item in cast("list[Any]", value)]


def _attachment(item: Any) -> SentAttachment:
    fields = parse_fields(item, {"upload": _identifier, "name": text(_MAX_TEXT)})
    details = {name: _valid(item.get(name), parse) for name, parse in _OPTIONAL_FIELDS.items()}
    attachment = Attachment(name=attachment_name(fields["name"]), **details)
    return {"upload": fields["upload"], "attachment": attachment}


_COMMAND: Final[Fields] = {"id": _identifier}
_TURN: Final[Fields] = {"turn": _identifier}
_MESSAGES: Final[dict[str, Fields]] = {
    # Send the whole state.
    "resync": {},
    # A message for the run of a turn.
    "run": {**_TURN, "message": anything},
    # Chunk ``index`` of a file, in the message's buffer; ``last`` marks the end.
    "upload": {"upload": _identifier, "index": count, "last": flag},
    # Commands, which are acknowledged.  A question after the turn ``parent``: a version of the turn
    # ``edit``, with the attachments of the turn ``keep``.
    "send": {
        **_COMMAND,
        "text": text(_MAX_TEXT),
        "attachments": _attachments,
        "parent?": optional(_identifier),
        "edit?": optional(_identifier),
        "keep?": optional(_identifier),
    },
    # Ask the question of a turn again; show the branch through it.
    "again": {**_COMMAND, **_TURN},
    "show": {**_COMMAND, **_TURN},
    # A new conversation; the list of sessions; one of them.
    "new": _COMMAND,
    "sessions": _COMMAND,
    "open": {**_COMMAND, "key": text(KEY_TEXT)},
}


def parse_chat_message(content: object) -> dict[str, Any] | None:
    """Return a validated message of the page, or None."""
    return parse_message(content, _MESSAGES)


def command_id(content: object) -> str | None:
    """Return the id of a command that `parse_chat_message` rejected, or None."""
    id = cast("Mapping[str, Any]", content).get("id") if isinstance(content, Mapping) else None
    return _valid(id, _identifier)
