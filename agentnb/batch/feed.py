"""Queue of rows from the thread that called `map` to the event loop, a bounded number ahead.

The user's own code produces the rows, so it runs in the caller's thread, and may block there.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: Seconds between wake-ups of a waiting thread: Ctrl-C does not interrupt waits on all systems.
TICK: Final = 0.1


class Feed(Generic[T]):
    """Bounded queue from one thread to the event loop ``loop``.

    A call across threads is made only where the loop waits for an item.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int) -> None:
        self._loop = loop
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._room = threading.Event()
        self._is_closed = False

    def offer(self, item: T) -> bool:
        """Append ``item`` if there is room within `TICK`; return whether there was (blocks)."""
        if len(self._items) >= self._capacity:
            self._room.clear()
            # Checked again: an item may have been taken before `clear`.
            if len(self._items) >= self._capacity and not self._room.wait(TICK):
                return False
        self._items.append(item)
        if self._takers:
            self._loop.call_soon_threadsafe(self._wake)
        return True

    def close(self) -> None:
        """End the queue; from any thread."""
        self._is_closed = True
        self._loop.call_soon_threadsafe(self._wake)

    async def take(self) -> T | None:
        """Return the next item, None at the end; on the loop."""
        while True:
            if self._items:
                item = self._items.popleft()
                # Wake the thread once for many items.
                if len(self._items) <= self._capacity // 2 and not self._room.is_set():
                    self._room.set()
                return item
            if self._is_closed:
                return None
            future: asyncio.Future[None] = self._loop.create_future()
            self._takers.append(future)
            # Checked again: `offer` may not have seen the taker.
            if self._items or self._is_closed:
                future.cancel()
            else:
                await future

    def clear(self) -> None:
        """Remove all items; on the loop."""
        self._items.clear()
        self._room.set()

    def _wake(self) -> None:
        wanted = len(self._takers) if self._is_closed else len(self._items)
        while self._takers and wanted > 0:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                wanted -= 1
