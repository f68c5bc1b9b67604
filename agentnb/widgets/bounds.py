"""How much of a run's texts a page is told, and a notebook saves; the run itself has them whole.

A tool may return megabytes, and a server may answer a thousand calls with as much.  Lengths are in
code points.
"""

from __future__ import annotations

from typing import Any, Final

from agentnb.event.approvals import approval_key
from agentnb.event.transcript import Passage, TextBuffer, ToolCall
from agentnb.event.types import ApprovalRequested

__all__ = [
    "APPROVALS",
    "ERROR_TEXT",
    "FOLLOWUPS",
    "KEY_TEXT",
    "LATER_TOOL_TEXT",
    "NAME_TEXT",
    "PASSAGE_TEXT",
    "QUESTION_TEXT",
    "SHORT_TEXT",
    "TOOL_TEXT",
    "bounded_head",
    "part_limit",
    "part_state",
    "shortened",
]

# Each text of a tool call: of the first parts, and of those that follow, which nobody opens one by
# one.
TOOL_TEXT: Final = 100_000
LATER_TOOL_TEXT: Final = 4_000
_FIRST_PARTS: Final = 20
# A passage of answer or reasoning: some hundred thousand words.
PASSAGE_TEXT: Final = 1_000_000
ERROR_TEXT: Final = 4_000
# A tool, a question to ask next, why something is to be approved.
SHORT_TEXT: Final = 4_000
# What stands in a line: an agent, a platform, a model, an id.
NAME_TEXT: Final = 300
# What things go by, in messages both ways.
KEY_TEXT: Final = 1_000
# What was asked, where it is only shown.
QUESTION_TEXT: Final = 20_000
FOLLOWUPS: Final = 20
APPROVALS: Final = 100
_NAMES: Final = ("run_id", "session_id", "agent", "model")


def part_limit(part: Passage | ToolCall, index: int) -> int:
    """Return how much is told of each growing text of part ``index``."""
    if isinstance(part, Passage):
        return PASSAGE_TEXT
    return TOOL_TEXT if index < _FIRST_PARTS else LATER_TOOL_TEXT


def part_state(part: Passage | ToolCall, index: int) -> dict[str, Any]:
    """Return the JSON form of a part, bounded.

    What its texts have beyond that is counted: in ``text_more``, or in ``arguments_more`` and
    ``result_more``.
    """
    limit = part_limit(part, index)
    if isinstance(part, Passage):
        text, more = _beginning(part.text, limit)
        return {"kind": part.kind, "text": text, "text_more": more}
    arguments, arguments_more = _beginning(part.arguments_text, limit)
    result, result_more = _beginning(part.result_text, limit)
    return {
        "kind": "tool",
        "call_id": shortened(part.call_id, NAME_TEXT),
        "name": shortened(part.name, SHORT_TEXT),
        "arguments": arguments,
        "arguments_more": arguments_more,
        "result": result,
        "result_more": result_more,
        "error": None if part.error is None else shortened(part.error, ERROR_TEXT),
        "status": part.status,
        "started": part.started,
        "finished": part.finished,
    }


def bounded_head(head: dict[str, Any]) -> dict[str, Any]:
    """Return `Transcript.head_to_dict` with every text in it bounded."""
    bounded = dict(head)
    for name in _NAMES:
        if (value := head[name]) is not None:
            bounded[name] = shortened(value, NAME_TEXT)
    if (error := head["error"]) is not None:
        bounded["error"] = {
            "message": shortened(error["message"], ERROR_TEXT),
            "code": None if error["code"] is None else shortened(error["code"], SHORT_TEXT),
        }
    bounded["followups"] = [shortened(text, SHORT_TEXT) for text in head["followups"][:FOLLOWUPS]]
    asked = enumerate(head["approvals"][:APPROVALS])
    bounded["approvals"] = [_bounded_approval(each, index) for index, each in asked]
    return bounded


def shortened(text: str, limit: int) -> str:
    """Return ``text``, or its beginning and how much more there is."""
    more = len(text) - limit
    return text if more <= 0 else f"{text[:limit]}… ({more:,} more characters)"


def _bounded_approval(approval: dict[str, Any], index: int) -> dict[str, Any]:
    tool, key = approval["tool"], approval["approval_id"]
    return {
        **approval,
        # What it is decided by: this very request, whatever its id is used for later.
        "key": approval_key(ApprovalRequested(**approval)),
        # Not shortened, which would make it another's.  The only one needs no id to be decided.
        "approval_id": None if key is None or len(key) > KEY_TEXT else key,
        "message": shortened(approval["message"], SHORT_TEXT),
        "tool": None if tool is None else shortened(tool, SHORT_TEXT),
        # Who decides has to be able to read what on.
        "arguments": shortened(
            approval["arguments"], TOOL_TEXT if index < _FIRST_PARTS else LATER_TOOL_TEXT
        ),
    }


def _beginning(buffer: TextBuffer, limit: int) -> tuple[str, int]:
    return str(buffer)[:limit], max(0, len(buffer) - limit)
