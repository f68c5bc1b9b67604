"""Which idle connections are closed, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["KEEPALIVE_SECONDS", "SPARE_SECONDS", "expired"]

#: How long the connection that was used last is kept: between two cells a reader reads.
KEEPALIVE_SECONDS: Final = 60.0
#: How long the others are kept, which only serve requests at the same time.
SPARE_SECONDS: Final = 2.0


def expired(idle_since: Sequence[float], now: float) -> tuple[int, float | None]:
    """Return how many of the connections to close, the longest idle first, and when to look again.

    ``idle_since`` is ascending.  None: there is nothing left to look at.
    """
    count = 0
    for position, since in enumerate(idle_since, 1):
        kept = KEEPALIVE_SECONDS if position == len(idle_since) else SPARE_SECONDS
        if since + kept > now:
            return count, since + kept
        count += 1
    return count, None
