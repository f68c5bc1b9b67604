"""`wait`: until several runs have ended, wherever they go on."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from agentnb.agents import Agent
from agentnb.errors import RunCancelledError, RunFailedError, RunTruncatedError
from agentnb.monitoring import Watch, WatchedRun
from agentnb.run.run import Run

__all__ = ["wait"]

# How often a waiting loop looks up, in seconds: Ctrl-C does not wake it everywhere.
_TICK: Final = 0.1


async def wait(
    runs: Any,
    *,
    timeout: float | None = None,
    check: bool = False,
    agent: str | Agent | None = None,
    interval: float = 3.0,
    max_interval: float = 30.0,
) -> list[Run | WatchedRun]:
    """Wait, on any event loop, until every run has ended or waits for a decision; return them.

    ``runs`` are those of `agentnb.monitoring.Watch`: runs, tables of runs, and what names runs of
    platforms; bare ids that neither this process nor the history knows are ``agent``'s.  They come
    back in the order they were given, each once, a run of this process as itself (or as the run
    that took its place after a decision), another as a `WatchedRun`.  ``timeout`` is in seconds.
    The waiting does not own the runs: when it is cancelled they go on.

    Raises:
        RunError: ``check`` is true, and a run did not complete; of the first such, after all ended.
            Its ``run`` is what would have been returned.
        TimeoutError: some go on still.
    """
    watch = Watch(runs, agent=agent, interval=interval, max_interval=max_interval)
    try:
        async with asyncio.timeout(timeout):
            await _settled(watch)
    except TimeoutError:
        rows = watch.rows()
        going = sum(not row.settled for row in rows)
        raise TimeoutError(f"{going} of {len(rows)} runs go on after {timeout:g} s.") from None
    finally:
        watch.stop()
    results = watch.results()
    if check:
        for result in results:
            _check(result)
    return results


async def _settled(watch: Watch) -> None:
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def told() -> None:
        # The loop of who waits may be closed by the time that somebody tells it something.
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    unsubscribe = watch.subscribe(told)
    try:
        watch.start()
        while not (watch.done or (watch.listed and all(row.settled for row in watch.rows()))):
            news.clear()
            try:
                # A loop that sleeps in select() does not see a signal whose handler is in Python.
                async with asyncio.timeout(_TICK):
                    await news.wait()
            except TimeoutError:
                continue
    finally:
        unsubscribe()


def _check(result: Run | WatchedRun) -> None:
    if isinstance(result, Run):
        result.raise_for_status()
    elif result.status not in ("completed", "paused"):
        # It holds no answer, yet it is all that is known of the run here.
        known: Any = result
        why = result.error or f"It is {result.status}."
        kinds = {"cancelled": RunCancelledError, "truncated": RunTruncatedError}
        error = kinds.get(result.status, RunFailedError)
        raise error(f"The run {result.run_id} of {result.title} did not complete: {why}", run=known)
