"""The chunks of SeekrFlow's stream, in both dialects, tolerant.

One model per kind of chunk; `CHUNKS` validates a chunk by its ``type``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from agentnb.platforms._wire import EventCodec, Inbound, Lenient
from agentnb.platforms.seekr.wire import Count, Mended, Text

__all__ = [
    "CHUNKS",
    "FRAGMENTS",
    "STRUCTURE",
    "Approval",
    "EndNode",
    "FinalResult",
    "Finish",
    "Marker",
    "Nested",
    "PartDelta",
    "PartStart",
    "PartStop",
    "ReasoningChunk",
    "StreamError",
    "TextChunk",
    "ToolArgsDelta",
    "ToolInput",
    "ToolOutput",
    "ToolRequest",
    "ToolResponse",
]


class _Camel(Inbound):
    model_config = ConfigDict(alias_generator=to_camel)


class Marker(Inbound):
    """A chunk that only structures the stream: headers, the prompt's echo, steps, part ends."""

    id: Text = None


class TextChunk(Inbound):
    """``text_delta``, ``streaming_chunk``, and ``output_guardrail``, which is whole."""

    text: str


class ReasoningChunk(Inbound):
    """``stream_reasoning``: a fragment of reasoning."""

    reasoning: str


class PartDelta(Inbound):
    """``text-delta`` and ``reasoning-delta``: a fragment of the part ``id``."""

    id: Text = None
    delta: str


class PartStop(Inbound):
    """``text-start``, ``reasoning-start`` and their ends."""

    id: Text = None


class ToolRequest(Inbound):
    """``streaming_tool_request``: a tool is called, with all of its arguments."""

    tool_id: Mended
    tool_name: Text = None
    tool_args: Any = None


class ToolResponse(Inbound):
    """``streaming_tool_response`` and ``streaming_tool``: what a tool returned."""

    tool_id: Mended
    tool_name: Text = None
    tool_output: Any = None


class PartStart(Inbound):
    """``part_start_event``: a part begins, and its first fragment with it."""

    part_index: Count = None
    part_content: Any = None


class ToolArgsDelta(Inbound):
    """``tool_call_part_delta``: a fragment of a call's arguments."""

    part_index: Count = None
    args_delta: Any = None


class FinalResult(Inbound):
    """``final_result_event``: the final answer begins, from ``tool_name`` where structured."""

    tool_name: Text = None


class EndNode(Inbound):
    """``end_node``: the run is complete; ``final_output`` repeats the whole answer."""

    final_output: Any = None


class ToolInput(_Camel):
    """``tool-input-start``, ``-delta``, ``-available`` and ``-error``."""

    tool_call_id: Mended
    tool_name: Text = None
    input: Any = None
    input_text_delta: Text = None
    delta: Text = None
    error_text: Text = None


class ToolOutput(_Camel):
    """``tool-output-available`` and ``-error``."""

    tool_call_id: Mended
    output: Any = None
    error_text: Text = None
    preliminary: Annotated[bool | None, Lenient] = None


class StreamError(_Camel):
    """``error``: the run failed."""

    error_text: Any = None


class Finish(_Camel):
    """``finish``, ``done`` and ``abort``: the stream's end."""

    finish_reason: Text = None
    reason: Text = None


class Approval(_Camel):
    """``tool-approval-request``: a person is to decide whether a tool may run."""

    approval_id: Text = None
    tool_call_id: Text = None


class NestedData(_Camel):
    """A chunk of an agent that runs as another agent's tool."""

    chunk: dict[str, Any]
    tool_call_path: Annotated[list[str] | None, Lenient] = None
    source_tool_name: Text = None


class Nested(Inbound):
    """``data-nestedToolEvent``."""

    data: NestedData


_MODELS: Final[dict[str, type[Inbound]]] = {
    # /runs/stream
    "text_delta": TextChunk,
    "streaming_chunk": TextChunk,
    "stream_reasoning": ReasoningChunk,
    "streaming_tool_request": ToolRequest,
    "streaming_tool_response": ToolResponse,
    "streaming_tool": ToolResponse,
    "node_header": Marker,
    "user_prompt": Marker,
    "part_start_event": PartStart,
    "tool_call_part_delta": ToolArgsDelta,
    "final_result_event": FinalResult,
    "end_node": EndNode,
    # /runs/stream/vercel
    "start": Marker,
    "start-step": Marker,
    "finish-step": Marker,
    "message-metadata": Marker,
    "text-start": PartStop,
    "text-delta": PartDelta,
    "text-end": PartStop,
    "reasoning-start": PartStop,
    "reasoning-delta": PartDelta,
    "reasoning-end": PartStop,
    "tool-input-start": ToolInput,
    "tool-input-delta": ToolInput,
    "tool-input-available": ToolInput,
    "tool-input-error": ToolInput,
    "tool-output-available": ToolOutput,
    "tool-output-error": ToolOutput,
    "tool-approval-request": Approval,
    "data-nestedToolEvent": Nested,
    "finish": Finish,
    "done": Finish,
    "abort": Finish,
    # both
    "output_guardrail": TextChunk,
    "error": StreamError,
}
CHUNKS: Final = EventCodec(_MODELS)

FRAGMENTS: Final = {
    "text_delta": "text",
    "streaming_chunk": "text",
    "output_guardrail": "text",
    "stream_reasoning": "reasoning",
    "text-delta": "delta",
    "reasoning-delta": "delta",
}
"""Tags of which nothing but one field matters, and that field, which is a string."""

STRUCTURE: Final = frozenset(
    tag for tag, model in _MODELS.items() if model in (Marker, PartStop, Finish)
)
"""Tags that structure a stream and show nothing."""
