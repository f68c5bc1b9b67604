"""Encoders of OperativusAI's streams, by its API page and by its published server."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from agentnb.event.types import (
    ApprovalRequested,
    Event,
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
from agentnb.sandbox.dialects.base import Encoder, json_or_text, to_json, tool_outcome, utc
from agentnb.sandbox.responses import sse_frame
from agentnb.sandbox.state import SandboxRun


class StreamEventEncoder(Encoder):
    """One frame for each event; ``numbered`` adds ``id:`` and ``event:``, as for ``/events``.

    Frames count from 1; those up to number ``since`` are skipped.
    """

    space = " "

    def __init__(self, run: SandboxRun, *, numbered: bool = False, since: int = 0) -> None:
        self._run = run
        self._numbered = numbered
        self._since = since
        self._count = 0
        self._started = False
        # Calls whose arguments still stream; they are sent once complete.
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
                return self._frame("START", to_json(ids))
            case ToolCallStarted():
                if not event.arguments:
                    self._open.add(event.call_id)
                    return []
                return self._tool_start(event.name, event.arguments)
            case ToolCallFinished():
                return self._tool_end(event)
            case UsageReported():
                return self._frame("METRICS", to_json(metrics(self._run)))
            case ApprovalRequested():
                approval = {
                    "approvalId": event.approval_id,
                    "message": event.message,
                    "tool": event.tool,
                    "arguments": json_or_text(event.arguments) if event.arguments else None,
                }
                return self._frame("PAUSED", to_json(approval))
            case RunFinished():
                return self._frame("STOP", self._stop())
            case RunFailed():
                return self._frame("ERROR", event.message)
            case RunCancelled():
                return self._frame("CANCELLED", event.reason or "")
            case RawEvent():
                return self._frame(event.name, event.data)
            case _:
                # Followups are sent with STOP.
                return []

    def pause(self) -> list[bytes]:
        # Numbered frames are the run's record, which the end of a connection is not part of.
        return [] if self._numbered else self._frame("STOP", "")

    def _tool_start(self, name: str, arguments: str) -> list[bytes]:
        data = {"name": name, "arguments": tool_arguments(arguments)}
        return self._frame("TOOL_START", to_json(data))

    def _tool_end(self, event: ToolCallFinished) -> list[bytes]:
        name, result = tool_outcome(self._run, event)
        frames: list[bytes] = []
        if event.call_id in self._open:
            self._open.discard(event.call_id)
            call = self._run.transcript.find_tool_call(event.call_id)
            frames = self._tool_start(name, call.arguments if call is not None else "")
        if event.error is not None:
            return frames + self._frame("TOOL_ERROR", to_json({"name": name, "error": event.error}))
        return frames + self._frame("TOOL_END", to_json({"name": name, "result": result}))

    def _stop(self) -> str:
        followups = self._run.transcript.followups
        if not followups or not self._run.details.get("generate_followups"):
            return ""
        return to_json({"followups": list(followups)})

    def _frame(self, event: str, data: str) -> list[bytes]:
        self._count += 1
        if self._count <= self._since:
            return []
        payload = to_json({"event": event, "data": data, "timestamp": int(time.time() * 1000)})
        if self._numbered:
            return [sse_frame(payload, event=event, id=self._count, space=self.space)]
        return [sse_frame(payload, space=self.space)]


class ServerEventEncoder(StreamEventEncoder):
    """Frames as the platform's published server sends them.

    Without ids and results of tools; usage and followups are sent when the run has ended.
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
            frames += self._frame("FOLLOWUP_SUGGESTION", to_json(list(transcript.followups)))
        if transcript.usage is not None:
            frames += self._frame("METRICS", to_json(metrics(self._run)))
        return frames + self._frame("STOP", "")


class RecordEncoder(Encoder):
    """Encodes the record of a run, without its text; skips frames up to number ``since``."""

    def __init__(self, run: SandboxRun, *, since: int = 0, space: str = " ") -> None:
        self._run = run
        self._space = space
        self._since = since
        self._count = 0

    def encode(self, event: Event) -> list[bytes]:
        match event:
            case RunStarted():
                return self._frame("RUN_START", {"modelId": self._run.agent.model})
            case ToolCallStarted():
                return self._frame("TOOL_INVOKED", {"toolName": event.name})
            case ToolCallFinished():
                return self._frame("TOOL_COMPLETED", self._outcome(event))
            case ApprovalRequested():
                reason = {"reason": event.message, "toolName": event.tool}
                return self._frame("RUN_PAUSED", reason)
            case RunFinished():
                return self._frame(
                    "RUN_COMPLETE", {"toolCalls": len(self._run.transcript.tool_calls)}
                )
            case RunFailed():
                return self._frame("RUN_FAILED", {"errorMessage": event.message})
            case RunCancelled():
                return self._frame("RUN_CANCELLED", {"reason": event.reason})
            case _:
                return []

    def _outcome(self, event: ToolCallFinished) -> dict[str, Any]:
        name, result = tool_outcome(self._run, event)
        if event.error is not None:
            return {"toolName": name, "status": "error", "error": event.error}
        return {"toolName": name, "status": "ok", "output": json_or_text(result)}

    def _frame(self, kind: str, payload: dict[str, Any]) -> list[bytes]:
        self._count += 1
        if self._count <= self._since:
            return []
        record = {
            "eventType": kind,
            "runId": self._run.id,
            "agentId": self._run.agent.name,
            "sessionId": self._run.session.id,
            "payload": payload,
            "eventTs": utc(datetime.now(UTC), milliseconds=True),
        }
        return [sse_frame(to_json(record), event=kind, id=self._count, space=self._space)]


def tool_arguments(text: str) -> Any:
    """Return a call's arguments as JSON; an object where there are none."""
    return json_or_text(text) if text else {}


def metrics(run: SandboxRun) -> dict[str, Any]:
    """Return a run's usage as in ``METRICS``."""
    usage = run.transcript.usage
    values = {
        "inputTokens": usage and usage.input_tokens,
        "outputTokens": usage and usage.output_tokens,
        "totalTokens": usage and usage.total_tokens,
        "llmCalls": 1,
        "model": run.transcript.model or run.agent.model,
        "costUsd": usage and usage.cost_usd,
    }
    return {k: v for k, v in values.items() if v is not None}
