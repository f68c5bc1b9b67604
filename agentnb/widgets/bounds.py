"""Limits of the texts that a page receives and a notebook saves; the run keeps them whole.

A tool may return megabytes, and a run may have a thousand calls.  Lengths are in code points.
"""

from __future__ import annotations

from typing import Any, Final

from agentnb._support.text import shortened
from agentnb.event.approvals import approval_key
from agentnb.event.transcript import MediaPart, Part, Passage, Step, TextBuffer, ToolCall
from agentnb.event.types import ApprovalRequested

# Each text of a tool call, in the first parts and in later ones, which are rarely opened.
TOOL_TEXT: Final = 100_000
LATER_TOOL_TEXT: Final = 4_000
_FIRST_PARTS: Final = 20
# The address of an image or a file, which may be its content; in the first parts and in later ones.
MEDIA_URL: Final = 1_500_000
LATER_MEDIA_URL: Final = 200_000
# The state as JSON.
STATE_TEXT: Final = 20_000
CITATIONS: Final = 200
# The JSON schema of an answer to an approval.
SCHEMA_TEXT: Final = 20_000
# A passage of answer or reasoning.
PASSAGE_TEXT: Final = 1_000_000
ERROR_TEXT: Final = 4_000
# Tool names, followups, messages of approvals.
SHORT_TEXT: Final = 4_000
# Agents, platforms, models, ids.
NAME_TEXT: Final = 300
# Keys and ids in messages of both directions.
KEY_TEXT: Final = 1_000
# A prompt that is only displayed.
QUESTION_TEXT: Final = 20_000
FOLLOWUPS: Final = 20
APPROVALS: Final = 100
_NAMES: Final = ("run_id", "session_id", "agent", "model")


def part_limit(part: Part, index: int) -> int:
    """Return the limit of each growing text of part ``index``."""
    return _tool_limit(index) if isinstance(part, ToolCall) else PASSAGE_TEXT


def _tool_limit(index: int) -> int:
    return TOOL_TEXT if index < _FIRST_PARTS else LATER_TOOL_TEXT


def part_texts(part: Part) -> dict[str, TextBuffer]:
    """Return the growing texts of a part by field."""
    match part:
        case Passage():
            return {"text": part.text}
        case ToolCall():
            return {"arguments": part.arguments_text, "result": part.result_text}
        case _:
            return {}


def part_fields(part: Part) -> dict[str, Any]:
    """Return the other fields of a part that may change."""
    if isinstance(part, Passage | MediaPart):
        return {}
    return {
        "name": shortened(part.name, SHORT_TEXT),
        "error": None if part.error is None else shortened(part.error, ERROR_TEXT),
        "status": part.status,
        "started": part.started,
        "finished": part.finished,
    }


def part_state(part: Part, index: int) -> dict[str, Any]:
    """Return the JSON form of a part, with bounded texts.

    The number of omitted characters is in ``text_more``, ``arguments_more``, ``result_more`` and
    ``url_more``.
    """
    limit = part_limit(part, index)
    state: dict[str, Any] = {"kind": part.kind}
    if part.depth:
        state["depth"] = part.depth
    match part:
        case ToolCall():
            state["call_id"] = shortened(part.call_id, NAME_TEXT)
        case Step():
            state["step_id"] = shortened(part.step_id, NAME_TEXT)
        case MediaPart(media):
            limit = MEDIA_URL if index < _FIRST_PARTS else LATER_MEDIA_URL
            is_whole = len(media.url) <= limit
            state["url"] = media.url if is_whole else ""
            state["url_more"] = 0 if is_whole else len(media.url)
            state["mime_type"] = shortened(media.mime_type, NAME_TEXT)
            state["name"] = None if media.name is None else shortened(media.name, NAME_TEXT)
        case Passage():
            pass
    for name, buffer in part_texts(part).items():
        state[name] = str(buffer)[:limit]
        state[f"{name}_more"] = max(0, len(buffer) - limit)
    return state | part_fields(part)


def bounded_head(head: dict[str, Any]) -> dict[str, Any]:
    """Return `Transcript.head_to_dict` with bounded texts."""
    bounded = dict(head)
    for name in _NAMES:
        if (value := head[name]) is not None:
            bounded[name] = shortened(value, NAME_TEXT)
    if (error := head["error"]) is not None:
        bounded["error"] = {
            "message": shortened(error["message"], ERROR_TEXT),
            "code": None if error["code"] is None else shortened(error["code"], SHORT_TEXT),
        }
    bounded["citations"] = [
        {name: text and shortened(text, SHORT_TEXT) for name, text in citation.items()}
        for citation in head["citations"][:CITATIONS]
    ]
    bounded["followups"] = [shortened(text, SHORT_TEXT) for text in head["followups"][:FOLLOWUPS]]
    bounded["approvals"] = [
        _bounded_approval(approval, index)
        for index, approval in enumerate(head["approvals"][:APPROVALS])
    ]
    return bounded


def _bounded_approval(approval: dict[str, Any], index: int) -> dict[str, Any]:
    tool, id = approval["tool"], approval["approval_id"]
    schema = approval["answer_schema"] or ""
    return {
        **approval,
        # Identifies this request, whatever its id is used for later.
        "key": approval_key(ApprovalRequested(**approval)),
        # A truncated id could be another's; without one, the only approval can be decided.
        "approval_id": None if id is None or len(id) > KEY_TEXT else id,
        "message": shortened(approval["message"], SHORT_TEXT),
        "tool": None if tool is None else shortened(tool, SHORT_TEXT),
        # Long, since the user decides on the basis of the arguments.
        "arguments": shortened(approval["arguments"], _tool_limit(index)),
        # A part of a schema has no meaning.
        "answer_schema": schema if len(schema) <= SCHEMA_TEXT else "",
    }
