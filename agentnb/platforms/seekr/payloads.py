"""Read fields of SeekrFlow's chunks and messages, whichever form a server uses for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from agentnb._support.text import well_formed
from agentnb.platforms._payloads import as_object, usage_events
from agentnb.platforms._wire import as_text

TEXT_PARTS: Final = ("text", "output_text", "output_guardrail")
"""Types of message parts that hold text."""

_METADATA: Final = ("providerMetadata", "messageMetadata", "meta_data", "metadata")
_PARENT: Final = ("parent_agent_id", "parentAgentId")
_AGENT: Final = frozenset({*_PARENT, "agent_id", "agentId"})


def unwrap_chunk(payload: dict[str, Any], event: str) -> tuple[str, dict[str, Any]]:
    """Return the chunk's tag and the chunk, taken out of ``{"type", "data": {...}}`` if wrapped."""
    tag = payload.get("type")
    if not isinstance(tag, str):
        tag = event if event not in ("", "message") else ""
    data = payload.get("data")
    if not isinstance(data, dict) or tag.startswith("data-"):
        return tag, payload
    inner = cast("dict[str, Any]", data)
    # The vendor's wrapper always has type streaming_chunk; the inner type is the actual one.
    inner_tag = inner.get("type")
    outer = {k: v for k, v in payload.items() if k != "data"}
    return inner_tag if isinstance(inner_tag, str) else tag, {**outer, **inner}


def places_in(chunk: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the objects of a chunk that may hold facts about the run."""
    return chunk, as_object(chunk.get("meta_data")), as_object(chunk.get("messageMetadata"))


def chunk_usage(chunk: dict[str, Any]) -> list[Any]:
    """Return the first usage that a chunk reports, as an event."""
    for place in places_in(chunk):
        model = place.get("model")
        model = well_formed(model) if isinstance(model, str) else None
        if events := usage_events(place.get("usage"), model=model):
            return events
    return []


def parent_agent(record: Mapping[str, Any]) -> str | None:
    """Return the id of the sender's parent agent, "" if it has none, None if unspecified.

    ``record`` is a chunk of a stream, a message or a part of one.  A sub-agent's chunks, or those
    that begin its messages and parts, name its ``parent_agent_id``.
    """
    for name in _METADATA:
        if name not in record:
            continue
        outer = as_object(record.get(name))
        for fields in (as_object(outer.get("metadata")), outer):
            if not _AGENT.isdisjoint(fields):
                parents = (fields.get(name) for name in _PARENT)
                return next((str(parent) for parent in parents if parent), "")
    return None


def error_only(output: Any) -> str | None:
    """Return the message of an output that is ``{"error": ...}`` and nothing else."""
    fields = as_object(output)
    return as_text(fields["error"]) or None if list(fields) == ["error"] else None


def final_text(output: Any) -> str:
    """Return the answer repeated at the end of a run: text, parts of a message, or other JSON."""
    parts = cast("list[Any]", output) if isinstance(output, list) else [output]
    texts: list[str] = []
    for part in parts:
        fields = as_object(part)
        text = fields.get("text")
        if fields.get("type") not in TEXT_PARTS or not isinstance(text, str):
            return as_text(output)
        texts.append(well_formed(text))
    return "".join(texts)


# --- the first fragment of a part -------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFragment:
    """The first fragment of a part: text, or a tool call."""

    kind: Literal["text", "reasoning", "tool", "other"]
    text: str = ""
    call_id: str = ""
    name: str = ""
    arguments: str = ""


_CLASS: Final = re.compile(r"(\w+Part)\(")
_LITERAL: Final = re.compile(r"""(\w+)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
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


def first_fragment(content: Any) -> FirstFragment:
    """Parse ``part_content``, the start of a part.

    The platform sends the Python ``repr`` of a part, ``TextPart(content='The')``, of which only the
    string literals are parsed; nothing is evaluated.  JSON objects (``part_kind``) and plain text
    are understood, too.
    """
    if isinstance(content, dict):
        fields = cast("dict[str, Any]", content)
        return _fragment(as_text(fields.get("part_kind")), fields)
    if not isinstance(content, str):
        return FirstFragment(kind="other")
    match = _CLASS.match(content)
    if match is None:
        return FirstFragment(kind="text", text=content)
    literals = {m.group(1): _unquote(m.group(2)) for m in _LITERAL.finditer(content)}
    return _fragment(match.group(1), literals)


def _fragment(part_kind: str, fields: Mapping[str, Any]) -> FirstFragment:
    kind = _KINDS.get(part_kind)
    if kind is None:
        return FirstFragment(kind="other")
    if kind == "tool":
        return FirstFragment(
            kind=kind,
            call_id=as_text(fields.get("tool_call_id")),
            name=as_text(fields.get("tool_name")),
            arguments=as_text(fields.get("args")),
        )
    return FirstFragment(kind=kind, text=as_text(fields.get("content")))


def _unquote(literal: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match.group(1)
        if len(code) > 1:
            number = int(code[1:], 16)
            return chr(number) if number <= 0x10FFFF else "\ufffd"
        return _ESCAPES.get(code, code)

    return well_formed(_ESCAPE.sub(character, literal[1:-1]))
