"""The time that polling goes by."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

__all__ = ["PollingClock"]


class PollingClock:
    """Real time; a test may bring one of its own."""

    def now(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float, wake: asyncio.Event) -> None:
        """Wait so long, or until ``wake`` is set."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wake.wait()
