"""Encoders of OperativusAI's streams, by its API page and by its published server."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, ClassVar

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
from agentnb.sandbox.dialects.base import json_or_text, to_json, usage_fields, utc
from agentnb.sandbox.responses import Encoder, Item, sse_frame
from agentnb.sandbox.state import SandboxRun


class OperativusEncoder(Encoder):
    """Frames count from 1; those up to number ``since`` are skipped.

    ``numbered`` adds ``id:`` and ``event:``, as for ``/events``; ``space`` follows each colon.
    """

    def __init__(
        self, run: SandboxRun, *, numbered: bool = False, since: int = 0, space: str = " "
    ) -> None:
        super().__init__(run)
        self._numbered = numbered
        self._since = since
        self._space = space
        self._count = 0

    def frame(self, name: str, data: Any) -> bytes:
        self._count += 1
        if self._count <= self._since:
            return b""
        payload = to_json(self.payload(name, data))
        if self._numbered:
            return sse_frame(payload, event=name, id=self._count, space=self._space)
        return sse_frame(payload, space=self._space)

    def payload(self, name: str, data: Any) -> dict[str, Any]:
        """Return a frame's JSON object, whose data are text."""
        text = data if isinstance(data, str) else to_json(data)
        return {"event": name, "data": text, "timestamp": int(time.time() * 1000)}


class StreamEventEncoder(OperativusEncoder):
    """One frame for each event; followups are sent with ``STOP``."""

    def items(self, event: Event) -> list[Item]:
        match event:
            case TextDelta():
                return [("CONTENT_DELTA", event.text)]
            case ReasoningDelta():
                return [("REASONING_DELTA", event.text)]
            case RunStarted():
                ids = {"runId": self._run.id, "sessionId": self._run.session.id}
                return [] if self._count else [("START", ids)]
            case ToolCallStarted():
                arguments = json_or_text(event.arguments or "{}")
                return [("TOOL_START", {"name": event.name, "arguments": arguments})]
            case ToolCallFinished() if event.error is not None:
                return [("TOOL_ERROR", {"name": event.name, "error": event.error})]
            case ToolCallFinished():
                return [("TOOL_END", {"name": event.name, "result": event.result})]
            case UsageReported():
                return [("METRICS", metrics(self._run))]
            case ApprovalRequested():
                approval = {
                    "approvalId": event.approval_id,
                    "message": event.message,
                    "tool": event.tool,
                    "arguments": json_or_text(event.arguments) if event.arguments else None,
                }
                return [("PAUSED", approval)]
            case RunFinished():
                followups = self._followups()
                return [("STOP", {"followups": followups} if followups else "")]
            case RunFailed():
                return [("ERROR", event.message)]
            case RunCancelled():
                return [("CANCELLED", event.reason or "")]
            case RawEvent():
                return [(event.name, event.data)]
            case _:
                return []

    def pause(self) -> list[Item]:
        # Numbered frames are the run's record, which the end of a connection is not part of.
        return [] if self._numbered else [("STOP", "")]

    def _followups(self) -> list[str]:
        wanted = self._run.details.get("generate_followups")
        return list(self._run.transcript.followups) if wanted else []


class ServerEventEncoder(StreamEventEncoder):
    """Frames as the platform's published server sends them.

    Without ids and results of tools; usage and followups are sent when the run has ended.
    """

    holds_calls: ClassVar[bool] = False

    def items(self, event: Event) -> list[Item]:
        match event:
            case RunStarted():
                return [] if self._count else [("START", "")]
            case ToolCallStarted():
                return [("TOOL_START", f"Executing Tool: {event.name}")]
            case ToolCallFinished() | UsageReported():
                return []
            case RunFinished():
                followups = self._followups()
                usage = self._run.transcript.usage
                return [
                    ("CONTENT_DONE", ""),
                    *([("FOLLOWUP_SUGGESTION", followups)] if followups else []),
                    *([("METRICS", metrics(self._run))] if usage is not None else []),
                    ("STOP", ""),
                ]
            case RunFailed():
                return [("ERROR", event.message), *self.pause()]
            case _:
                return super().items(event)

    def pause(self) -> list[Item]:
        return [("CONTENT_DONE", ""), ("STOP", "")]


class RecordEncoder(OperativusEncoder):
    """Encodes the record of a run, without its text."""

    holds_calls: ClassVar[bool] = False

    def payload(self, name: str, data: Any) -> dict[str, Any]:
        return {
            "eventType": name,
            "runId": self._run.id,
            "agentId": self._run.agent.name,
            "sessionId": self._run.session.id,
            "payload": data,
            "eventTs": utc(datetime.now(UTC), milliseconds=True),
        }

    def items(self, event: Event) -> list[Item]:
        match event:
            case RunStarted():
                return [("RUN_START", {"modelId": self._run.agent.model})]
            case ToolCallStarted():
                return [("TOOL_INVOKED", {"toolName": event.name})]
            case ToolCallFinished():
                outcome = {"status": "error", "error": event.error}
                if event.error is None:
                    outcome = {"status": "ok", "output": json_or_text(event.result or "")}
                return [("TOOL_COMPLETED", {"toolName": event.name, **outcome})]
            case ApprovalRequested():
                return [("RUN_PAUSED", {"reason": event.message, "toolName": event.tool})]
            case RunFinished():
                return [("RUN_COMPLETE", {"toolCalls": len(self._run.transcript.tool_calls)})]
            case RunFailed():
                return [("RUN_FAILED", {"errorMessage": event.message})]
            case RunCancelled():
                return [("RUN_CANCELLED", {"reason": event.reason})]
            case _:
                return []


def metrics(run: SandboxRun) -> dict[str, Any]:
    """Return a run's usage as in ``METRICS``."""
    usage = run.transcript.usage
    cost = {} if usage is None or usage.cost_usd is None else {"costUsd": usage.cost_usd}
    tokens = usage_fields(run, "inputTokens", "outputTokens", "totalTokens")
    model = run.transcript.model or run.agent.model
    return {**tokens, "llmCalls": 1, "model": model, **cost}
