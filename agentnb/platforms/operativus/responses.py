"""What Operativus answers in JSON: runs, agents, pages, approvals and errors.

Everything here is total: an answer that is not as promised loses what cannot be read, no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, cast

from agentnb._http import ErrorDetails, JsonAnswer
from agentnb.errors import ContentTypeError, FieldProblem
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._wire import MalformedError, as_text, json_payload, mend, one_line
from agentnb.platforms.base import AgentInfo, RemoteRun, make_printable
from agentnb.platforms.operativus.times import ServerTimes

__all__ = [
    "STATUSES",
    "Page",
    "PendingApproval",
    "agent_info",
    "as_object",
    "first_text",
    "not_understood",
    "parse_error",
    "pending_approval",
    "plain",
    "read_followups",
    "read_page",
    "read_status",
    "remote_run",
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
"""The platform's run statuses, and what agentnb calls each."""

_FENCE: Final = re.compile(r"\A```[\w-]*\s*\n(.*?)\n?```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingApproval:
    """A decision that a run waits for; ``raw`` is as the platform sent it.

    In the other fields control characters are written as signs; they are safe to print.
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
class Page:
    """One page of a list.  ``last`` is None where the answer does not tell."""

    items: list[dict[str, Any]]
    last: bool | None


def as_object(data: Any) -> dict[str, Any]:
    """Return ``data`` where it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def first_text(data: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of ``names`` that holds text (a number counts), None where none does."""
    for name in names:
        value = data.get(name)
        if isinstance(value, str) and value:
            return mend(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return as_text(value) or None
    return None


def plain(value: Any) -> Any:
    """Return a JSON value that is safe to store: every half character in it is mended."""
    try:
        return json.loads(as_text(value) or "null") if not isinstance(value, str) else mend(value)
    except (RecursionError, ValueError):
        return None


def read_status(value: Any, *, ended: bool = False) -> Status:
    """Return agentnb's word for a run's status.

    A word that is not known is ``completed`` where the run has ended, else ``running``.
    """
    word = value.strip().upper() if isinstance(value, str) else ""
    return STATUSES.get(word, "completed" if ended else "running")


def remote_run(data: Any, times: ServerTimes | None = None) -> RemoteRun | None:
    """Return one entry of a list of runs, or one run's state; None where it names no run.

    ``times`` tells what times without a zone mean; without it they are read as UTC.
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
    """Return one entry of the list of agents; None where it names no agent."""
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
    """Return one entry of the list of pending approvals; None where it has no id.

    ``times`` is as `remote_run` takes it.
    """
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


def read_page(data: Any) -> Page:
    """Return a page, whichever of its three forms it has.

    A bare list; flat, ``{content, number, totalPages, last}``; or ``{content, page: {number,
    totalPages}}``.
    """
    if isinstance(data, list):
        return Page(_rows(cast("list[Any]", data)), None)
    if not isinstance(data, dict):
        return Page([], True)
    outer = cast("dict[str, Any]", data)
    content = next((outer[k] for k in ("content", "items", "data", "runs") if k in outer), None)
    items = _rows(cast("list[Any]", content)) if isinstance(content, list) else []
    inner = outer.get("page")
    where = cast("dict[str, Any]", inner) if isinstance(inner, dict) else outer
    if isinstance(outer.get("last"), bool):
        return Page(items, outer["last"])
    number, total = where.get("number"), where.get("totalPages")
    if isinstance(number, int) and isinstance(total, int):
        return Page(items, number + 1 >= total)
    return Page(items, None)


def _rows(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def read_followups(data: Any) -> tuple[str, ...]:
    """Return the questions in a followup payload, whichever form it has.

    A list of strings or of objects, that list as JSON text (a model wrote it, so that it may stand
    in a code fence), an object that holds it, or one question as plain text.
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
        found = cast("dict[str, Any]", data)
        keys = ("followups", "followUps", "suggestedFollowups", "suggestions", "questions")
        return next((read_followups(found[k]) for k in keys if found.get(k)), ())
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
    """Return what an ``application/problem+json`` body says.

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
    found = (*_invalid(problem.get("invalidParams")), *_invalid(problem.get("errors")))
    return replace(details, code=code, fields=details.fields or found)


def _invalid(value: Any) -> list[FieldProblem]:
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return [FieldProblem(one_line(str(k)), one_line(as_text(v))) for k, v in pairs]
    if not isinstance(value, list):
        return []
    problems: list[FieldProblem] = []
    for item in cast("list[Any]", value):
        if isinstance(item, dict):
            entry = cast("dict[str, Any]", item)
            where = first_text(entry, "field", "name") or "body"
            what = first_text(entry, "message", "reason", "defaultMessage") or "invalid"
            problems.append(FieldProblem(one_line(where), one_line(what)))
        elif isinstance(item, str):
            problems.append(FieldProblem("body", one_line(item)))
    return problems


def not_understood(platform: str, what: str, answer: JsonAnswer) -> ContentTypeError:
    """Return the error of an answer that is ``what``, and not what was requested."""
    return ContentTypeError(
        f"{platform} answered {what}.",
        content_type=answer.headers.get("content-type", ""),
        excerpt=one_line(as_text(answer.data)),
    )
