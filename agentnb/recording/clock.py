"""What tells a run's time: seconds since it was sent, measured, or as they were once recorded."""

from __future__ import annotations

import time
from contextvars import ContextVar
from datetime import UTC, datetime

__all__ = ["Clock", "current_clock"]


class Clock:
    """The clock of one run.

    It measures by a monotonic clock from `begin` on, until a source that plays recorded events
    sets it, so that a run that is played has exactly the times of the recorded one, however quickly
    it is played.
    """

    __slots__ = ("_hand", "played_id", "sent_at")

    def __init__(self) -> None:
        #: When the run was sent, by the wall clock.
        self.sent_at = datetime.now(UTC)
        #: The id of the recorded run whose times these are, where one is played.
        self.played_id: str | None = None
        # Where it was set, when, and how fast it goes; one value, since any thread may read it.
        self._hand = (0.0, 0.0, 0.0)

    def begin(self) -> None:
        """Begin to measure."""
        self.set(0.0, rate=1.0)

    def set(self, seconds: float, *, rate: float = 0.0) -> None:
        """Stand at ``seconds`` since sending; or go on from there, at ``rate`` times real time."""
        self._hand = (seconds, time.monotonic(), rate)

    def now(self) -> float:
        """Return the seconds since sending, 0 before it."""
        seconds, since, rate = self._hand
        return seconds + (time.monotonic() - since) * rate if rate else seconds

    def make_current(self) -> None:
        """Make it the one that `current_clock` gives to whatever this task calls from here on."""
        _current.set(self)


_current: ContextVar[Clock | None] = ContextVar("agentnb_clock", default=None)


def current_clock() -> Clock | None:
    """Return the clock of the run whose source is asked for events here; None outside of one.

    The interface of a platform knows events without times.  This is how one that plays a recorded
    run back tells when they had arrived.
    """
    return _current.get()
