"""`wait`: wait until several runs have ended, local or remote."""

from __future__ import annotations

import asyncio
from typing import Any

from agentnb.agents import Agent
from agentnb.errors import RunCancelledError, RunFailedError, RunTruncatedError
from agentnb.monitoring import Watch, WatchedRun
from agentnb.run.run import Run


async def wait(
    runs: Any,
    *,
    timeout: float | None = None,
    check: bool = False,
    agent: str | Agent | None = None,
    interval: float = 3.0,
    max_interval: float = 30.0,
) -> list[Run | WatchedRun]:
    """Wait, on any event loop, until every run has ended or is paused; return them.

    ``runs`` are as for `agentnb.monitoring.Watch`; ids that neither this process nor the history
    knows belong to ``agent``.  They are returned in the same order without duplicates: a run of
    this process as itself, or as the run that continues it after a decision, another as a
    `WatchedRun`.  ``timeout`` is in seconds.  Cancelling the wait does not cancel the runs.

    Raises:
        RunError: ``check`` is true, and a run did not complete: the first such, once all ended.
            Its ``run`` is the one that would have been returned.
        TimeoutError: some runs have not ended.
    """
    watch = Watch(runs, agent=agent, interval=interval, max_interval=max_interval)
    try:
        async with asyncio.timeout(timeout):
            await watch.wait(settled=True)
    except TimeoutError:
        rows = watch.rows()
        active = sum(not row.settled for row in rows)
        raise TimeoutError(f"{active} of {len(rows)} runs go on after {timeout:g} s.") from None
    finally:
        watch.stop()
    results = watch.results()
    if check:
        for result in results:
            _check(result)
    return results


def _check(result: Run | WatchedRun) -> None:
    if isinstance(result, Run):
        result.raise_for_status()
    elif result.status not in ("completed", "paused"):
        # No Run exists here, and the state is all that is known of it.
        known: Any = result
        reason = result.error or f"It is {result.status}."
        kinds = {"cancelled": RunCancelledError, "truncated": RunTruncatedError}
        kind = kinds.get(result.status, RunFailedError)
        text = f"The run {result.run_id} of {result.title} did not complete: {reason}"
        raise kind(text, run=known)
