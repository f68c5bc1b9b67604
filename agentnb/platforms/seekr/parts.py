"""Two small puzzles of SeekrFlow's stream: what a part begins with, and what never streamed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from agentnb.platforms._wire import as_text, mend

__all__ = ["Fragment", "final_text", "first_fragment", "missing_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """What a part begins with."""

    kind: Literal["text", "reasoning", "tool", "other"]
    text: str = ""
    call_id: str = ""
    name: str = ""
    arguments: str = ""


_CLASS: Final = re.compile(r"(\w+Part)\(")
_LITERAL: Final = re.compile(r"""(\w+)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_TEXT_PARTS: Final = ("text", "output_text", "output_guardrail")
_KINDS: Final[dict[str, Literal["text", "reasoning", "tool"]]] = {
    "TextPart": "text",
    "text": "text",
    "ThinkingPart": "reasoning",
    "thinking": "reasoning",
    "reasoning": "reasoning",
    "ToolCallPart": "tool",
    "BuiltinToolCallPart": "tool",
    "tool-call": "tool",
    "builtin-tool-call": "tool",
}


def first_fragment(content: Any) -> Fragment:
    """Return what ``part_content`` begins a part with.

    The platform sends the Python ``repr`` of a part, ``TextPart(content='The')``.  It is read by
    its string literals alone, never evaluated.  A JSON object (``part_kind``) is understood too,
    and plain text is text.
    """
    if isinstance(content, dict):
        fields = cast("dict[str, Any]", content)
        return _fragment(as_text(fields.get("part_kind")), fields)
    if not isinstance(content, str):
        return Fragment(kind="other")
    named = _CLASS.match(content)
    if named is None:
        return Fragment(kind="text", text=content)
    return _fragment(
        named.group(1),
        {m.group(1): _unquoted(m.group(2)) for m in _LITERAL.finditer(content)},
    )


def _fragment(kind: str, fields: Mapping[str, Any]) -> Fragment:
    match _KINDS.get(kind):
        case None:
            return Fragment(kind="other")
        case "tool":
            return Fragment(
                kind="tool",
                call_id=as_text(fields.get("tool_call_id")),
                name=as_text(fields.get("tool_name")),
                arguments=as_text(fields.get("args")),
            )
        case passage:
            return Fragment(kind=passage, text=as_text(fields.get("content")))


def _unquoted(literal: str) -> str:
    def char(found: re.Match[str]) -> str:
        code = found.group(1)
        if len(code) > 1:
            number = int(code[1:], 16)
            return chr(number) if number <= 0x10FFFF else "\ufffd"
        return _ESCAPES.get(code, code)

    return mend(_ESCAPE.sub(char, literal[1:-1]))


def final_text(output: Any) -> str:
    """Return the answer that the end of a run repeats: text, parts of a message, or other JSON."""
    parts = cast("list[Any]", output) if isinstance(output, list) else [output]
    texts: list[str] = []
    for part in parts:
        fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
        text = fields.get("text")
        if fields.get("type") not in _TEXT_PARTS or not isinstance(text, str):
            return as_text(output)
        texts.append(mend(text))
    return "".join(texts)


def missing_text(final: str, streamed: str, passage: str) -> str:
    """Return what of the final answer was never streamed, ready to be appended.

    ``streamed`` is all text of the run, ``passage`` what came since the last tool call or
    reasoning.  White space does not count, since platforms trim.  Where nothing was streamed the
    terminal event itself carries the answer, and nothing is missing.
    """
    wanted, had, last = (_dense(t) for t in (final, streamed, passage))
    if not wanted or not had or wanted in had:
        return ""
    if last and wanted.startswith(last):
        return _after(final, len(last))
    if last and wanted.endswith(last) and 2 * len(last) >= len(wanted):
        # The beginning did not stream, and what was shown cannot be taken back.
        return ""
    return f"\n\n{final}"


def _dense(text: str) -> str:
    return "".join(text.split())


def _after(text: str, count: int) -> str:
    """Return what follows the first ``count`` characters that are not white space."""
    for found in re.finditer(r"\S", text):
        count -= 1
        if count == 0:
            return text[found.end() :]
    return ""
