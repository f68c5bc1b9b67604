"""Encoders of SeekrFlow's two streams: its own chunks, and the AI SDK's UI message chunks."""

from __future__ import annotations

from typing import Any, Final, cast

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    UsageReported,
)
from agentnb.sandbox.dialects.base import Encoder, json_or_text, to_json, tool_outcome
from agentnb.sandbox.responses import sse_frame
from agentnb.sandbox.state import SandboxRun


def tool_object(text: str, key: str) -> dict[str, Any]:
    """Return a tool's arguments or output as a JSON object."""
    value: Any = json_or_text(text) if text else {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {key: value}


def _raw(event: RawEvent) -> bytes:
    value = json_or_text(event.data)
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {"data": value}
    return sse_frame(to_json({**fields, "type": event.name}))


# The vendor's client parses a comment as data.
_BLANK: Final = b"\n"


class PageEncoder(Encoder):
    """Chunks of ``/runs/stream``: data-only frames with a ``type``."""

    keep_alive = _BLANK

    def __init__(self, run: SandboxRun) -> None:
        self._run = run
        self._in_text = False
        self._part_index = -1
        # Calls whose arguments still stream; they are sent once complete.
        self._open: dict[str, tuple[str, list[str]]] = {}

    def open(self) -> list[bytes]:
        return [
            self._chunk("user_prompt", user_prompt=self._run.prompt),
            self._node("ModelRequestNode", "streaming partial request tokens"),
        ]

    def encode(self, event: Event) -> list[bytes]:
        match event:
            case TextDelta():
                return [*self._text_begins(), self._chunk("text_delta", text=event.text)]
            case ReasoningDelta():
                self._in_text = False
                return [self._chunk("stream_reasoning", reasoning=event.text)]
            case ToolCallStarted():
                self._in_text = False
                if event.arguments:
                    return self._request(event.call_id, event.name, event.arguments)
                self._open[event.call_id] = (event.name, [])
                return []
            case ToolCallDelta():
                if event.call_id in self._open and event.arguments:
                    self._open[event.call_id][1].append(event.arguments)
                    return [
                        self._chunk(
                            "tool_call_part_delta",
                            part_index=self._part_index + 1,
                            args_delta=event.arguments,
                        )
                    ]
                return []
            case ToolCallFinished():
                frames: list[bytes] = []
                if event.call_id in self._open:
                    name, pieces = self._open.pop(event.call_id)
                    arguments = event.arguments or "".join(pieces)
                    frames = self._request(event.call_id, name, arguments)
                output = (
                    {"error": event.error}
                    if event.error is not None
                    else tool_object(tool_outcome(self._run, event)[1], "result")
                )
                frames.append(
                    self._chunk(
                        "streaming_tool_response", tool_id=event.call_id, tool_output=output
                    )
                )
                return frames
            case RunFinished():
                output = self._run.transcript.text or event.output or ""
                return [self._chunk("end_node", final_output=output)]
            case RunFailed():
                return [self._chunk("error", error=event.message, code=event.code)]
            case RawEvent():
                return [_raw(event)]
            case _:
                # No chunks exist for usage, followups, approvals and cancellation.
                return []

    def _request(self, call_id: str, name: str, arguments: str) -> list[bytes]:
        self._part_index += 1
        return [
            self._node("CallToolsNode", "streaming tool calls"),
            self._chunk(
                "streaming_tool_request",
                tool_id=call_id,
                tool_name=name,
                tool_args=tool_object(arguments, "input"),
            ),
        ]

    def _text_begins(self) -> list[bytes]:
        if self._in_text:
            return []
        self._in_text = True
        self._part_index += 1
        return [
            # The content is the notation of an empty part, never a piece of the answer.
            self._chunk(
                "part_start_event", part_index=self._part_index, part_content="TextPart(content='')"
            ),
            self._chunk("final_result_event", tool_name=None),
        ]

    def _node(self, node_type: str, description: str) -> bytes:
        return self._chunk("node_header", node_type=node_type, description=description)

    def _chunk(self, type: str, **fields: Any) -> bytes:
        present = {k: v for k, v in fields.items() if v is not None or k == "tool_name"}
        return sse_frame(to_json({"type": type, **present, "meta_data": {}}))


class VercelEncoder(Encoder):
    """Chunks of ``/runs/stream/vercel``: parts that start and end, then ``[DONE]``."""

    keep_alive = _BLANK

    def __init__(self, run: SandboxRun) -> None:
        self._run = run
        self._part: str | None = None
        self._count = 0
        # Calls whose arguments still stream, with the pieces so far.
        self._open: dict[str, tuple[str, list[str]]] = {}

    def open(self) -> list[bytes]:
        ids = {"run_id": self._run.id, "thread_id": self._run.session.id}
        return [
            self._chunk("start", messageId=f"msg_{self._run.id}", messageMetadata=ids),
            self._chunk("start-step"),
        ]

    def encode(self, event: Event) -> list[bytes]:
        match event:
            case TextDelta():
                return self._delta("text", event.text)
            case ReasoningDelta():
                return self._delta("reasoning", event.text)
            case ToolCallStarted():
                frames = self._close_part()
                frames.append(
                    self._chunk("tool-input-start", toolCallId=event.call_id, toolName=event.name)
                )
                if event.arguments:
                    return [*frames, self._available(event.call_id, event.name, event.arguments)]
                self._open[event.call_id] = (event.name, [])
                return frames
            case ToolCallDelta():
                if event.call_id not in self._open or not event.arguments:
                    return []
                self._open[event.call_id][1].append(event.arguments)
                return [
                    self._chunk(
                        "tool-input-delta",
                        toolCallId=event.call_id,
                        inputTextDelta=event.arguments,
                    )
                ]
            case ToolCallFinished():
                return self._finished(event)
            case FollowupsSuggested():
                return [self._chunk("data-followups", data=list(event.followups))]
            case ApprovalRequested():
                return [
                    self._chunk(
                        "data-approval",
                        data={"id": event.approval_id, "message": event.message},
                    )
                ]
            case UsageReported():
                usage = event.usage
                return [
                    self._chunk(
                        "data-usage",
                        data={
                            "prompt_tokens": usage.input_tokens,
                            "completion_tokens": usage.output_tokens,
                            "total_tokens": usage.total_tokens,
                        },
                    )
                ]
            case RunFinished():
                return [*self._end("stop"), _DONE]
            case RunFailed():
                return [*self._close_part(), self._chunk("error", errorText=event.message), _DONE]
            case RunCancelled():
                return [*self._close_part(), self._chunk("abort"), _DONE]
            case RawEvent():
                return [_raw(event)]
            case _:
                return []

    def _finished(self, event: ToolCallFinished) -> list[bytes]:
        frames: list[bytes] = []
        if event.call_id in self._open:
            name, pieces = self._open.pop(event.call_id)
            frames.append(self._available(event.call_id, name, event.arguments or "".join(pieces)))
        if event.error is not None:
            frames.append(
                self._chunk("tool-output-error", toolCallId=event.call_id, errorText=event.error)
            )
            return frames
        _, result = tool_outcome(self._run, event)
        frames.append(
            self._chunk(
                "tool-output-available", toolCallId=event.call_id, output=json_or_text(result)
            )
        )
        return frames

    def _available(self, call_id: str, name: str, arguments: str) -> bytes:
        return self._chunk(
            "tool-input-available",
            toolCallId=call_id,
            toolName=name,
            input=tool_object(arguments, "input"),
        )

    def _delta(self, kind: str, text: str) -> list[bytes]:
        frames: list[bytes] = []
        if self._part is None or not self._part.startswith(kind):
            frames = self._close_part()
            self._part = f"{kind}_{self._count}"
            self._count += 1
            frames.append(self._chunk(f"{kind}-start", id=self._part))
        frames.append(self._chunk(f"{kind}-delta", id=self._part, delta=text))
        return frames

    def _close_part(self) -> list[bytes]:
        if self._part is None:
            return []
        part, self._part = self._part, None
        return [self._chunk(f"{part.partition('_')[0]}-end", id=part)]

    def _end(self, reason: str) -> list[bytes]:
        return [
            *self._close_part(),
            self._chunk("finish-step"),
            self._chunk("finish", finishReason=reason),
        ]

    def _chunk(self, type: str, **fields: Any) -> bytes:
        return sse_frame(to_json({"type": type, **fields}))


_DONE = b"data: [DONE]\n\n"
