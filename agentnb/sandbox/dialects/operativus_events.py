"""OperativusAI's stream: `AgentStreamEvent` objects as the API page or its real server has them."""

from __future__ import annotations

import time
from typing import Any

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    UsageReported,
)
from agentnb.sandbox.dialects.base import Encoder, compact, json_or_text
from agentnb.sandbox.state import RunRecord
from agentnb.sandbox.streams import sse_frame

__all__ = ["ServerEventEncoder", "StreamEventEncoder", "metrics", "tool_arguments"]


class StreamEventEncoder(Encoder):
    """One frame for each event; ``numbered`` adds ``id:`` and ``event:``, as ``/events`` has them.

    Ids count a run's frames from 1; ``since`` leaves out those up to and including it.
    """

    space = " "

    def __init__(self, run: RunRecord, *, numbered: bool = False, since: int = 0) -> None:
        self._run = run
        self._numbered = numbered
        self._since = since
        self._count = 0
        self._started = False
        # Calls whose arguments still stream: they are announced once these are whole.
        self._open: set[str] = set()

    def encode(self, event: Event) -> list[bytes]:
        match event:
            case TextDelta():
                return self._frame("CONTENT_DELTA", event.text)
            case ReasoningDelta():
                return self._frame("REASONING_DELTA", event.text)
            case RunStarted():
                if self._started:
                    return []
                self._started = True
                ids = {"runId": self._run.id, "sessionId": self._run.session.id}
                return self._frame("START", compact(ids))
            case ToolCallStarted():
                if not event.arguments:
                    self._open.add(event.call_id)
                    return []
                return self._tool_start(event.name, event.arguments)
            case ToolCallFinished():
                return self._tool_end(event)
            case UsageReported():
                return self._frame("METRICS", compact(metrics(self._run)))
            case ApprovalRequested():
                asked = {
                    "approvalId": event.approval_id,
                    "message": event.message,
                    "tool": event.tool,
                    "arguments": json_or_text(event.arguments) if event.arguments else None,
                }
                return self._frame("PAUSED", compact(asked))
            case RunFinished():
                return self._frame("STOP", self._stop())
            case RunFailed():
                return self._frame("ERROR", event.message)
            case RunCancelled():
                return self._frame("CANCELLED", event.reason or "")
            case RawEvent():
                return self._frame(event.name, event.data)
            case FollowupsSuggested():
                # They ride on STOP, and only where they were asked for.
                return []
            case _:
                return []

    def pause(self) -> list[bytes]:
        # What is numbered is a run's record, and that the connection closes is not part of it.
        return [] if self._numbered else self._frame("STOP", "")

    def _tool_start(self, name: str, arguments: str) -> list[bytes]:
        data = {"name": name, "arguments": tool_arguments(arguments)}
        return self._frame("TOOL_START", compact(data))

    def _tool_end(self, event: ToolCallFinished) -> list[bytes]:
        frames: list[bytes] = []
        call = self._run.transcript.find_tool_call(event.call_id)
        name = event.name or (call.name if call is not None else "")
        if event.call_id in self._open:
            self._open.discard(event.call_id)
            frames = self._tool_start(name, call.arguments if call is not None else "")
        if event.error is not None:
            return frames + self._frame("TOOL_ERROR", compact({"name": name, "error": event.error}))
        result = event.result
        if result is None:
            result = call.result if call is not None else ""
        return frames + self._frame("TOOL_END", compact({"name": name, "result": result}))

    def _stop(self) -> str:
        followups = self._run.transcript.followups
        if not followups or not self._run.details.get("generate_followups"):
            return ""
        return compact({"followups": list(followups)})

    def _frame(self, event: str, data: str) -> list[bytes]:
        self._count += 1
        if self._count <= self._since:
            return []
        payload = compact({"event": event, "data": data, "timestamp": int(time.time() * 1000)})
        if self._numbered:
            return [sse_frame(payload, event=event, id=self._count, space=self.space)]
        return [sse_frame(payload, space=self.space)]


class ServerEventEncoder(StreamEventEncoder):
    """One frame or several for each event, as the platform's own server sends them.

    It names no ids, tells of a tool only that it is called, and sends all that follows the answer
    when the run has ended.
    """

    space = ""

    def encode(self, event: Event) -> list[bytes]:
        match event:
            case RunStarted():
                if self._started:
                    return []
                self._started = True
                return self._frame("START", "")
            case ToolCallStarted():
                return self._frame("TOOL_START", f"Executing Tool: {event.name}")
            case ToolCallFinished() | UsageReported():
                return []
            case RunFinished():
                return self._frame("CONTENT_DONE", "") + self._closing()
            case RunFailed():
                frames = self._frame("ERROR", event.message)
                return frames + self._frame("CONTENT_DONE", "") + self._frame("STOP", "")
            case _:
                return super().encode(event)

    def pause(self) -> list[bytes]:
        return self._frame("CONTENT_DONE", "") + self._frame("STOP", "")

    def _closing(self) -> list[bytes]:
        frames: list[bytes] = []
        transcript = self._run.transcript
        if transcript.followups and self._run.details.get("generate_followups"):
            frames += self._frame("FOLLOWUP_SUGGESTION", compact(list(transcript.followups)))
        if transcript.usage is not None:
            frames += self._frame("METRICS", compact(metrics(self._run)))
        return frames + self._frame("STOP", "")


def tool_arguments(text: str) -> Any:
    """Return a call's arguments as JSON; an object where there are none."""
    return json_or_text(text) if text else {}


def metrics(run: RunRecord) -> dict[str, Any]:
    """Return a run's usage as ``METRICS`` and the answers carry it."""
    usage = run.transcript.usage
    told = {
        "inputTokens": usage and usage.input_tokens,
        "outputTokens": usage and usage.output_tokens,
        "totalTokens": usage and usage.total_tokens,
        "llmCalls": 1,
        "model": run.transcript.model or run.agent.model,
        "costUsd": usage and usage.cost_usd,
    }
    return {k: v for k, v in told.items() if v is not None}
