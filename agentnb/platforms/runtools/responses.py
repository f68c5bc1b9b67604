"""Read RunTools's JSON responses and headers.

Nothing here raises: what cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from agentnb.platforms._payloads import as_object
from agentnb.platforms._statuses import read_status
from agentnb.platforms._wire import mend
from agentnb.platforms.base import AgentInfo, RemoteRun
from agentnb.platforms.generic.rows import read_agent, read_run, row_text

__all__ = ["agent_info", "header_ids", "is_json", "remote_run"]

_RUN: Final = {
    "id": "runId id run_id",
    "agent": "agent agentSlug agentName agentId",
    "session_id": "threadId thread_id",
    "created_at": "createdAt created_at",
    "started_at": "startedAt started_at",
    "updated_at": "updatedAt updated_at",
    "finished_at": "completedAt finishedAt endedAt completed_at",
    "model": "model",
    "output": "result output",
    "error": "error",
}
# Runs refer to an agent by its slug, if it has one.
_AGENT: Final = {"id": "slug id agentId name", "name": "name displayName", "model": "model"}


def remote_run(row: Mapping[str, Any]) -> RemoteRun | None:
    """Return one entry of the list of runs; None if it has no id."""
    run = read_run(row, _RUN, read_status=read_status)
    agent = as_object(row.get("agent"))
    return replace(run, agent=row_text(agent, "slug name id")) if run and agent else run


def agent_info(row: Mapping[str, Any]) -> AgentInfo | None:
    """Return one entry of the list of agents; None if it has no id."""
    return read_agent(row, _AGENT)


def header_ids(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the ids of a run and its thread."""
    run_id, thread_id = (headers.get(name, "") for name in ("x-run-id", "x-thread-id"))
    return mend(run_id) or None, mend(thread_id) or None


def is_json(headers: Mapping[str, str]) -> bool:
    """Return whether the body of a response is JSON."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
