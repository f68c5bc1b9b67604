"""Read what a server keeps: runs, threads and their states, and assistants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentnb.errors import RequestError
from agentnb.event import ApprovalRequested, Event, RunCancelled, RunFailed, RunFinished
from agentnb.platforms.langgraph.wire import LangGraphOptions, answer_to, as_items, as_object
from agentnb.plugin import AgentInfo, RemoteRun, as_text, parse_time, read_status

_FINAL: Final = ("completed", "failed", "cancelled")


def answer_text(values: Any, field: str | None) -> str | None:
    """Return the answer in a graph's final state; None where it has none."""
    fields = as_object(values)
    if field is not None:
        values = fields.get(field)
    elif messages := as_items(fields.get("messages")):
        last = as_object(messages[-1])
        if last.get("type") not in ("ai", "assistant"):
            return None
        blocks = as_items(last.get("content"))
        texts = (
            block if isinstance(block, str) else as_object(block).get("text") for block in blocks
        )
        values = "".join(map(as_text, texts))
    return as_text(values) or None if values not in ({}, []) else None


def read_failure(error: Any) -> RunFailed:
    """Return the failure of a run by the error that the server reports."""
    fields = {"message": error} if isinstance(error, str) else as_object(error)
    kind = as_text(fields.get("error")) or None
    message = as_text(fields.get("message")) or kind or "The run failed."
    return RunFailed(message=message, code=kind, error_type=kind)


def decision(
    thread: Mapping[str, Any],
    approval_id: str | None,
    options: LangGraphOptions,
    *,
    approved: bool,
    name: str,
) -> dict[str, Any] | None:
    """Return the command that answers an interrupt of a thread, None where it is at a breakpoint.

    Raises:
        RequestError: the interrupt is not pending, several are and none is named, or a breakpoint
            is denied.
    """
    by_task = as_object(thread.get("interrupts")).values()
    pending = [as_object(each) for found in by_task for each in as_items(found)]
    if not pending and approval_id is None and thread.get("status") == "interrupted":
        if approved:
            return None
        raise RequestError(f"{name}: a breakpoint cannot be denied.", hint="Cancel the run.")
    named = [each for each in pending if approval_id in (None, each.get("id"))]
    if len(named) != 1:
        problem = "several decisions" if named else "no such decision"
        raise RequestError(f"{name}: the thread waits for {problem}.")
    (interrupt,) = named
    answer = answer_to(interrupt.get("value"), options, approved=approved)
    key = interrupt.get("id")
    return {"resume": answer if key is None else {key: answer}}


def remote_run(run_id: str, thread_id: str, run: Mapping[str, Any], end: Event | None) -> RemoteRun:
    """Return a run as the server keeps it; ``end`` is its last event, None where it goes on."""
    status = read_status(run.get("status"))
    if isinstance(end, ApprovalRequested):
        status = "paused"
    elif isinstance(end, RunCancelled):
        status = "cancelled"
    return RemoteRun(
        id=run_id,
        status=status,
        agent=as_text(run.get("assistant_id")) or None,
        session_id=thread_id,
        created_at=parse_time(run.get("created_at")),
        finished_at=parse_time(run.get("updated_at")) if status in _FINAL else None,
        output=end.output if isinstance(end, RunFinished) else None,
        error=end.message if isinstance(end, RunFailed) else None,
        raw=run,
    )


def read_assistant(row: Mapping[str, Any]) -> AgentInfo:
    """Return an assistant; the one that the server made of a graph has the graph's name."""
    is_default = as_object(row.get("metadata")).get("created_by") == "system"
    return AgentInfo(
        id=as_text(row.get("graph_id") if is_default else row.get("assistant_id")),
        name=as_text(row.get("name")) or None,
        description=as_text(row.get("description")) or None,
        raw=row,
    )
