"""Read Operativus's JSON responses: runs, agents, pages, approvals and errors.

Nothing here raises: what cannot be read is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, cast

from agentnb._http import ErrorDetails, JsonResponse
from agentnb.errors import ContentTypeError, FieldProblem
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._wire import MalformedError, as_text, json_payload, mend, one_line
from agentnb.platforms.base import AgentInfo, RemoteRun, make_printable
from agentnb.platforms.operativus.server_times import ServerTimes

__all__ = [
    "STATUSES",
    "ListPage",
    "PendingApproval",
    "agent_info",
    "as_object",
    "first_text",
    "first_value",
    "parse_error",
    "pending_approval",
    "plain",
    "read_followups",
    "read_page",
    "read_status",
    "remote_run",
    "unexpected_response",
]

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


def as_object(data: Any) -> dict[str, Any]:
    """Return ``data`` if it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def first_value(fields: Mapping[str, Any], *names: str) -> Any:
    """Return the first of these fields that is not None."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def first_text(data: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of these fields that is non-empty text or a number, as text."""
    for name in names:
        value = data.get(name)
        if isinstance(value, str) and value:
            return mend(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return as_text(value) or None
    return None


def plain(value: Any) -> Any:
    """Return a JSON value that is safe to store: with every lone surrogate replaced."""
    try:
        return json.loads(as_text(value) or "null") if not isinstance(value, str) else mend(value)
    except (RecursionError, ValueError):
        return None


def read_status(value: Any, *, ended: bool = False) -> Status:
    """Return a run's status; an unknown one is completed if the run has ended, else running."""
    status = value.strip().upper() if isinstance(value, str) else ""
    return STATUSES.get(status, "completed" if ended else "running")


def remote_run(data: Any, times: ServerTimes | None = None) -> RemoteRun | None:
    """Return one entry of a list of runs, or one run's state; None if it has no id.

    Times without a zone are read by ``times``, or as UTC.
    """
    read_time = (times or ServerTimes()).read
    row = as_object(data)
    run_id = first_text(row, "id", "runId")
    if run_id is None:
        return None
    completed = read_time(row.get("completedAt"))
    status = read_status(row.get("status"), ended=completed is not None)
    if completed is None and status in FINAL_STATUSES:
        # The list of runs has no end time; a finished run was last touched when it finished.
        completed = read_time(row.get("updatedAt"))
    output = first_text(row, "output", "content")
    error = first_text(row, "errorMessage", "error", "errorType")
    if status == "failed" and error is None and output is not None:
        error = one_line(output)
    return RemoteRun(
        id=run_id,
        status=status,
        agent=first_text(row, "agentId"),
        session_id=first_text(row, "sessionId"),
        created_at=read_time(row.get("createdAt")),
        started_at=read_time(row.get("startedAt")),
        finished_at=completed,
        model=first_text(row, "model", "modelId"),
        output=output,
        error=error,
        raw=row,
    )


def agent_info(data: Any) -> AgentInfo | None:
    """Return one entry of the list of agents; None if it has no id."""
    row = as_object(data)
    agent_id = first_text(row, "agentId", "id")
    if agent_id is None:
        return None
    return AgentInfo(
        id=agent_id,
        name=first_text(row, "name"),
        description=first_text(row, "description"),
        model=first_text(row, "model", "modelId"),
        raw=row,
    )


def pending_approval(data: Any, times: ServerTimes | None = None) -> PendingApproval | None:
    """Return one entry of the list of pending approvals; None if it has no id."""
    row = as_object(data)
    approval_id = first_text(row, "id", "approvalId")
    if approval_id is None:
        return None
    return PendingApproval(
        id=approval_id,
        run_id=first_text(row, "runId"),
        agent=first_text(row, "agentId"),
        tool=first_text(row, "toolName", "tool"),
        arguments=as_text(row.get("toolArguments", row.get("arguments"))),
        message=first_text(row, "contextualMessage", "message") or "",
        created_at=(times or ServerTimes()).read(row.get("createdAt")),
        raw=row,
    )


def read_page(data: Any) -> ListPage:
    """Return a page in any of its three forms.

    A bare list; flat, ``{content, number, totalPages, last}``; or ``{content, page: {number,
    totalPages}}``.
    """
    if isinstance(data, list):
        return ListPage(_objects(data), None)
    if not isinstance(data, dict):
        return ListPage([], True)
    outer = cast("dict[str, Any]", data)
    content = next((outer[k] for k in ("content", "items", "data", "runs") if k in outer), None)
    items = _objects(content)
    if isinstance(outer.get("last"), bool):
        return ListPage(items, outer["last"])
    inner = outer.get("page")
    paging = cast("dict[str, Any]", inner) if isinstance(inner, dict) else outer
    number, total = paging.get("number"), paging.get("totalPages")
    if isinstance(number, int) and isinstance(total, int):
        return ListPage(items, number + 1 >= total)
    return ListPage(items, None)


def _objects(items: Any) -> list[dict[str, Any]]:
    listed = cast("list[Any]", items) if isinstance(items, list) else []
    return [cast("dict[str, Any]", item) for item in listed if isinstance(item, dict)]


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
        return (mend(text),) if text else ()
    if isinstance(data, dict):
        fields = cast("dict[str, Any]", data)
        keys = ("followups", "followUps", "suggestedFollowups", "suggestions", "questions")
        return next((read_followups(fields[k]) for k in keys if fields.get(k)), ())
    if not isinstance(data, list):
        return ()
    questions: list[str] = []
    for item in cast("list[Any]", data):
        if isinstance(item, dict):
            entry = cast("dict[str, Any]", item)
            item = first_text(entry, "question", "text", "message", "title")
        if isinstance(item, str) and item.strip():
            questions.append(mend(item.strip()))
    return tuple(dict.fromkeys(questions))


def parse_error(status: int, body: Any) -> ErrorDetails:
    """Return the details in an ``application/problem+json`` body.

    ``detail`` is the message, the last part of ``type`` the code, and ``invalidParams`` and
    ``errors`` name the fields.
    """
    details = parse_error_body(status, body)
    if not isinstance(body, dict):
        return details
    problem = cast("dict[str, Any]", body)
    code = details.code
    kind = problem.get("type")
    if code is None and isinstance(kind, str) and kind not in ("", "about:blank"):
        code = one_line(re.split(r"[:/]", kind.rstrip(":/"))[-1]) or None
    fields = (*_invalid(problem.get("invalidParams")), *_invalid(problem.get("errors")))
    return replace(details, code=code, fields=details.fields or fields)


def _invalid(value: Any) -> list[FieldProblem]:
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return [FieldProblem(one_line(str(k)), one_line(as_text(v))) for k, v in pairs]
    problems: list[FieldProblem] = []
    for item in cast("list[Any]", value) if isinstance(value, list) else []:
        if isinstance(item, dict):
            entry = cast("dict[str, Any]", item)
            field_name = first_text(entry, "field", "name") or "body"
            message = first_text(entry, "message", "reason", "defaultMessage") or "invalid"
            problems.append(FieldProblem(one_line(field_name), one_line(message)))
        elif isinstance(item, str):
            problems.append(FieldProblem("body", one_line(item)))
    return problems


def unexpected_response(platform: str, kind: str, response: JsonResponse) -> ContentTypeError:
    """Return the error of a response that is ``kind``, and not a run."""
    return ContentTypeError(
        f"{platform} answered {kind}.",
        content_type=response.headers.get("content-type", ""),
        excerpt=one_line(as_text(response.data)),
    )
