"""Rows from the thread of who asks to the event loop that runs them, a bounded number ahead.

What makes the rows is the user's own code: it runs in the user's own thread, and may block there.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Final, Generic, TypeVar

__all__ = ["TICK", "Feed"]

T = TypeVar("T")

#: How often a thread that waits looks up, in seconds: Ctrl-C does not wake it everywhere.
TICK: Final = 0.1


class Feed(Generic[T]):
    """A queue with one thread at its beginning and one event loop, ``loop``, at its end.

    `offer` takes ``capacity`` items at most before some of them are taken.  What crosses costs a
    call from thread to thread only where the loop waits for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int) -> None:
        self._loop = loop
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._room = threading.Event()
        self._is_closed = False

    # -- in the thread ---------------------------------------------------------------------------

    def offer(self, item: T) -> bool:
        """Put ``item`` in where there is room; return whether there was, after a moment's wait."""
        if len(self._items) >= self._capacity:
            self._room.clear()
            # Looked at again: room may have been made just before.
            if len(self._items) >= self._capacity and not self._room.wait(TICK):
                return False
        self._items.append(item)
        if self._takers:
            self._loop.call_soon_threadsafe(self._wake)
        return True

    def close(self) -> None:
        """Say that nothing more comes; from any thread."""
        self._is_closed = True
        self._loop.call_soon_threadsafe(self._wake)

    # -- on the loop -----------------------------------------------------------------------------

    async def take(self) -> T | None:
        """Return the next item, None at the end."""
        while True:
            if self._items:
                item = self._items.popleft()
                # Not for each one: the thread is to wake up for many at a time.
                if len(self._items) <= self._capacity // 2 and not self._room.is_set():
                    self._room.set()
                return item
            if self._is_closed:
                return None
            future: asyncio.Future[None] = self._loop.create_future()
            self._takers.append(future)
            # Looked at again, now that who puts something in would see that it is waited for.
            if self._items or self._is_closed:
                future.cancel()
            else:
                await future

    def drop(self) -> None:
        """Forget what nobody took."""
        self._items.clear()
        self._room.set()

    def _wake(self) -> None:
        awaited = len(self._takers) if self._is_closed else len(self._items)
        while self._takers and awaited > 0:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                awaited -= 1
