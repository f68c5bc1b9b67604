"""Pass a run's events to a consumer on another event loop, with back-pressure."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from agentnb.event.types import Event

__all__ = ["EventFeed", "EventIterator"]

_LIMIT: Final = 1024

# How long a consumer with enough events may occupy its loop, in seconds.
_MAX_BUSY: Final = 0.01
# How often a waiting producer checks that its consumer's loop is open, in seconds.
_POLL: Final = 0.5


class EventFeed:
    """A bounded queue between the background loop and the loop that consumes.

    The producer calls `put` and then awaits `room`; the consumer awaits `get`.  A batch takes
    one wake-up: one for each event costs more than the event.  Created on the consumer's loop.
    """

    def __init__(self, *, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._batches: deque[Sequence[Event]] = deque()
        self._pending = 0
        self._closed = False
        self._consumer = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._producer: asyncio.AbstractEventLoop | None = None
        self._room: asyncio.Event | None = None

    @property
    def pending(self) -> int:
        """Number of events that wait for the consumer."""
        return self._pending

    def put(self, batch: Sequence[Event]) -> bool:
        """Add a batch; return False if the consumer is gone (background loop)."""
        with self._lock:
            if self._closed:
                return False
            self._batches.append(batch)
            self._pending += len(batch)
        return self._wake_consumer()

    def end(self) -> None:
        """End the feed after its pending events (background loop)."""
        self._closed = True
        self._wake_consumer()

    async def room(self) -> None:
        """Wait until the consumer has caught up (background loop)."""
        if not self._is_full:
            return
        self._producer = asyncio.get_running_loop()
        # Set before the next check of the limit, so that no wake-up is missed.
        self._room = room = asyncio.Event()
        try:
            while self._is_full:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL):
                        await room.wait()
                room.clear()
                # A closed loop never takes anything and never detaches.
                if self._consumer.is_closed():
                    self.detach()
        finally:
            self._room = None

    async def get(self) -> Sequence[Event] | None:
        """Return the next batch, None when the feed has ended (consumer's loop)."""
        while True:
            with self._lock:
                if self._batches:
                    batch = self._batches.popleft()
                    self._pending -= len(batch)
                    break
                if self._closed:
                    return None
                self._arrived.clear()
            await self._arrived.wait()
        if not self._is_full:
            self._wake_producer()
        return batch

    def detach(self) -> None:
        """Drop all events: the consumer is gone.

        Takes no lock, since the garbage collector may call it at any point of this class.
        """
        self._closed = True
        self._batches.clear()
        self._pending = 0
        self._wake_producer()

    def abandon(self, batch: Sequence[Event]) -> None:
        """End with ``batch`` in a forked child, without the loops of the parent."""
        self._lock = threading.Lock()
        self._batches.append(batch)
        self._producer = self._room = None
        self._closed = True

    @property
    def _is_full(self) -> bool:
        return not self._closed and self._pending >= self._limit

    def _wake_consumer(self) -> bool:
        try:
            self._consumer.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            # The consumer's loop is closed.
            self.detach()
            return False
        return True

    def _wake_producer(self) -> None:
        room, producer = self._room, self._producer
        if room is not None and producer is not None:
            with suppress(RuntimeError):  # the loop is closed
                producer.call_soon_threadsafe(room.set)


class EventIterator(AsyncIterator[Event]):
    """The events of one run for one consumer.

    Not an asynchronous generator: one that is left early would delay the run until its loop closes
    it, which never happens where that loop then waits for the run.
    """

    def __init__(self, connect: Callable[[], EventFeed]) -> None:
        self._connect = connect
        self._feed: EventFeed | None = None
        self._events: Iterator[Event] = iter(())
        self._busy_since = time.monotonic()

    def __aiter__(self) -> EventIterator:
        return self

    async def __anext__(self) -> Event:
        # Let other tasks run.  Before an event is taken, which a cancellation would lose.
        if time.monotonic() - self._busy_since > _MAX_BUSY:
            await asyncio.sleep(0)
            self._busy_since = time.monotonic()
        while True:
            for event in self._events:
                return event
            if self._feed is None:
                self._feed = self._connect()
            batch = await self._feed.get()
            if batch is None:
                raise StopAsyncIteration
            self._events = iter(batch)

    async def aclose(self) -> None:
        """Stop consuming; the run is no longer slowed down."""
        self._close()

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        self._events = iter(())
        if self._feed is not None:
            self._feed.detach()
