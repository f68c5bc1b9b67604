"""Waiting for what others bring about, for long enough even where the machine stands still."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

__all__ = ["LONG", "PAUSE", "looks"]

LONG: Final = 20.0
#: Between two looks, in seconds.
PAUSE: Final = 0.005
# What takes longer than this is a machine that did nothing else either.
_STANDSTILL: Final = 0.5


def looks(seconds: float = LONG) -> Iterator[float]:
    """Yield how long was waited so far, as long as that is less than ``seconds``.

    Of the time between two looks half a second counts at most: a machine that is busy with others
    may stand still for longer than any test would wait.
    """
    waited, last = 0.0, time.monotonic()
    while waited < seconds:
        yield waited
        now = time.monotonic()
        waited += min(now - last, _STANDSTILL)
        last = now
