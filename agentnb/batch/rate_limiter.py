"""When a row may start: one gate for all rows of a map, and the slots behind it.

It lives on the event loop on which the rows run, and is used from nowhere else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["Company", "Gate", "GateClosedError", "Slot"]

# The concurrency grows by so much with each row that succeeds, or by one in a round where that is
# more: from half of 256 back to all in about 2,500 rows.
_GROWTH: Final = 0.05
# A loop that is late may make up for so much, in seconds, where starts are spaced.
_LATE: Final = 0.05


class GateClosedError(Exception):
    """The map ends, and nothing may start any more."""


class Company(Protocol):
    """What one attempt at a row tells the others, and waits for with them; on the event loop."""

    def refused(self, seconds: float) -> None:
        """Hear that the platform refuses for now, and wishes to be left alone for ``seconds``."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait for ``seconds``, and on until the row may go on."""
        ...


class Slot:
    """One row's place among those that run at once; a context, entered by `Gate.slot`."""

    __slots__ = ("_gate", "_held", "_round")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._held = False
        # In which round it was entered: all that were refused in one halve what may run once.
        self._round = 0

    async def enter(self) -> None:
        """Wait until it may start.

        Raises:
            GateClosedError: it never may.
        """
        await self._gate.entered()
        self._held = True
        self._round = self._gate.round

    def leave(self) -> None:
        """Let another one start; harmless where it was left."""
        if self._held:
            self._held = False
            self._gate.left()

    def succeeded(self) -> None:
        """Say that the platform took the row."""
        self._gate.succeeded()

    def refused(self, seconds: float) -> None:
        """Close the gate for everybody for ``seconds``, and let fewer run at once."""
        self._gate.refused(seconds, self._round)

    async def pause(self, seconds: float) -> None:
        """Wait for ``seconds`` and then anew for the gate, without being in anybody's way."""
        self.leave()
        await self._gate.slept(seconds)
        await self.enter()


class Gate:
    """Lets at most ``concurrency`` rows run at once, in the order in which they come.

    ``rpm`` is how many may start in a minute, evenly spaced; None sets no bound.  Where the
    platform refuses one, nobody starts until it may be asked again, and only half as many run at
    once from then on; that grows again with those that succeed.
    """

    def __init__(
        self,
        concurrency: int,
        *,
        rpm: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: How many may run at once now.
        self.limit = float(concurrency)
        self.round = 0
        self._most = float(concurrency)
        self._space = 60.0 / rpm if rpm else 0.0
        self._clock = clock
        self._running = 0
        self._opens_at = 0.0
        self._next_start = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._asleep: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    @property
    def running(self) -> int:
        """How many rows have a slot."""
        return self._running

    @property
    def closed_for(self) -> float:
        """For how many seconds the platform wishes that nobody starts; 0 where it has no wish."""
        return max(0.0, self._opens_at - self._clock())

    def slot(self) -> Slot:
        """Return a slot to be entered."""
        return Slot(self)

    async def entered(self) -> None:
        """Wait for a slot, take it, and leave it by `left`."""
        if self._is_over:
            raise GateClosedError
        if not self._waiting and self._may_start(credit=0.0):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._let_in()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                # It was let in, and nobody is there any more.
                self.left()
            raise

    def left(self) -> None:
        """Take back a slot."""
        self._running -= 1
        self._let_in()

    async def slept(self, seconds: float) -> None:
        """Wait for ``seconds``.

        Raises:
            GateClosedError: nothing may start any more, which is told at once.
        """
        future = asyncio.get_running_loop().create_future()
        self._asleep.add(future)
        try:
            if not self._is_over:
                await asyncio.wait({future}, timeout=seconds)
        finally:
            self._asleep.discard(future)
        if self._is_over:
            raise GateClosedError

    def succeeded(self) -> None:
        """Let a little more run at once."""
        if self.limit < self._most:
            self.limit = min(self._most, self.limit + max(_GROWTH, 1 / self.limit))

    def refused(self, seconds: float, since: int) -> None:
        """Start nobody for ``seconds``; ``since`` is the round in which the refused one entered."""
        self._opens_at = max(self._opens_at, self._clock() + seconds)
        if since == self.round:
            self.round += 1
            self.limit = max(1.0, self.limit / 2)

    def close(self) -> None:
        """Start nobody any more; those who wait are told."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_exception(GateClosedError())
        for future in self._asleep:
            if not future.done():
                future.set_result(None)

    def _may_start(self, credit: float) -> bool:
        """Take a slot where one may be taken now; else see to it that it is looked at again.

        ``credit`` is by how many seconds the one who waits may have been let in late.
        """
        if self._running + 1 > self.limit:
            return False
        now = self._clock() if self._opens_at or self._space else 0.0
        if (opens := max(self._opens_at, self._next_start)) > now:
            self._look_again(opens - now)
            return False
        self._opens_at = 0.0
        if self._space:
            self._next_start = max(self._next_start, now - credit) + self._space
        self._running += 1
        return True

    def _look_again(self, seconds: float) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._time_came)

    def _time_came(self) -> None:
        self._timer = None
        self._let_in()

    def _let_in(self) -> None:
        waiting = self._waiting
        while waiting:
            if waiting[0].done():  # cancelled
                waiting.popleft()
            elif not self._is_over and self._may_start(credit=_LATE):
                waiting.popleft().set_result(None)
            else:
                return
