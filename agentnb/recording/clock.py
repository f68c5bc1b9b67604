"""The time of a run: seconds since it was sent, measured, or as they were recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from agentnb.event.types import Event


class Clock:
    """The clock of one run; ``now`` is the time that it measures, in seconds.

    It measures from `start` on, unless played batches set it, so that a played run has exactly the
    times of the recorded one, however fast it is played.
    """

    __slots__ = ("_now", "_position", "sent_at")

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        #: When the run was sent, by the wall clock.
        self.sent_at = datetime.now(UTC)
        self._now = now
        # The seconds when it was set, when that was, and its rate; one value, since any thread may
        # read it.
        self._position = (0.0, 0.0, 0.0)

    def start(self) -> None:
        """Measure real time from now on."""
        self.set(0.0, rate=1.0)

    def set(self, seconds: float, *, rate: float = 0.0) -> None:
        """Set the seconds since sending, and continue at ``rate`` times real time."""
        self._position = (seconds, self._now(), rate)

    def now(self) -> float:
        """Return the seconds since sending, 0 before it."""
        seconds, since, rate = self._position
        return seconds + (self._now() - since) * rate if rate else seconds


class PlayedBatch(list[Event]):
    """A batch of a recorded run, with its original time.

    ``at`` is when it arrived, in seconds since the run was sent; ``rate`` is how fast the clock
    continues from there.  An empty batch only sets the clock.  The first batch has ``sent_at`` and
    ``run_id``, the recorded run's.
    """

    def __init__(
        self,
        events: Iterable[Event] = (),
        *,
        at: float,
        rate: float = 0.0,
        sent_at: datetime | None = None,
        run_id: str | None = None,
    ) -> None:
        super().__init__(events)
        self.at = at
        self.rate = rate
        self.sent_at = sent_at
        self.run_id = run_id
