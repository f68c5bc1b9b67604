"""Rate limiter that all rows of a map share; used on one event loop only."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

# Growth of the concurrency with each success, at least by one in a round: from half of 256 back to
# all in about 2,500 rows.
_GROWTH: Final = 0.05
# Seconds of the event loop's lateness that evenly spaced starts may make up for.
_MAX_CREDIT: Final = 0.05


class RateLimiterClosedError(Exception):
    """The map ends, and no row may start any more."""


class SharedBackoff(Protocol):
    """Backoff that an attempt shares with all other rows; on the event loop."""

    def report_refusal(self, seconds: float) -> None:
        """Start no row for ``seconds``: the platform refused a request."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait for ``seconds``, and on until the row may continue."""
        ...


class Slot:
    """One of the rows that run at once; created by `RateLimiter.slot`."""

    __slots__ = ("_is_held", "_limiter", "_round")

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._is_held = False
        # Refusals of rows that started in the same round halve the limit once.
        self._round = 0

    async def acquire(self) -> None:
        """Wait until the row may start.

        Raises:
            RateLimiterClosedError: the limiter was closed.
        """
        await self._limiter.acquire()
        self._is_held = True
        self._round = self._limiter.round

    def release(self) -> None:
        """Let another row start; does nothing if the slot is not held."""
        if self._is_held:
            self._is_held = False
            self._limiter.release()

    def report_success(self) -> None:
        """Let a few more rows run at once."""
        self._limiter.report_success()

    def report_refusal(self, seconds: float) -> None:
        """Start no row for ``seconds``, and let fewer run at once."""
        self._limiter.report_refusal(seconds, self._round)

    async def pause(self, seconds: float) -> None:
        """Wait for ``seconds`` without the slot, then acquire it again."""
        self.release()
        await self._limiter.sleep(seconds)
        await self.acquire()


class RateLimiter:
    """Lets at most ``concurrency`` rows run at once, first come first served.

    ``rpm`` bounds the starts per minute, evenly spaced.  When the platform refuses a row, none
    starts for the requested delay, and half as many run at once from then on; the limit grows again
    with each success.
    """

    def __init__(
        self,
        concurrency: int,
        *,
        rpm: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: Rows that may run at once now.
        self.limit = float(concurrency)
        self.round = 0
        self._max_limit = float(concurrency)
        self._interval = 60.0 / rpm if rpm else 0.0
        self._clock = clock
        self._running = 0
        self._opens_at = 0.0
        self._next_start = 0.0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._sleepers: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def running(self) -> int:
        """The number of rows that hold a slot."""
        return self._running

    @property
    def closed_for(self) -> float:
        """Seconds until rows may start after a refusal, 0 without one."""
        return max(0.0, self._opens_at - self._clock())

    def slot(self) -> Slot:
        """Return a slot to be acquired."""
        return Slot(self)

    async def acquire(self) -> None:
        """Wait for a slot and take it."""
        if self._is_closed:
            raise RateLimiterClosedError
        if not self._waiters and self._try_start(credit=0.0):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        self._start_waiters()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                # Cancelled just after the slot was taken.
                self.release()
            raise

    def release(self) -> None:
        """Return a slot."""
        self._running -= 1
        self._start_waiters()

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``.

        Raises:
            RateLimiterClosedError: the limiter is closed, or is meanwhile.
        """
        future = asyncio.get_running_loop().create_future()
        self._sleepers.add(future)
        try:
            if not self._is_closed:
                await asyncio.wait({future}, timeout=seconds)
        finally:
            self._sleepers.discard(future)
        if self._is_closed:
            raise RateLimiterClosedError

    def report_success(self) -> None:
        """Let a few more rows run at once."""
        if self.limit < self._max_limit:
            self.limit = min(self._max_limit, self.limit + max(_GROWTH, 1 / self.limit))

    def report_refusal(self, seconds: float, round: int) -> None:
        """Start no row for ``seconds``; ``round`` is that in which the refused row started."""
        self._opens_at = max(self._opens_at, self._clock() + seconds)
        if round == self.round:
            self.round += 1
            self.limit = max(1.0, self.limit / 2)

    def close(self) -> None:
        """Start no row any more, and wake those that wait."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        waiters, self._waiters = self._waiters, deque()
        for future in waiters:
            if not future.done():
                future.set_exception(RateLimiterClosedError())
        for future in self._sleepers:
            if not future.done():
                future.set_result(None)

    def _try_start(self, credit: float) -> bool:
        """Take a slot if possible, else start a timer if only time is missing.

        ``credit``: seconds by which a waiting row may have been started late.
        """
        if self._running + 1 > self.limit:
            return False
        now = self._clock() if self._opens_at or self._interval else 0.0
        if (start := max(self._opens_at, self._next_start)) > now:
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(start - now, self._on_timer)
            return False
        self._opens_at = 0.0
        if self._interval:
            self._next_start = max(self._next_start, now - credit) + self._interval
        self._running += 1
        return True

    def _on_timer(self) -> None:
        self._timer = None
        self._start_waiters()

    def _start_waiters(self) -> None:
        waiters = self._waiters
        while waiters:
            if waiters[0].done():  # cancelled
                waiters.popleft()
            elif not self._is_closed and self._try_start(credit=_MAX_CREDIT):
                waiters.popleft().set_result(None)
            else:
                return
