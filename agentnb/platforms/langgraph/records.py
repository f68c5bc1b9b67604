"""Read what a server keeps: runs, threads and their states, and assistants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentnb.event import ApprovalRequested, Event, RunCancelled, RunFailed, RunFinished
from agentnb.platforms.langgraph.wire import as_items, as_object
from agentnb.plugin import AgentInfo, RemoteRun, as_text, parse_time, quote_segment, read_status

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


def thread_path(thread_id: str) -> str:
    """Return the path of a thread."""
    return f"/threads/{quote_segment(thread_id)}"


def run_path(thread_id: str, run_id: str) -> str:
    """Return the path of a run."""
    return f"{thread_path(thread_id)}/runs/{quote_segment(run_id)}"
