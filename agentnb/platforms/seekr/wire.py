"""Pydantic models of what SeekrFlow sends: records and the chunks of its streams.

Field names are the wire's.  `Run` follows the API page field by field; threads, messages and agents
follow the vendor's published client.  Request models are in ``request.py``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)
from pydantic.alias_generators import to_camel

from agentnb._support.text import well_formed
from agentnb.platforms._bodies import parse_time
from agentnb.platforms._wire import EventCodec, Inbound, Lenient, mend_deep

__all__ = [
    "CHUNKS",
    "FRAGMENT_FIELDS",
    "STRUCTURE_TAGS",
    "AgentEntry",
    "Approval",
    "EndNode",
    "FinalResult",
    "Finish",
    "Marker",
    "Message",
    "Nested",
    "PartBoundary",
    "PartStart",
    "Run",
    "StartedRun",
    "Thread",
    "ToolArgsDelta",
    "ToolInput",
    "ToolOutput",
    "ToolRequest",
    "ToolResponse",
]

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


# --- stream chunks: `CHUNKS` validates one by its ``type`` ------------------------------------


class _CamelChunk(Inbound):
    model_config = ConfigDict(alias_generator=to_camel)


class Marker(Inbound):
    """A chunk of structure only: headers, the prompt's echo, steps."""


class TextChunk(Inbound):
    """``text_delta``, ``streaming_chunk``, and ``output_guardrail``, which holds a whole text."""

    text: str


class ReasoningChunk(Inbound):
    """``stream_reasoning``: a fragment of reasoning."""

    reasoning: str


class PartDelta(Inbound):
    """``text-delta`` and ``reasoning-delta``: a fragment of the part ``id``."""

    delta: str


class PartBoundary(Inbound):
    """``text-start``, ``reasoning-start`` and the matching ends."""

    id: Text = None


class ToolRequest(Inbound):
    """``streaming_tool_request``: a tool call with all of its arguments."""

    tool_id: Mended
    tool_name: Text = None
    tool_args: Any = None


class ToolResponse(Inbound):
    """``streaming_tool_response`` and ``streaming_tool``: the output of a tool."""

    tool_id: Mended
    tool_name: Text = None
    tool_output: Any = None


class PartStart(Inbound):
    """``part_start_event``: the start of a part, with its first fragment."""

    part_index: Count = None
    part_content: Any = None


class ToolArgsDelta(Inbound):
    """``tool_call_part_delta``: a fragment of a call's arguments."""

    part_index: Count = None
    args_delta: Any = None


class FinalResult(Inbound):
    """``final_result_event``: the final answer begins, from ``tool_name`` if structured."""

    tool_name: Text = None


class EndNode(Inbound):
    """``end_node``: the run is complete; ``final_output`` repeats the whole answer."""

    final_output: Any = None


class ToolInput(_CamelChunk):
    """``tool-input-start``, ``-delta``, ``-available`` and ``-error``."""

    tool_call_id: Mended
    tool_name: Text = None
    input: Any = None
    input_text_delta: Text = None
    delta: Text = None
    error_text: Text = None


class ToolOutput(_CamelChunk):
    """``tool-output-available`` and ``-error``."""

    tool_call_id: Mended
    output: Any = None
    error_text: Text = None
    preliminary: Flag = None


class StreamError(Inbound):
    """``error``: the run failed."""


class Finish(_CamelChunk):
    """``finish``, ``done`` and ``abort``: the end of the stream."""

    finish_reason: Text = None
    reason: Text = None


class Approval(_CamelChunk):
    """``tool-approval-request``: a person is to decide whether a tool may run."""

    approval_id: Text = None
    tool_call_id: Text = None


class NestedData(_CamelChunk):
    """A chunk of an agent that runs as another agent's tool."""

    chunk: dict[str, Any]
    tool_call_path: Annotated[list[str] | None, Lenient] = None


class Nested(Inbound):
    """``data-nestedToolEvent``."""

    data: NestedData


# The tags of ``/runs/stream`` have underscores, those of ``/runs/stream/vercel`` hyphens.
_TAGS: Final[dict[type[Inbound], str]] = {
    TextChunk: "text_delta streaming_chunk output_guardrail",
    ReasoningChunk: "stream_reasoning",
    ToolRequest: "streaming_tool_request",
    ToolResponse: "streaming_tool_response streaming_tool",
    PartStart: "part_start_event",
    ToolArgsDelta: "tool_call_part_delta",
    FinalResult: "final_result_event",
    EndNode: "end_node",
    Marker: "node_header user_prompt start start-step finish-step message-metadata",
    PartBoundary: "text-start text-end reasoning-start reasoning-end",
    PartDelta: "text-delta reasoning-delta",
    ToolInput: "tool-input-start tool-input-delta tool-input-available tool-input-error",
    ToolOutput: "tool-output-available tool-output-error",
    Approval: "tool-approval-request",
    Nested: "data-nestedToolEvent",
    Finish: "finish done abort",
    StreamError: "error",
}
CHUNKS: Final[EventCodec[Inbound]] = EventCodec(
    {tag: model for model, tags in _TAGS.items() for tag in tags.split()}
)

FRAGMENT_FIELDS: Final = {
    tag: field
    for model, field in ((TextChunk, "text"), (ReasoningChunk, "reasoning"), (PartDelta, "delta"))
    for tag in _TAGS[model].split()
}
"""Tags of chunks that hold a fragment of text, and the field that holds it."""

STRUCTURE_TAGS: Final = frozenset(
    tag for model in (Marker, PartBoundary, Finish) for tag in _TAGS[model].split()
)
"""Tags that structure a stream and display nothing."""
