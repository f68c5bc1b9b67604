"""Events of a whole run that came as one JSON object."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from agentnb._support.text import well_formed
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
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
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import MalformedError, as_text, one_line, validated
from agentnb.platforms.operativus.responses import STATUSES, plain, read_followups, read_status
from agentnb.platforms.operativus.tool_calls import ToolCallDecoder
from agentnb.platforms.operativus.wire import PausedData, RunResponse

_FAILED = "The platform reports the run as failed."


def run_events(data: Any, *, session_id: str) -> list[Event] | None:
    """Return all events of a run that was not streamed; None if ``data`` is no run.

    ``session_id`` is the requested one.  A run that waits for a decision, or that has not ended,
    has no terminal event.
    """
    try:
        response = validated(RunResponse, data)
    except MalformedError:
        return None
    if not {"content", "status", "run_id"} & response.model_fields_set:
        return None
    events, end = response_events(response, tools=ToolCallDecoder())
    if not any(isinstance(event, RunStarted) for event in events):
        events.insert(0, RunStarted(session_id=session_id))
    if response.content:
        # The text comes before a request for approval.
        is_paused = isinstance(events[-1], ApprovalRequested)
        events.insert(len(events) - is_paused, TextDelta(well_formed(response.content)))
    followups = read_followups(data) or read_followups(response.metadata)
    if followups:
        events.append(FollowupsSuggested(followups=followups))
    if end is None and read_status(response.status, ended=True) in FINAL_STATUSES:
        end = RunFinished(output=well_formed(response.content or "") or None)
    return [*events, end] if end is not None else events


def response_events(
    response: RunResponse,
    *,
    tools: ToolCallDecoder,
    known: AbstractSet[type[Event]] = frozenset(),
) -> tuple[list[Event], Event | None]:
    """Return the events of a run except its text and its end, and the end.

    ``known`` are the kinds of events that were streamed before: tool calls and reasoning among
    them are not repeated.  The end is None if the run's status is not a final one.
    """
    events: list[Event] = []
    if response.run_id or response.session_id:
        run_id, session_id = (
            well_formed(response.run_id or ""),
            well_formed(response.session_id or ""),
        )
        events.append(RunStarted(run_id=run_id or None, session_id=session_id or None))
    if ReasoningDelta not in known:
        steps = enumerate(response.reasoning_steps or (), start=1)
        # Numbered, so that each step is a part by itself.
        events += [ReasoningDelta(well_formed(step), f"step-{n}") for n, step in steps if step]
    if not known & {ToolCallStarted, ToolCallFinished}:
        events += [event for tool in response.tools or () for event in tools.whole(tool)]
    metadata, metrics = response.metadata or {}, response.metrics or {}
    usage = read_usage(metrics) or read_usage(metadata.get("usage")) or read_usage(metadata)
    if usage is not None:
        model = as_text(metrics.get("model") or metadata.get("model"))
        events.append(UsageReported(usage=usage, model=model or None))
    end = _end(response, metadata, metrics)
    if not isinstance(end, ApprovalRequested):
        return events, end
    return [*events, *([] if ApprovalRequested in known else [end])], None


def approval(payload: Any) -> ApprovalRequested:
    """Return the approval that a pause requests; a payload that is no object is its message."""
    try:
        data = validated(PausedData, payload)
    except MalformedError:
        return ApprovalRequested(message=as_text(payload))
    arguments = data.args if data.args is not None else data.arguments
    return ApprovalRequested(
        approval_id=well_formed(data.approval_id or data.escalation_id or "") or None,
        message=well_formed(data.message or data.reason or data.type or ""),
        tool=well_formed(data.tool or data.tool_name or "") or None,
        arguments=as_text(arguments),
    )


def _end(response: RunResponse, metadata: dict[str, Any], metrics: dict[str, Any]) -> Event | None:
    status = (response.status or "").strip().upper()
    content = well_formed(response.content or "")
    match STATUSES.get(status):
        case "completed":
            details = plain({k: v for k, v in metadata.items() if k != "usage"})
            return RunFinished(output=content or None, details=details)
        case "failed":
            message = one_line(as_text(metrics.get("errorMessage")) or content)
            return RunFailed(message=message or _FAILED, details={"status": status})
        case "cancelled":
            return RunCancelled(reason=one_line(content) or None)
        case "paused":
            action = metadata.get("requiredAction")
            return approval(action if action is not None else content)
        case _:
            # Also RUNNING, which a row may still have just after the end.
            return None
