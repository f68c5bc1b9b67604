"""Messages between kernel and page for a chat: the counterpart of ``js/src/chat/protocol.ts``.

The kernel sends ``{type: "chat", seq, ops}`` with changes: ``{op: "chat", set}`` merges fields into
the head, ``{op: "turn", index, turn}`` puts a turn.  Messages of a run, as in
`agentnb.widgets.protocol`, are wrapped as ``{type: "run", turn, message}``, in both directions.  A
page is not trusted: `parse_chat_message` accepts only well-formed messages within limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, cast

from agentnb.conversation import Attachment, Conversation, SessionInfo, Turn
from agentnb.platforms.media import media_refusal
from agentnb.platforms.names import attachment_name
from agentnb.widgets.bounds import KEY_TEXT, NAME_TEXT, shortened
from agentnb.widgets.protocol import Snapshot, jsonable

__all__ = [
    "MAX_CHUNK",
    "MAX_UPLOADED",
    "Send",
    "SentAttachment",
    "chat_head",
    "chat_message",
    "chat_snapshot",
    "command_id",
    "parse_chat_message",
    "session_state",
    "turn_state",
]

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


class Send(TypedDict):
    """Question ``text`` after the turn ``parent``.

    It is a version of the turn ``edit``, and has the attachments of the turn ``keep``.
    """

    type: str
    id: str
    parent: str | None
    text: str
    attachments: list[SentAttachment]
    edit: str | None
    keep: str | None


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


def parse_chat_message(content: object) -> dict[str, Any] | None:
    """Return a validated message of the page, or None.

    - ``resync``: send the whole state
    - ``run``: a message for the run of ``turn``
    - ``upload``: chunk ``index`` of a file, in the message's buffer; ``last`` marks the end
    - commands, which have an ``id`` and are acknowledged: ``send`` (a `Send`), ``again`` (ask the
      question of ``turn`` again), ``show`` (the branch through ``turn``), ``new`` (conversation),
      ``sessions`` (list them), ``open`` (the session ``key``)
    """
    if not isinstance(content, Mapping):
        return None
    match cast("Mapping[str, Any]", content):
        case {"type": "resync"}:
            return {"type": "resync"}
        case {"type": "run", "turn": turn, "message": message} if _is_id(turn):
            return {"type": "run", "turn": turn, "message": message}
        case {"type": "upload", "upload": upload, "index": index, "last": bool(last)} if _is_id(
            upload
        ) and _is_count(index):
            return {"type": "upload", "upload": upload, "index": index, "last": last}
        case {"type": "send", "id": id} as message if _is_id(id):
            return cast("dict[str, Any] | None", _parse_send(message))
        case {"type": "again" | "show" as kind, "id": id, "turn": turn} if _is_id(id) and _is_id(
            turn
        ):
            return {"type": kind, "id": id, "turn": turn}
        case {"type": "new" | "sessions" as kind, "id": id} if _is_id(id):
            return {"type": kind, "id": id}
        case {"type": "open", "id": id, "key": str(session)} if (
            _is_id(id) and len(session) <= KEY_TEXT
        ):
            return {"type": "open", "id": id, "key": session}
        case _:
            return None


def command_id(content: object) -> str | None:
    """Return the id of a command that `parse_chat_message` rejected, or None."""
    id = cast("Mapping[str, Any]", content).get("id") if isinstance(content, Mapping) else None
    return cast("str", id) if _is_id(id) else None


def _parse_send(message: Mapping[str, Any]) -> Send | None:
    parent, edit, keep, text = (message.get(name) for name in ("parent", "edit", "keep", "text"))
    items = message.get("attachments")
    if not all(id is None or _is_id(id) for id in (parent, edit, keep)):
        return None
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        return None
    if not isinstance(items, list) or len(cast("list[Any]", items)) > _MAX_ATTACHMENTS:
        return None
    attachments = [_parse_attachment(item) for item in cast("list[object]", items)]
    if None in attachments:
        return None
    return {
        "type": "send",
        "id": message["id"],
        "parent": parent,
        "text": text,
        "attachments": cast("list[SentAttachment]", attachments),
        "edit": edit,
        "keep": keep,
    }


def _parse_attachment(item: object) -> SentAttachment | None:
    if not isinstance(item, Mapping):
        return None
    data = cast("Mapping[str, Any]", item)
    upload, name, mime = data.get("upload"), data.get("name"), data.get("mime_type")
    size, preview = data.get("size"), data.get("preview")
    if not _is_id(upload) or not isinstance(name, str):
        return None
    return {
        "upload": cast("str", upload),
        "attachment": Attachment(
            name=attachment_name(name),
            mime_type=mime if isinstance(mime, str) and _MIME.fullmatch(mime) else None,
            size=size if _is_count(size) else None,
            preview=preview if _is_preview(preview) else None,
        ),
    }


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_preview(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _MAX_PREVIEW
        and _PREVIEW.fullmatch(value) is not None
    )
