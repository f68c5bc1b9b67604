"""OperativusAI's record of a run: what happened, without what was said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.sandbox.dialects.base import Encoder, compact, json_or_text, utc
from agentnb.sandbox.state import RunRecord
from agentnb.sandbox.streams import sse_frame

__all__ = ["RecordEncoder"]


class RecordEncoder(Encoder):
    """One numbered frame for each thing that happened; ``since`` leaves out those up to it."""

    def __init__(self, run: RunRecord, *, since: int = 0, space: str = " ") -> None:
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
                told = {"reason": event.message, "toolName": event.tool}
                return self._frame("RUN_PAUSED", told)
            case RunFinished():
                return self._frame("RUN_COMPLETE", {"toolCalls": len(self._calls())})
            case RunFailed():
                return self._frame("RUN_FAILED", {"errorMessage": event.message})
            case RunCancelled():
                return self._frame("RUN_CANCELLED", {"reason": event.reason})
            case _:
                return []

    def _calls(self) -> list[Any]:
        return list(self._run.transcript.tool_calls)

    def _outcome(self, event: ToolCallFinished) -> dict[str, Any]:
        call = self._run.transcript.find_tool_call(event.call_id)
        name = event.name or (call.name if call is not None else "")
        if event.error is not None:
            return {"toolName": name, "status": "error", "error": event.error}
        result = event.result
        if result is None:
            result = call.result if call is not None else ""
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
        return [sse_frame(compact(record), event=kind, id=self._count, space=self._space)]
