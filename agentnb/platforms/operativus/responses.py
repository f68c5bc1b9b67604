"""Read Operativus's JSON responses: runs, agents, pages, approvals and errors.

Nothing here raises: what cannot be read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, cast

from agentnb._http import ErrorDetails
from agentnb._support.text import well_formed
from agentnb.errors import FieldProblem
from agentnb.event.transcript import FINAL_STATUSES, Status
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
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._payloads import as_list, as_object, first_text, read_status
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import (
    MalformedError,
    as_text,
    json_payload,
    mend_deep,
    one_line,
    validated,
)
from agentnb.platforms.base import AgentInfo, RemoteRun, make_printable
from agentnb.platforms.http_platform import read_agent, read_rows, read_run, row_text
from agentnb.platforms.operativus.server_times import ServerTimes
from agentnb.platforms.operativus.tool_calls import ToolCallDecoder
from agentnb.platforms.operativus.wire import PausedData, RunResponse

STATUSES: Final[dict[str, Status]] = {
    "CREATED": "queued",
    "PENDING": "queued",
    "QUEUED": "queued",
    "RUNNING": "running",
    "PROCESSING": "running",
    "APPROVED": "running",
    "PAUSED": "paused",
    "AWAITING_HUMAN_REVIEW": "paused",
    "AWAITING_ROUTE_SELECTION": "paused",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "REJECTED": "failed",
    "EXPIRED": "failed",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
}
"""The platform's run statuses, and agentnb's name of each."""

_RUN: Final = {
    "id": "id runId",
    "agent": "agentId",
    "session_id": "sessionId",
    "created_at": "createdAt",
    "started_at": "startedAt",
    "updated_at": "updatedAt",
    "finished_at": "completedAt",
    "model": "model modelId",
    "output": "output content",
    "error": "errorMessage error errorType",
}
_AGENT: Final = {"id": "agentId id", "name": "name", "model": "model modelId"}
_FOLLOWUPS: Final = ("followups", "followUps", "suggestedFollowups", "suggestions", "questions")
_FENCE: Final = re.compile(r"\A```[\w-]*\s*\n(.*?)\n?```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingApproval:
    """A decision that a run waits for; ``raw`` is unchanged from the platform.

    The other fields are safe to print: control characters are replaced by visible signs.
    """

    id: str
    run_id: str | None = None
    agent: str | None = None
    tool: str | None = None
    arguments: str = ""
    message: str = ""
    created_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        make_printable(self, ("id", "run_id", "agent", "tool", "arguments", "message"))


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list; ``is_last`` is None if the response does not say."""

    items: list[dict[str, Any]]
    is_last: bool | None


def remote_run(data: Any, times: ServerTimes | None = None) -> RemoteRun | None:
    """Return one entry of a list of runs, or one run's state; None if it has no id.

    Times without a zone are read by ``times``, or as UTC.
    """
    read_time = (times or ServerTimes()).read
    run = read_run(as_object(data), _RUN, read_status=read_status, read_time=read_time)
    if run is not None and run.status == "failed" and run.error is None and run.output is not None:
        return replace(run, error=one_line(run.output))
    return run


def agent_info(data: Any) -> AgentInfo | None:
    """Return one entry of the list of agents; None if it has no id."""
    return read_agent(as_object(data), _AGENT)


def pending_approval(data: Any, times: ServerTimes) -> PendingApproval | None:
    """Return one entry of the list of pending approvals; None if it has no id."""
    row = as_object(data)
    approval_id = row_text(row, "id approvalId")
    if approval_id is None:
        return None
    return PendingApproval(
        id=approval_id,
        run_id=row_text(row, "runId"),
        agent=row_text(row, "agentId"),
        tool=row_text(row, "toolName tool"),
        arguments=as_text(row.get("toolArguments", row.get("arguments"))),
        message=row_text(row, "contextualMessage message") or "",
        created_at=times.read(row.get("createdAt")),
        raw=row,
    )


def read_page(data: Any) -> ListPage:
    """Return a page in any of its three forms.

    A bare list; flat, ``{content, number, totalPages, last}``; or ``{content, page: {number,
    totalPages}}``.
    """
    fields = as_object(data)
    paging = as_object(fields.get("page")) or fields
    number, total = paging.get("number"), paging.get("totalPages")
    is_last: bool | None = None
    if isinstance(fields.get("last"), bool):
        is_last = fields["last"]
    elif isinstance(number, int) and isinstance(total, int):
        is_last = number + 1 >= total
    return ListPage(read_rows(data, "content items data runs"), is_last)


