"""Play recorded events again, at the pace at which they arrived or faster."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime
from itertools import groupby

from agentnb.errors import RequestError
from agentnb.event.types import TERMINAL_EVENTS, ApprovalRequested, Event
from agentnb.recording.clock import PlayedBatch


def validate_speed(speed: float) -> float:
    """Return the speed of a playback as a multiple of real time; infinity for 0: no waiting.

    Raises:
        RequestError: it is negative or not a number.
    """
    # Callers may not check types.
    is_number = isinstance(speed, int | float) and not isinstance(speed, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not is_number or math.isnan(speed) or speed < 0:
        raise RequestError(
            f"A speed is a number from 0 on, not {speed!r}.",
            hint="2 is twice as fast as it was; 0, or infinity, is at once.",
        )
    return speed or math.inf


async def play(
    events: Sequence[Event],
    times: Sequence[float],
    *,
    sent_at: datetime,
    run_id: str | None,
    speed: float = math.inf,
    duration: float | None = None,
    on_approval: Callable[[ApprovalRequested], Awaitable[None]] | None = None,
) -> AsyncGenerator[PlayedBatch, None]:
    """Yield ``events`` in their recorded batches, with their ``times``.

    ``sent_at`` and ``run_id`` are the recorded run's, ``duration`` is the last time.  ``speed`` is
    as `validate_speed` returns it.  ``on_approval`` is awaited after each requested approval.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    rate = 0.0 if math.isinf(speed) else speed
    ended = False
    yield PlayedBatch(at=0.0, rate=rate, sent_at=sent_at, run_id=run_id)
    for at, group in groupby(zip(events, times, strict=True), key=lambda pair: pair[1]):
        # Events after the terminal one are part of the end and need no waiting.
        if not ended and rate and (delay := start + at / rate - loop.time()) > 0:
            await asyncio.sleep(delay)
        batch = PlayedBatch((event for event, _ in group), at=at)
        approvals = [event for event in batch if isinstance(event, ApprovalRequested)]
        ended = ended or any(isinstance(event, TERMINAL_EVENTS) for event in batch)
        if not ended and (on_approval is None or not approvals):
            batch.rate = rate
        yield batch
        if on_approval is not None and approvals:
            paused = loop.time()
            for approval in approvals:
                await on_approval(approval)
            start += loop.time() - paused
            if not ended:
                yield PlayedBatch(at=at, rate=rate)
    if duration is not None:
        yield PlayedBatch(at=duration)
