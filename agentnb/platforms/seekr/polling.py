"""Waiting for the end of a run that nobody streams."""

from __future__ import annotations

import asyncio
from typing import Final

from agentnb._http import current_terms
from agentnb.errors import DeadlineError
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.responses import is_over
from agentnb.platforms.seekr.wire import Run

__all__ = ["ended"]

# How often to look whether a run in the background is over, in seconds: at first, and at most.
_POLL: Final = (0.25, 3.0)


async def ended(api: SeekrApi, thread_id: str, run_id: str, *, total: float | None) -> Run:
    """Return a run when it is over.

    ``total`` is how long to wait at most, in seconds, where nobody has set terms for this call.

    Raises:
        DeadlineError: it was not over in that time.
    """
    if current_terms().deadlines is not None:
        total = None  # whoever set them counts
    bound = asyncio.timeout(total)
    try:
        async with bound:
            pause, longest = _POLL
            while not is_over(run := await api.run(thread_id, run_id)):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, longest)
            return run
    except TimeoutError:
        if total is None or not bound.expired():
            raise
        raise DeadlineError(
            f"{api.name} did not finish the run within {total:g} s.",
            deadline="total",
            seconds=total,
        ) from None
