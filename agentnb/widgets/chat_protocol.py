"""What a chat's kernel and page say to each other: the mirror of ``js/src/chat/protocol.ts``.

A run's own messages are those of `agentnb.widgets.protocol`, in an envelope that names the turn.
Whatever a page sends is taken for a stranger's: `parse_chat_message` lets only well-formed messages
within bounds through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, cast

from agentnb.conversation import Attachment, Conversation, SessionInfo, Turn
from agentnb.platforms.media import media_refusal
from agentnb.platforms.names import attachment_name
from agentnb.widgets.bounds import KEY_TEXT, NAME_TEXT, shortened
from agentnb.widgets.protocol import Snapshot, jsonable

__all__ = [
    "MAX_CHUNK",
    "MAX_UPLOADED",
    "Again",
    "ChatOp",
    "ChatPageMessage",
    "Command",
    "EarlierSessions",
    "NewChat",
    "OpenSession",
    "Resync",
    "RunEnvelope",
    "Send",
    "SentAttachment",
    "Show",
    "Upload",
    "chat_head",
    "chat_message",
    "chat_snapshot",
    "command_id",
    "parse_chat_message",
    "session_state",
    "turn_state",
]

#: The most that a message may carry of a file, in bytes; pages send 512 KiB.
MAX_CHUNK: Final = 2**20
#: The most that is held of files that pages upload, in bytes.
MAX_UPLOADED: Final = 64 * 2**20

_ID: Final = re.compile(r"[\w.:/-]{1,100}", re.ASCII)
_MIME: Final = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}")
# Only what a browser decodes as a plain picture.
_PREVIEW: Final = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/=]*")
_MAX_PREVIEW: Final = 16_384
# Characters; the page refuses beyond it, before it uploads anything.
_MAX_TEXT: Final = 1_000_000
_MAX_ATTACHMENTS: Final = 100


class ChatOp(TypedDict, total=False):
    """``chat`` merges ``set`` into the head; ``turn`` puts a turn at ``index``."""

    op: Literal["chat", "turn"]
    set: dict[str, Any]
    index: int
    turn: dict[str, Any]


class Resync(TypedDict):
    """The page asks for the whole state."""

    type: Literal["resync"]


class SentAttachment(TypedDict):
    """A file of a question, uploaded before it."""

    upload: str
    attachment: Attachment


class Send(TypedDict):
    """Ask ``text`` after the turn ``parent``.

    ``edit`` names the turn that it is a version of, ``keep`` one whose attachments it has.
    """

    type: Literal["send"]
    id: str
    parent: str | None
    text: str
    attachments: list[SentAttachment]
    edit: str | None
    keep: str | None


class Again(TypedDict):
    """Ask a turn's question anew."""

    type: Literal["again"]
    id: str
    turn: str


class Show(TypedDict):
    """Show the branch through a turn."""

    type: Literal["show"]
    id: str
    turn: str


class NewChat(TypedDict):
    """Begin another conversation."""

    type: Literal["new"]
    id: str


class EarlierSessions(TypedDict):
    """Tell which sessions there are."""

    type: Literal["sessions"]
    id: str


class OpenSession(TypedDict):
    """Go on in an earlier session."""

    type: Literal["open"]
    id: str
    key: str


class Upload(TypedDict):
    """A piece of a file; its bytes are the message's buffer."""

    type: Literal["upload"]
    upload: str
    index: int
    last: bool


class RunEnvelope(TypedDict):
    """A message of the run protocol for one turn."""

    type: Literal["run"]
    turn: str
    message: object


Command = Send | Again | Show | NewChat | EarlierSessions | OpenSession
ChatPageMessage = Command | Resync | Upload | RunEnvelope


def chat_message(seq: int, ops: Sequence[ChatOp]) -> dict[str, Any]:
    """Return the message that carries changes."""
    return {"type": "chat", "seq": seq, "ops": list(ops)}


def chat_head(conversation: Conversation) -> dict[str, Any]:
    """Return the state but for the turns; its cost does not grow with them."""
    agent = conversation.agent
    media = agent.platform.capabilities.media
    shown = conversation.shown
    return jsonable(
        {
            "title": shortened(agent.title, NAME_TEXT),
            "agent": shortened(agent.id, NAME_TEXT),
            "platform": shortened(agent.platform.name, NAME_TEXT),
            "session_id": _named(conversation.session_id),
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

    ``generation`` tells the page whether that is still the run that it knows: it is raised when
    another one takes its place.
    """
    head = {
        "id": turn.id,
        "parent": turn.parent,
        "prompt": turn.prompt,
        "note": turn.note,
        "session_id": _named(turn.run.session_id),
        "generation": generation,
        "attachments": [attachment.to_dict() for attachment in turn.attachments],
    }
    # The run's state is well-formed already, and by far the largest part.
    return {**jsonable(head), "run": dict(run)}


def chat_snapshot(
    seq: int, head: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the whole state, as the trait ``snapshot`` holds it."""
    return {"seq": seq, "chat": {**head, "turns": list(turns)}}


def session_state(info: SessionInfo) -> dict[str, Any]:
    """Return how a session is listed."""
    return jsonable(
        {
            "key": info.key,
            "title": info.title,
            "turns": info.turns,
            "updated": info.updated.isoformat(),
            "current": info.current,
        }
    )


def _named(session: str | None) -> str | None:
    return None if session is None else shortened(session, NAME_TEXT)


def parse_chat_message(content: object) -> ChatPageMessage | None:
    """Return what the page said, or None where it is none of this protocol's messages."""
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
        case {"type": "send", "id": key} as message if _is_id(key):
            return _send(message)
        case {"type": "again" | "show" as kind, "id": key, "turn": turn} if _is_id(key) and _is_id(
            turn
        ):
            return {"type": kind, "id": key, "turn": turn}
        case {"type": "new" | "sessions" as kind, "id": key} if _is_id(key):
            return {"type": kind, "id": key}
        case {"type": "open", "id": key, "key": str(session)} if (
            _is_id(key) and len(session) <= KEY_TEXT
        ):
            return {"type": "open", "id": key, "key": session}
        case _:
            return None


def command_id(content: object) -> str | None:
    """Return the id of a command that `parse_chat_message` refused, None where it has none."""
    key = cast("Mapping[str, Any]", content).get("id") if isinstance(content, Mapping) else None
    return cast("str", key) if _is_id(key) else None


def _send(message: Mapping[str, Any]) -> Send | None:
    parent, edit, keep, text = (message.get(name) for name in ("parent", "edit", "keep", "text"))
    given = message.get("attachments")
    if not all(key is None or _is_id(key) for key in (parent, edit, keep)):
        return None
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        return None
    if not isinstance(given, list) or len(cast("list[Any]", given)) > _MAX_ATTACHMENTS:
        return None
    sent = [_attachment(item) for item in cast("list[object]", given)]
    if any(item is None for item in sent):
        return None
    return {
        "type": "send",
        "id": message["id"],
        "parent": parent,
        "text": text,
        "attachments": [item for item in sent if item is not None],
        "edit": edit,
        "keep": keep,
    }


def _attachment(item: object) -> SentAttachment | None:
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
