"""Recorded events, played again at the pace at which they had come, or quicker."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from itertools import groupby

from agentnb.errors import RequestError
from agentnb.event.types import TERMINAL_EVENTS, ApprovalRequested, Event
from agentnb.recording.clock import Clock, current_clock

__all__ = ["checked_speed", "play"]


def checked_speed(speed: float) -> float:
    """Return how many times as fast as recorded to play; infinity, also for 0, is at once.

    Raises:
        RequestError: it is negative or no number.
    """
    # Callers without types are told, too.
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
    speed: float = math.inf,
    duration: float | None = None,
    wait_to_go_on: Callable[[ApprovalRequested], Awaitable[None]] | None = None,
) -> AsyncGenerator[list[Event], None]:
    """Yield ``events`` in the batches in which they had come, and set the run's clock to ``times``.

    ``speed`` is as `checked_speed` returns it.  ``duration`` is where the clock is left.
    ``wait_to_go_on``, where given, is awaited after each approval that was asked for.
    """
    clock = current_clock() or Clock()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    over = False
    clock.set(0.0, rate=_rate(speed))
    for at, batch in groupby(zip(events, times, strict=True), key=lambda pair: pair[1]):
        # What came after the end belongs to it, and nobody would wait for it.
        if not over and not math.isinf(speed) and (left := begun + at / speed - loop.time()) > 0:
            await asyncio.sleep(left)
        clock.set(at)
        arrived = [event for event, _ in batch]
        yield arrived
        over = over or any(isinstance(event, TERMINAL_EVENTS) for event in arrived)
        for event in arrived:
            if wait_to_go_on is not None and isinstance(event, ApprovalRequested):
                waited = loop.time()
                await wait_to_go_on(event)
                begun += loop.time() - waited
        if not over:
            # Until the next batch it shows how far the play has come.
            clock.set(at, rate=_rate(speed))
    if duration is not None:
        clock.set(duration)


def _rate(speed: float) -> float:
    return 0.0 if math.isinf(speed) else speed
