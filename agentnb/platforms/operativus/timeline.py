"""From the recorded events of a run to agentnb's: what a joined run's stream is made of.

The platform records that things happened, not what was said: no text deltas, no tool arguments.
The answer is asked for when the run has ended.
"""

from __future__ import annotations

from datetime import datetime
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
from agentnb.platforms._tool_calls import OpenCalls
from agentnb.platforms._wire import MalformedError, as_text, mend, one_line
from agentnb.platforms.operativus.responses import first_text, plain
from agentnb.platforms.operativus.times import ServerTimes
from agentnb.platforms.operativus.wire import BOOKKEEPING, RUN_EVENTS, RunEvent

__all__ = ["Timeline"]


class Timeline:
    """Decodes recorded run events; ``calls`` is shared with the decoder that owns this one.

    ``run_id``, where known, is the run that is meant: events of the runs that it started on
    other agents are none of its own.
    """

    def __init__(self, calls: OpenCalls, run_id: str | None) -> None:
        self._calls = calls
        self._run_id = run_id
        self._began: datetime | None = None

    def decode(self, tag: str, payload: Any) -> list[Event] | None:
        """Return the events of one record, None where its kind is unknown.

        Raises:
            MalformedError: its kind is known and its content is not what that promises.
        """
        if tag in BOOKKEEPING:
            return []
        event = RUN_EVENTS.parse(tag, payload)
        if event is None:
            return None
        if self._run_id and event.run_id and event.run_id != self._run_id:
            return []
        details = event.payload or {}
        match event.event_type:
            case "RUN_START":
                self._began = ServerTimes().read(event.event_ts)
                return [
                    RunStarted(
                        run_id=mend(event.run_id or "") or self._run_id,
                        session_id=mend(event.session_id or "") or None,
                        agent=mend(event.agent_id or "") or None,
                        model=first_text(details, "modelId", "model"),
                    )
                ]
            case "TOOL_INVOKED":
                name = _tool_name(details)
                arguments = as_text(details.get("input", details.get("arguments")))
                return [
                    ToolCallStarted(call_id=self._calls.start(name), name=name, arguments=arguments)
                ]
            case "TOOL_COMPLETED":
                return [self._tool_completed(details)]
            case "RUN_PAUSED":
                message = first_text(details, "reason", "message") or ""
                return [ApprovalRequested(message=message, tool=first_text(details, "toolName"))]
            case "RUN_COMPLETE":
                return [
                    RunFinished(
                        output=first_text(details, "content", "output"),
                        duration=self._duration(event),
                        details={mend(key): plain(value) for key, value in details.items()},
                    )
                ]
            case "RUN_FAILED":
                message = first_text(details, "errorMessage", "message", "errorClass") or ""
                return [
                    RunFailed(
                        message=one_line(message) or "The platform reports the run as failed.",
                        details={mend(key): plain(value) for key, value in details.items()},
                    )
                ]
            case _:
                return [RunCancelled(reason=first_text(details, "reason", "message"))]

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

    def _duration(self, event: RunEvent) -> float | None:
        ended = ServerTimes().read(event.event_ts)
        if ended is None or self._began is None or ended < self._began:
            return None
        return (ended - self._began).total_seconds()


def _tool_name(details: dict[str, Any]) -> str:
    name = first_text(details, "toolName", "name")
    if name is None:
        raise MalformedError("a tool call without a name")
    return name
