"""What SeekrFlow sends: pydantic models of its records, and the fields of its streams' chunks.

Field names are the wire's.  `Run` follows the API page field by field; threads, messages and agents
follow the vendor's published client.  Request models are in ``request.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from agentnb._support.text import well_formed
from agentnb.platforms._bodies import parse_time
from agentnb.platforms._payloads import as_list, as_object, usage_events
from agentnb.platforms._wire import Inbound, Lenient, MalformedError, as_text, mend_deep

Mended = Annotated[str, AfterValidator(well_formed)]
Text = Annotated[Mended | None, Lenient]
Time = Annotated[datetime | None, BeforeValidator(parse_time)]
Count = Annotated[int | None, Lenient]
Flag = Annotated[bool | None, Lenient]
Object = Annotated[dict[str, Any] | None, Lenient]
Metadata = Annotated[Object, Field(validation_alias=AliasChoices("meta_data", "metadata"))]


# --- records ----------------------------------------------------------------------------------


class Record(Inbound):
    """A record of the platform; ``raw`` is the whole of it, unmodified but for mended text."""

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])

    @model_validator(mode="wrap")
    @classmethod
    def _keep_raw(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        record = handler(data)
        if isinstance(data, dict):
            record._raw = mend_deep(cast("dict[str, Any]", data))
        return record

    @property
    def raw(self) -> dict[str, Any]:
        return self._raw


class RunUsage(Inbound):
    """The tokens of a run."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None


class Run(Record):
    """A run as the platform lists it: every field of the API page.

    Only ``id`` is required; a field of an undocumented type is None here and kept in ``raw``.
    """

    id: Mended
    created_at: Time = None
    agent_id: Text = None
    thread_id: Text = None
    status: Text = None
    model: Text = None
    temperature: Annotated[float | None, Lenient] = None
    top_p: Annotated[float | None, Lenient] = None
    parallel_tool_calls: Flag = None
    object: Text = "thread.run"
    is_active: Flag = False
    started_at: Time = None
    expires_at: Time = None
    cancelled_at: Time = None
    failed_at: Time = None
    completed_at: Time = None
    instructions: Text = None
    tools: Annotated[list[dict[str, Any]] | None, Lenient] = None
    meta_data: Metadata = None
    usage: Annotated[RunUsage | None, Lenient] = None
    max_completion_tokens: Count = None
    truncation_strategy: Object = None
    response_format: Any = "auto"
    tool_choice: Any = "auto"


class StartedRun(Record):
    """Response to a run started in the background."""

    run_id: Mended
    thread_id: Text = None
    status: Text = None
    group: Text = None


class Thread(Record):
    """A conversation."""

    id: Mended
    object: Text = "thread"
    created_at: Time = None
    status: Text = None
    active_run_id: Text = None
    meta_data: Metadata = None


class Message(Record):
    """A message of a thread; ``content`` is text or a list of typed parts."""

    id: Text = None
    object: Text = "thread.message"
    created_at: Time = None
    thread_id: Text = None
    role: Text = None
    content: Any = None
    agent_id: Text = None
    run_id: Text = None
    meta_data: Metadata = None


class AgentEntry(Record):
    """An agent as the platform lists it."""

    id: Mended
    name: Text = None
    description: Text = None
    instructions: Text = None
    status: Text = None
    model_id: Text = None
    output: Object = None

    @property
    def model(self) -> str | None:
        """The agent's model, or that of its output stage."""
        if self.model_id is not None:
            return self.model_id
        model = (self.output or {}).get("model_id")
        return model if isinstance(model, str) else None


# --- stream chunks ----------------------------------------------------------------------------

# The types of chunks, by the text that each needs: "" for none.  Types of ``/runs/stream`` have
# underscores, those of ``/runs/stream/vercel`` hyphens.
_STRUCTURE: Final = (
    "node_header user_prompt start start-step finish-step message-metadata text-start text-end "
    "reasoning-start reasoning-end finish done abort"
)
_TYPES: Final = {
    "text": "text_delta streaming_chunk output_guardrail",
    "reasoning": "stream_reasoning",
    "delta": "text-delta reasoning-delta",
    "tool_id": "streaming_tool_request streaming_tool_response streaming_tool",
    "toolCallId": (
        "tool-input-start tool-input-delta tool-input-available tool-input-error "
        "tool-output-available tool-output-error"
    ),
    "": f"{_STRUCTURE} part_start_event tool_call_part_delta final_result_event end_node "
    "tool-approval-request data-nestedToolEvent error",
}
CHUNKS: Final = {kind: field for field, kinds in _TYPES.items() for kind in kinds.split()}
"""The types of chunks, and the field with the text that each needs, if any."""

FRAGMENT_FIELDS: Final = {
    kind: field for kind, field in CHUNKS.items() if field in ("text", "reasoning", "delta")
}
"""Types of chunks that hold a fragment of text, and the field that holds it."""

STRUCTURE_TAGS: Final = frozenset(_STRUCTURE.split())
"""Types of chunks that structure a stream and display nothing."""


def check_chunk(tag: str, chunk: Mapping[str, Any]) -> None:
    """Raise `MalformedError` if a chunk of this type lacks the text that it needs."""
    field = CHUNKS.get(tag)
    if field and not isinstance(chunk.get(field), str):
        problem = "Input should be a valid string" if field in chunk else "Field required"
        raise MalformedError(f"{field}: {problem}")


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


def final_text(output: Any) -> str:
    """Return the answer repeated at the end of a run: text, parts of a message, or other JSON."""
    parts = as_list(output) if isinstance(output, list) else [output]
    texts: list[str] = []
    for part in parts:
        fields = as_object(part)
        text = fields.get("text")
        if fields.get("type") not in TEXT_PARTS or not isinstance(text, str):
            return as_text(output)
        texts.append(well_formed(text))
    return "".join(texts)


# --- the first fragment of a part -------------------------------------------------------------

_CLASS: Final = re.compile(r"(\w+Part)\(")
_LITERAL: Final = re.compile(r"""(\w+)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_PART_KINDS: Final = {
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


def first_fragment(content: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the kind (text, reasoning, tool or "") and the fields of ``part_content``.

    The platform sends the Python ``repr`` of a part, ``TextPart(content='The')``, of which only the
    string literals are parsed; nothing is evaluated.  JSON objects (``part_kind``) and plain text
    are understood, too.
    """
    if isinstance(content, str):
        match = _CLASS.match(content)
        if match is None:
            return "text", {"content": content}
        literals = {m.group(1): _unquote(m.group(2)) for m in _LITERAL.finditer(content)}
        return _PART_KINDS.get(match.group(1), ""), literals
    fields = as_object(content)
    return _PART_KINDS.get(as_text(fields.get("part_kind")), ""), fields


def _unquote(literal: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match.group(1)
        if len(code) > 1:
            number = int(code[1:], 16)
            return chr(number) if number <= 0x10FFFF else "\ufffd"
        return _ESCAPES.get(code, code)

    return well_formed(_ESCAPE.sub(character, literal[1:-1]))
