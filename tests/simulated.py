"""Time that passes as fast as it is slept through."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from agentnb.monitoring.polling import PollingClock


class SimulatedTime(PollingClock):
    """Ends after ``end`` seconds: who sleeps past that sleeps for ever.

    ``over`` is set then; ``pauses`` are those that were slept, in seconds.
    """

    def __init__(self, end: float) -> None:
        self.end = end
        self.passed = 0.0
        self.pauses: list[float] = []
        self.over = threading.Event()

    def now(self) -> float:
        return self.passed

    async def sleep(self, seconds: float, wake: asyncio.Event) -> None:
        self.pauses.append(seconds)
        self.passed += seconds
        if self.passed >= self.end:
            self.over.set()
            await wake.wait()
        # Others have their turn.
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds, at most some 20 seconds."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")