def read_followups(data: Any) -> tuple[str, ...]:
    """Return the questions in a followup payload.

    It is a list of strings or of objects, that list as JSON text (which a model may have put in a
    code fence), an object that holds it, or one question as plain text.
    """
    if isinstance(data, str):
        text = data.strip()
        if fenced := _FENCE.match(text):
            text = fenced[1].strip()
        if text.startswith(("[", "{")):
            try:
                return read_followups(json_payload(text))
            except MalformedError:
                return ()
        return (well_formed(text),) if text else ()
    if isinstance(data, dict):
        fields = cast("dict[str, Any]", data)
        return next((read_followups(fields[k]) for k in _FOLLOWUPS if fields.get(k)), ())
    questions: list[str] = []
    for item in as_list(data):
        if isinstance(item, dict):
            item = row_text(cast("dict[str, Any]", item), "question text message title")
        if isinstance(item, str) and item.strip():
            questions.append(well_formed(item.strip()))
    return tuple(dict.fromkeys(questions))


def parse_error(status: int, body: Any) -> ErrorDetails:
    """Return the details in an ``application/problem+json`` body.

    ``detail`` is the message, the last part of ``type`` the code, and ``invalidParams`` and
    ``errors`` name the fields.
    """
    details = parse_error_body(status, body)
    problem = as_object(body)
    code, kind = details.code, first_text(problem, "type")
    if code is None and kind not in (None, "about:blank"):
        code = one_line(re.split(r"[:/]", kind.rstrip(":/"))[-1]) or None
    fields = (*_invalid(problem.get("invalidParams")), *_invalid(problem.get("errors")))
    return replace(details, code=code, fields=details.fields or fields)


def _invalid(value: Any) -> list[FieldProblem]:
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return [FieldProblem(one_line(str(k)), one_line(as_text(v))) for k, v in pairs]
    problems: list[FieldProblem] = []
    for item in as_list(value):
        if isinstance(item, dict):
            entry = cast("dict[str, Any]", item)
            name = row_text(entry, "field name") or "body"
            message = row_text(entry, "message reason defaultMessage") or "invalid"
            problems.append(FieldProblem(one_line(name), one_line(message)))
        elif isinstance(item, str):
            problems.append(FieldProblem("body", one_line(item)))
    return problems


# --- whole runs -------------------------------------------------------------------------------


def run_events(data: Any, *, session_id: str) -> list[Event] | None:
    """Return all events of a run that was not streamed; None if ``data`` is no run.

    ``session_id`` is the requested one.  A run that waits for a decision, or that has not ended,
    has no terminal event.
    """
    try:
        response = validated(RunResponse, mend_deep(data))
    except (MalformedError, RecursionError):
        return None
    if not {"content", "status", "run_id"} & response.model_fields_set:
        return None
    events, end = response_events(response, tools=ToolCallDecoder())
    if not any(isinstance(event, RunStarted) for event in events):
        events.insert(0, RunStarted(session_id=session_id))
    if response.content:
        # The text comes before a request for approval.
        is_paused = isinstance(events[-1], ApprovalRequested)
        events.insert(len(events) - is_paused, TextDelta(response.content))
    followups = read_followups(data) or read_followups(response.metadata)
    if followups:
        events.append(FollowupsSuggested(followups=followups))
    if end is None and read_status(response.status, ended=True) in FINAL_STATUSES:
        end = RunFinished(output=response.content)
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
        events.append(RunStarted(run_id=response.run_id, session_id=response.session_id))
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
        approval_id=data.approval_id or data.escalation_id,
        message=data.message or data.reason or data.type or "",
        tool=data.tool or data.tool_name,
        arguments=as_text(arguments),
    )


def _end(response: RunResponse, metadata: dict[str, Any], metrics: dict[str, Any]) -> Event | None:
    status = (response.status or "").strip().upper()
    content = response.content or ""
    match STATUSES.get(status):
        case "completed":
            details = mend_deep({k: v for k, v in metadata.items() if k != "usage"})
            return RunFinished(output=content or None, details=details)
        case "failed":
            message = one_line(as_text(metrics.get("errorMessage")) or content)
            return RunFailed(
                message=message or "The platform reports the run as failed.",
                details={"status": status},
            )
        case "cancelled":
            return RunCancelled(reason=one_line(content) or None)
        case "paused":
            action = metadata.get("requiredAction")
            return approval(action if action is not None else content)
        case _:
            # Also RUNNING, which a row may still have just after the end.
            return None
