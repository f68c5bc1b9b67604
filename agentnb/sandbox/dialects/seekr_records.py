"""SeekrFlow's JSON objects: threads, messages, runs and agents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, Field

from agentnb.event.transcript import Passage, Status, ToolCall
from agentnb.sandbox.dialects.base import json_or_text, usage_fields, utc
from agentnb.sandbox.registry import RegisteredAgent
from agentnb.sandbox.state import SandboxRun, SandboxSession, SessionMessage

_STATUSES: Final[dict[Status, str]] = {
    "queued": "queued",
    "running": "running",
    "paused": "running",
    "completed": "completed",
    "cancelled": "cancelled",
}
_TOKENS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
# Stands for the unknown creation time of a function.
_CREATED: Final = utc(datetime(2026, 1, 1, tzinfo=UTC), milliseconds=True)


class SeekrModelSettings(BaseModel):
    """Model settings of a run."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1
    top_p: Annotated[float, Field(ge=0, le=1)] = 1
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0
    max_tokens: int | None = None


def run_status(run: SandboxRun) -> str:
    """Return the platform's name of a run's status."""
    return _STATUSES.get(run.status, "failed")


def thread_record(session: SandboxSession) -> dict[str, Any]:
    """Return a session as a thread."""
    active = session.active[-1].id if session.active else None
    return {
        "id": session.id,
        "object": "thread",
        "created_at": utc(session.created_at, milliseconds=True),
        "status": "available" if active is None else "locked",
        "active_run_id": active,
        "meta_data": session.details.get("meta_data", {}),
    }


def message_record(
    message: SessionMessage, session: SandboxSession, *, text_only: bool = False
) -> dict[str, Any]:
    """Return a message of a thread; ``text_only`` leaves out reasoning and tool calls."""
    run = message.run
    return {
        "id": message.id,
        "object": "thread.message",
        "thread_id": session.id,
        "role": message.role,
        "content": message.content if run is None else _parts(run, text_only=text_only),
        "agent_id": None if run is None else run.details["agent_id"],
        "run_id": None if run is None else run.id,
        "meta_data": message.details.get("meta_data", {}),
        "created_at": utc(message.created_at, milliseconds=True),
    }


def _parts(run: SandboxRun, *, text_only: bool) -> list[dict[str, Any]]:
    """Return an answer as the parts of a message's content."""
    parts: list[dict[str, Any]] = []
    for part in run.transcript.parts:
        if isinstance(part, Passage) and part.kind == "text":
            parts.append({"type": "output_text", "text": str(part.text), "annotations": []})
        elif text_only:
            continue
        elif isinstance(part, Passage):
            parts.append({"type": part.kind, "text": str(part.text)})
        elif isinstance(part, ToolCall):
            call = {"toolCallId": part.call_id, "toolName": part.name}
            parts.append({"type": "tool-call", **call, "args": json_or_text(part.arguments)})
            if part.error is not None:
                parts.append({"type": "tool-error", **call, "error": part.error})
            elif part.status == "completed":
                result = json_or_text(part.result)
                parts.append({"type": "tool-result", **call, "result": result})
    return parts


def agent_record(agent: RegisteredAgent) -> dict[str, Any]:
    """Return an agent with every field that the vendor's client requires."""
    return {
        "id": agent.name,
        "name": agent.name,
        "description": agent.description,
        "instructions": agent.description,
        "status": "Active",
        "model_id": agent.model,
        "planner_model_id": None,
        "tool_model_id": None,
        "output": None,
        "user_id": "sandbox",
        "team_id": None,
        "tools": [],
        "created_at": _CREATED,
        "updated_at": _CREATED,
        "last_deployed_at": _CREATED,
        "active_duration": 0,
        "reasoning_effort": "medium",
        "temperature": None,
        "planner_temperature": None,
    }


def run_record(run: SandboxRun) -> dict[str, Any]:
    """Return a run, with every field of the API page."""
    settings = cast("SeekrModelSettings", run.details["settings"])
    tools = dict.fromkeys(call.name for call in run.transcript.tool_calls)
    ended = utc(run.finished_at, milliseconds=True)
    status = run_status(run)
    return {
        "id": run.id,
        "created_at": utc(run.created_at, milliseconds=True),
        "agent_id": run.details["agent_id"],
        "thread_id": run.session.id,
        "status": status,
        "model": run.transcript.model or run.agent.model,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "parallel_tool_calls": False,
        "object": "thread.run",
        "is_active": not run.is_final,
        "started_at": utc(run.started_at, milliseconds=True),
        "expires_at": None,
        "cancelled_at": ended if status == "cancelled" else None,
        "failed_at": ended if status == "failed" else None,
        "completed_at": ended if status == "completed" else None,
        "instructions": run.agent.description or None,
        "tools": [{"type": "function", "name": name} for name in tools],
        "meta_data": run.details["metadata"],
        "usage": dict.fromkeys(_TOKENS, 0) | usage_fields(run, *_TOKENS),
        "max_completion_tokens": settings.max_tokens,
        "truncation_strategy": {},
        "response_format": run.details["response_format"],
        "tool_choice": "auto",
    }
