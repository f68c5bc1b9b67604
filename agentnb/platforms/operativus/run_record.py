"""Recorded events of an Operativus run, as they come from ``/api/v1/runs/{run}/events``.

The platform records that things happened, but no text deltas and no tool arguments.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

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
from agentnb.platforms._tool_calls import OpenCalls
from agentnb.platforms._wire import MalformedError, as_text, mend, one_line, validated
from agentnb.platforms.operativus.responses import first_text, plain
from agentnb.platforms.operativus.server_times import ServerTimes
from agentnb.platforms.operativus.wire import RecordedEvent

__all__ = ["RecordDecoder"]

# Events about how the platform works, not about what its agent does.
_INTERNAL: Final = frozenset(
    {
        *("LLM_REQUEST", "LLM_RESPONSE", "DELEGATION_START", "DELEGATION_COMPLETE", "HANDOFF"),
        *("ORCHESTRATOR_DECISION", "TASK_CREATED", "TASK_UPDATED"),
    }
)
_TAGS: Final = frozenset(
    {
        *("RUN_START", "TOOL_INVOKED", "TOOL_COMPLETED", "RUN_PAUSED"),
        *("RUN_COMPLETE", "RUN_FAILED", "RUN_CANCELLED"),
    }
)


class RecordDecoder:
    """Decodes recorded events; ``calls`` is shared with the decoder of the live stream.

    Events of other runs than ``run_id``, which it started on other agents, are dropped; with None
    all are decoded.
    """

    def __init__(self, calls: OpenCalls, run_id: str | None) -> None:
        self._calls = calls
        self._run_id = run_id
        self._started_at: datetime | None = None

    def decode(self, tag: str, payload: Any) -> list[Event] | None:
        """Return the events of one record, None if its kind is unknown.

        Raises:
            MalformedError: a field has the wrong type, or a tool call has no name.
        """
        if tag in _INTERNAL:
            return []
        if tag not in _TAGS:
            return None
        record = validated(RecordedEvent, payload)
        if self._run_id and record.run_id and record.run_id != self._run_id:
            return []
        return [self._event(tag, record, record.payload or {})]

    def _event(self, tag: str, record: RecordedEvent, details: dict[str, Any]) -> Event:
        match tag:
            case "RUN_START":
                self._started_at = ServerTimes().read(record.event_ts)
                return RunStarted(
                    run_id=mend(record.run_id or "") or self._run_id,
                    session_id=mend(record.session_id or "") or None,
                    agent=mend(record.agent_id or "") or None,
                    model=first_text(details, "modelId", "model"),
                )
            case "TOOL_INVOKED":
                name = _tool_name(details)
                arguments = as_text(details.get("input", details.get("arguments")))
                call_id = self._calls.start(name)
                return ToolCallStarted(call_id=call_id, name=name, arguments=arguments)
            case "TOOL_COMPLETED":
                return self._tool_completed(details)
            case "RUN_PAUSED":
                message = first_text(details, "reason", "message") or ""
                return ApprovalRequested(message=message, tool=first_text(details, "toolName"))
            case "RUN_COMPLETE":
                return RunFinished(
                    output=first_text(details, "content", "output"),
                    duration=self._duration(record),
                    details={mend(key): plain(value) for key, value in details.items()},
                )
            case "RUN_FAILED":
                message = first_text(details, "errorMessage", "message", "errorClass") or ""
                return RunFailed(
                    message=one_line(message) or "The platform reports the run as failed.",
                    details={mend(key): plain(value) for key, value in details.items()},
                )
            case _:
                return RunCancelled(reason=first_text(details, "reason", "message"))

    def _tool_completed(self, details: dict[str, Any]) -> ToolCallFinished:
        name = _tool_name(details)
        output = details.get("output", details.get("result"))
        error = None
        if first_text(details, "status") == "error":
            error = first_text(details, "error", "errorMessage") or "The tool failed."
        return ToolCallFinished(
            call_id=self._calls.finish(name),
            name=name,
            result=None if output is None else as_text(output),
            error=error,
        )

    def _duration(self, record: RecordedEvent) -> float | None:
        ended = ServerTimes().read(record.event_ts)
        if ended is None or self._started_at is None or ended < self._started_at:
            return None
        return (ended - self._started_at).total_seconds()


def _tool_name(details: dict[str, Any]) -> str:
    name = first_text(details, "toolName", "name")
    if name is None:
        raise MalformedError("a tool call without a name")
    return name
