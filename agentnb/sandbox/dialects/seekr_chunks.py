"""Encoders of SeekrFlow's two streams: its own chunks, and the AI SDK's UI message chunks."""

from __future__ import annotations

from typing import Any, ClassVar, Final

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
from agentnb.sandbox.dialects.base import json_or_text, to_json, tool_object, usage_fields
from agentnb.sandbox.responses import Encoder, Item, sse_frame
from agentnb.sandbox.state import SandboxRun

# The vendor's client parses a comment as data.
_BLANK: Final = b"\n"
_DONE: Final = "[DONE]"


class PageEncoder(Encoder):
    """Chunks of ``/runs/stream``: data-only frames with a ``type``.

    No chunks exist for usage, followups, approvals and cancellation.
    """

    keep_alive: ClassVar[bytes] = _BLANK

    def __init__(self, run: SandboxRun) -> None:
        super().__init__(run)
        self._in_text = False
        self._part_index = -1

    def opening(self) -> list[Item]:
        return [
            ("user_prompt", {"user_prompt": self._run.prompt}),
            _node("ModelRequestNode", "streaming partial request tokens"),
        ]

    def frame(self, name: str, data: Any) -> bytes:
        return sse_frame(to_json({"meta_data": {}, **data, "type": name}))

    def call_opened(self, event: ToolCallStarted) -> list[Item]:
        self._in_text = False
        return []

    def items(self, event: Event) -> list[Item]:
        match event:
            case TextDelta():
                delta = ("text_delta", {"text": event.text})
                if self._in_text:
                    return [delta]
                self._in_text = True
                self._part_index += 1
                # The content is the notation of an empty part, never a piece of the answer.
                part = {"part_index": self._part_index, "part_content": "TextPart(content='')"}
                final = ("final_result_event", {"tool_name": None})
                return [("part_start_event", part), final, delta]
            case ReasoningDelta():
                self._in_text = False
                return [("stream_reasoning", {"reasoning": event.text})]
            case ToolCallStarted():
                self._in_text = False
                self._part_index += 1
                call = {
                    "tool_id": event.call_id,
                    "tool_name": event.name,
                    "tool_args": tool_object(event.arguments, "input"),
                }
                node = _node("CallToolsNode", "streaming tool calls")
                return [node, ("streaming_tool_request", call)]
            case ToolCallDelta() if event.call_id in self._open and event.arguments:
                index = self._part_index + 1
                delta = {"part_index": index, "args_delta": event.arguments}
                return [("tool_call_part_delta", delta)]
            case ToolCallFinished():
                output = {"error": event.error}
                if event.error is None:
                    output = tool_object(event.result or "", "result")
                result = {"tool_id": event.call_id, "tool_output": output}
                return [("streaming_tool_response", result)]
            case RunFinished():
                output = self._run.transcript.text or event.output or ""
                return [("end_node", {"final_output": output})]
            case RunFailed():
                code = {} if event.code is None else {"code": event.code}
                return [("error", {"error": event.message, **code})]
            case RawEvent():
                return [(event.name, tool_object(event.data, "data"))]
            case _:
                return []


def _node(node_type: str, description: str) -> Item:
    return "node_header", {"node_type": node_type, "description": description}


class VercelEncoder(Encoder):
    """Chunks of ``/runs/stream/vercel``: parts that start and end, then ``[DONE]``."""

    keep_alive: ClassVar[bytes] = _BLANK

    def __init__(self, run: SandboxRun) -> None:
        super().__init__(run)
        self._part: str | None = None
        self._count = 0

    def opening(self) -> list[Item]:
        ids = {"run_id": self._run.id, "thread_id": self._run.session.id}
        start = {"messageId": f"msg_{self._run.id}", "messageMetadata": ids}
        return [("start", start), ("start-step", {})]

    def frame(self, name: str, data: Any) -> bytes:
        return sse_frame(name if name == _DONE else to_json({**data, "type": name}))

    def call_opened(self, event: ToolCallStarted) -> list[Item]:
        call = {"toolCallId": event.call_id, "toolName": event.name}
        return [*self._close_part(), ("tool-input-start", call)]

    def items(self, event: Event) -> list[Item]:
        match event:
            case TextDelta():
                return self._delta("text", event.text)
            case ReasoningDelta():
                return self._delta("reasoning", event.text)
            case ToolCallStarted():
                call = {
                    "toolCallId": event.call_id,
                    "toolName": event.name,
                    "input": tool_object(event.arguments, "input"),
                }
                opened = [] if event.call_id in self._open else self.call_opened(event)
                return [*opened, ("tool-input-available", call)]
            case ToolCallDelta() if event.call_id in self._open and event.arguments:
                delta = {"toolCallId": event.call_id, "inputTextDelta": event.arguments}
                return [("tool-input-delta", delta)]
            case ToolCallFinished() if event.error is not None:
                error = {"toolCallId": event.call_id, "errorText": event.error}
                return [("tool-output-error", error)]
            case ToolCallFinished():
                output = {"toolCallId": event.call_id, "output": json_or_text(event.result or "")}
                return [("tool-output-available", output)]
            case FollowupsSuggested():
                return [("data-followups", {"data": list(event.followups)})]
            case ApprovalRequested():
                approval = {"id": event.approval_id, "message": event.message}
                return [("data-approval", {"data": approval})]
            case UsageReported():
                names = ("prompt_tokens", "completion_tokens", "total_tokens")
                return [("data-usage", {"data": usage_fields(self._run, *names)})]
            case RunFinished():
                finish = ("finish", {"finishReason": "stop"})
                return [*self._close_part(), ("finish-step", {}), finish, (_DONE, None)]
            case RunFailed():
                return [*self._close_part(), ("error", {"errorText": event.message}), (_DONE, None)]
            case RunCancelled():
                return [*self._close_part(), ("abort", {}), (_DONE, None)]
            case RawEvent():
                return [(event.name, tool_object(event.data, "data"))]
            case _:
                return []

    def _delta(self, kind: str, text: str) -> list[Item]:
        items: list[Item] = []
        if self._part is None or not self._part.startswith(kind):
            items = self._close_part()
            self._part = f"{kind}_{self._count}"
            self._count += 1
            items.append((f"{kind}-start", {"id": self._part}))
        return [*items, (f"{kind}-delta", {"id": self._part, "delta": text})]

    def _close_part(self) -> list[Item]:
        if self._part is None:
            return []
        part, self._part = self._part, None
        return [(f"{part.partition('_')[0]}-end", {"id": part})]
