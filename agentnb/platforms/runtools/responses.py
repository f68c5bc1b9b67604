"""Read RunTools's JSON responses: runs, agents and recorded events.

Nothing here raises: what cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agentnb.event.transcript import FINAL_STATUSES
from agentnb.platforms._bodies import parse_error_body, parse_time
from agentnb.platforms._payloads import read_status
from agentnb.platforms._wire import as_text, mend
from agentnb.platforms.base import AgentInfo, RemoteRun

__all__ = ["agent_info", "read_rows", "remote_run"]


def read_rows(data: Any, *names: str) -> list[dict[str, Any]]:
    """Return the entries of a list, bare or in an envelope: ``data``, or one of ``names``."""
    for _ in range(2):
        if isinstance(data, dict):
            outer = cast("dict[str, Any]", data)
            data = next((outer[key] for key in ("data", *names) if key in outer), None)
    if not isinstance(data, list):
        return []
    rows = cast("list[Any]", data)
    return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]


def remote_run(row: Mapping[str, Any]) -> RemoteRun | None:
    """Return one entry of the list of runs; None if it has no id."""
    run_id = _text(row, "runId", "id", "run_id")
    if run_id is None:
        return None
    finished = parse_time(_any(row, "completedAt", "finishedAt", "endedAt", "completed_at"))
    status = read_status(row.get("status"), ended=finished is not None)
    error = row.get("error")
    if finished is None and status in FINAL_STATUSES:
        finished = parse_time(_any(row, "updatedAt", "updated_at"))
    agent = row.get("agent")
    return RemoteRun(
        id=run_id,
        status=status,
        agent=_text(cast("dict[str, Any]", agent), "slug", "name", "id")
        if isinstance(agent, dict)
        else _text(row, "agent", "agentSlug", "agentName", "agentId"),
        session_id=_text(row, "threadId", "thread_id"),
        created_at=parse_time(_any(row, "createdAt", "created_at")),
        started_at=parse_time(_any(row, "startedAt", "started_at")),
        finished_at=finished,
        model=_text(row, "model"),
        output=as_text(_any(row, "result", "output")) or None,
        error=(parse_error_body(0, error).message or as_text(error) or None) if error else None,
        raw=row,
    )


def agent_info(row: Mapping[str, Any]) -> AgentInfo | None:
    """Return one entry of the list of agents; None if it has no id.

    Runs refer to an agent by its slug, if it has one.
    """
    agent_id = _text(row, "slug", "id", "agentId", "name")
    if agent_id is None:
        return None
    return AgentInfo(
        id=agent_id,
        name=_text(row, "name", "displayName"),
        description=_text(row, "description"),
        model=_text(row, "model"),
        raw=row,
    )


def _any(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _text(row: Mapping[str, Any], *names: str) -> str | None:
    value = _any(row, *names)
    if isinstance(value, str):
        return mend(value) or None
    return as_text(value) or None if isinstance(value, int) else None
