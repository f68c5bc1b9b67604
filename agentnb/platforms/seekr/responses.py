"""Convert SeekrFlow's records of runs and agents, and poll runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from agentnb._http import current_options
from agentnb.errors import DeadlineError, NotFoundError
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.event.types import (
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms._payloads import as_object, is_status, read_status
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import as_text
from agentnb.platforms.base import AgentInfo, RemoteRun
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.wire import AgentEntry, Run, StartedRun

_NO_USAGE: Final = (Usage(input_tokens=0, output_tokens=0, total_tokens=0), Usage(total_tokens=0))
# First and longest interval between polls of a run in the background, in seconds.
_POLL_INTERVALS: Final = (0.25, 3.0)
# Runs listed at once to find several of them.
_LISTED: Final = 100


def _status(run: Run) -> Status:
    """Return the status of a run; an unknown one is derived from the run's times."""
    if is_status(run.status):
        return read_status(run.status)
    if (run.status or "").lower() == "requires_action":
        return "paused"
    if run.completed_at is not None:
        return "completed"
    if run.failed_at is not None:
        return "failed"
    if run.cancelled_at is not None:
        return "cancelled"
    return "queued" if run.started_at is None and not run.is_active else "running"


def is_over(run: Run) -> bool:
    """Return whether a run has ended, in whatever way."""
    return _status(run) in FINAL_STATUSES


def remote_run(run: Run) -> RemoteRun:
    """Convert a listed run; ``raw`` holds all of its fields."""
    return RemoteRun(
        id=run.id,
        status=_status(run),
        agent=run.agent_id,
        session_id=run.thread_id,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.completed_at or run.failed_at or run.cancelled_at,
        model=run.model,
        error=_error(run),
        raw=run.raw,
    )


def started_run(started: StartedRun, *, thread_id: str, agent: str) -> RemoteRun:
    """Convert the response to a run started in the background."""
    return RemoteRun(
        id=started.run_id,
        status=_status(Run(id=started.run_id, status=started.status or "queued")),
        agent=agent,
        session_id=started.thread_id or thread_id,
        raw=started.raw,
    )


def _error(run: Run) -> str | None:
    # The API page has no field for errors; similar APIs do.
    for name in ("error", "last_error"):
        value = run.raw.get(name)
        if error := as_object(value).get("message") if isinstance(value, dict) else value:
            return as_text(error)
    return None


def usage_event(run: Run) -> UsageReported | None:
    """Return the usage that a run reports; all zeros count as none."""
    usage = read_usage(run.raw.get("usage"))
    if usage is None or usage in _NO_USAGE:
        return None
    return UsageReported(usage=usage, model=run.model)


def duration_of(run: Run) -> float | None:
    """Return how long a run took by the platform's clock, in seconds."""
    if run.started_at is None or run.completed_at is None:
        return None
    return max(0.0, (run.completed_at - run.started_at).total_seconds())


def record_events(run: Run, thread_id: str, *, agent: str | None = None) -> list[Event]:
    """Return what the record of a run says besides its answer and its end."""
    usage = usage_event(run)
    started = RunStarted(run_id=run.id, session_id=thread_id, agent=agent, model=run.model)
    return [started, *([usage] if usage else [])]


def final_event(run: Run) -> Event:
    """Return the terminal event of a run that is over."""
    match _status(run):
        case "failed":
            return RunFailed(message=_error(run) or f"{run.id} failed on the platform.")
        case "cancelled":
            return RunCancelled(reason="cancelled on the platform")
        case _:
            return RunFinished(duration=duration_of(run))


def agent_info(entry: AgentEntry) -> AgentInfo:
    """Convert a listed agent."""
    return AgentInfo(
        id=entry.id,
        name=entry.name,
        description=entry.description or entry.instructions,
        model=entry.model,
        raw=entry.raw,
    )


async def wait_for_end(api: SeekrApi, thread_id: str, run_id: str, *, total: float | None) -> Run:
    """Poll a run until it is over.

    ``total`` is the longest wait in seconds, unless the call has deadlines of its own.

    Raises:
        DeadlineError: the run was not over in that time.
    """
    if current_options().deadlines is not None:
        total = None  # the caller enforces its deadlines
    bound = asyncio.timeout(total)
    try:
        async with bound:
            interval, longest = _POLL_INTERVALS
            while not is_over(run := await api.run(thread_id, run_id)):
                await asyncio.sleep(interval)
                interval = min(interval * 1.5, longest)
            return run
    except TimeoutError:
        if total is None or not bound.expired():
            raise
        raise DeadlineError(
            f"{api.name} did not finish the run within {total:g} s.",
            deadline="total",
            seconds=total,
        ) from None


async def fetch_runs(
    slots: asyncio.Semaphore, api: SeekrApi, thread_id: str, run_ids: Sequence[str]
) -> list[Run]:
    """Return the runs of a thread that exist, from its list where possible."""
    runs: dict[str, Run] = {}
    if len(run_ids) > 1:
        async with slots:
            try:
                listed = await api.list_runs(thread_id, limit=_LISTED)
            except NotFoundError:
                listed = None
        runs = {run.id: run for run in listed or () if run.id in run_ids}
        if listed is not None and api.run_pages.is_last(len(listed), _LISTED):
            return list(runs.values())

    async def fetch(run_id: str) -> Run | None:
        async with slots:
            try:
                return await api.run(thread_id, run_id)
            except NotFoundError:
                return None

    others = await asyncio.gather(*(fetch(run_id) for run_id in run_ids if run_id not in runs))
    return [*runs.values(), *(run for run in others if run is not None)]
