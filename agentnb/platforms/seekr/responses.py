"""What agentnb makes of SeekrFlow's records of runs and agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.event.types import Event, RunCancelled, RunFailed, RunFinished, Usage, UsageReported
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import as_text
from agentnb.platforms.base import AgentInfo, RemoteRun
from agentnb.platforms.seekr.wire import AgentEntry, Run, RunAnswer

__all__ = [
    "agent_info",
    "duration_of",
    "final_event",
    "is_over",
    "remote_run",
    "started_run",
    "status_of",
    "usage_event",
]

_STATUSES: Final[dict[str, Status]] = {
    "queued": "queued",
    "running": "running",
    "in_progress": "running",
    "requires_action": "paused",
    "completed": "completed",
    "failed": "failed",
    "expired": "failed",
    "canceled": "cancelled",
    "cancelled": "cancelled",
}


def status_of(run: Run) -> Status:
    """Return a run's status; one that is not known is read from the run's times."""
    known = _STATUSES.get((run.status or "").lower())
    if known is not None:
        return known
    if run.completed_at is not None:
        return "completed"
    if run.failed_at is not None:
        return "failed"
    if run.cancelled_at is not None:
        return "cancelled"
    return "queued" if run.started_at is None and not run.is_active else "running"


def is_over(run: Run) -> bool:
    """Tell whether a run has ended, however."""
    return status_of(run) in FINAL_STATUSES


def remote_run(run: Run) -> RemoteRun:
    """Return a run as agentnb lists it; ``raw`` holds every field as it came."""
    return RemoteRun(
        id=run.id,
        status=status_of(run),
        agent=run.agent_id,
        session_id=run.thread_id,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.completed_at or run.failed_at or run.cancelled_at,
        model=run.model,
        error=_error_of(run),
        raw=run.raw,
    )


def started_run(answer: RunAnswer, *, thread_id: str, agent: str) -> RemoteRun:
    """Return a run that was just started in the background."""
    run = Run(id=answer.run_id, status=answer.status or "queued")
    return RemoteRun(
        id=answer.run_id,
        status=status_of(run),
        agent=agent,
        session_id=answer.thread_id or thread_id,
        raw=answer.raw,
    )


def _error_of(run: Run) -> str | None:
    # The API page has no field for it; other versions of such APIs do.
    for name in ("error", "last_error"):
        said = run.raw.get(name)
        if isinstance(said, Mapping):
            said = cast("Mapping[str, Any]", said).get("message")
        if said:
            return as_text(said)
    return None


def usage_event(run: Run) -> UsageReported | None:
    """Return what a run reports as usage; zeros all through are not a report."""
    usage = read_usage(run.raw.get("usage"))
    if usage is None or usage in (
        Usage(input_tokens=0, output_tokens=0, total_tokens=0),
        Usage(total_tokens=0),
    ):
        return None
    return UsageReported(usage=usage, model=run.model)


def duration_of(run: Run) -> float | None:
    """Return how long a run took by the platform's own clock, in seconds."""
    if run.started_at is None or run.completed_at is None:
        return None
    return max(0.0, (run.completed_at - run.started_at).total_seconds())


def final_event(run: Run) -> Event:
    """Return the terminal event of a run that is over."""
    match status_of(run):
        case "failed":
            return RunFailed(message=_error_of(run) or f"{run.id} failed on the platform.")
        case "cancelled":
            return RunCancelled(reason="cancelled on the platform")
        case _:
            return RunFinished(duration=duration_of(run))


def agent_info(entry: AgentEntry) -> AgentInfo:
    """Return an agent as agentnb lists it."""
    return AgentInfo(
        id=entry.id,
        name=entry.name,
        description=entry.description or entry.instructions,
        model=entry.model,
        raw=entry.raw,
    )
