"""Pool of HTTP connections for any number of concurrent streams.

httpx's pool iterates over all connections whenever a request starts or ends, which is quadratic in
the number of streams.  Here each connection is its own pool, and the idle ones are a stack.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

import httpx

from agentnb._http.network import Connection

#: How long the most recently used connection is kept: between two cells a reader reads.
KEEPALIVE_SECONDS: Final = 60.0
#: How long the other connections are kept, which only serve concurrent requests.
SPARE_SECONDS: Final = 2.0
# As many as a table of prompts uses at once.
_MAX_IDLE: Final = 256


def count_expired(idle_since: Sequence[float], now: float) -> tuple[int, float | None]:
    """Return how many of the connections to close, the longest idle first, and when to call again.

    ``idle_since`` is ascending.  None: no connection is left.
    """
    for position, since in enumerate(idle_since):
        is_last = position == len(idle_since) - 1
        expiry = since + (KEEPALIVE_SECONDS if is_last else SPARE_SECONDS)
        if expiry > now:
            return position, expiry
    return len(idle_since), None


class ConnectionPool(httpx.AsyncBaseTransport):
    """Pool of any number of connections; the most recently used idle one is used first.

    It is closed after a minute, the others after a few seconds.  All share ``tls`` and ``proxy``.
    """

    def __init__(self, proxy: httpx.Proxy | None, *, tls: ssl.SSLContext) -> None:
        self._connect = partial(Connection, tls=tls, proxy=proxy, keepalive=KEEPALIVE_SECONDS)
        # Raises at once for an invalid proxy.
        first = self._connect()
        self._all = {first}
        self._idle = deque([(time.monotonic(), first)])
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._idle:
            _, connection = self._idle.pop()
        else:
            connection = self._connect()
            self._all.add(connection)
        try:
            return await connection.send(request, partial(self._release, connection))
        except BaseException:
            await self._close(connection)
            raise

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._idle.clear()
        while self._all:
            await self._all.pop().aclose()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _release(self, connection: Connection) -> None:
        if connection.is_idle and connection in self._all and len(self._idle) < _MAX_IDLE:
            self._idle.append((time.monotonic(), connection))
            self._schedule_expiry(time.monotonic() + SPARE_SECONDS)
        else:
            await self._close(connection)

    def _schedule_expiry(self, when: float) -> None:
        """Call `_close_expired` at ``when``, unless it is scheduled earlier."""
        loop = asyncio.get_running_loop()
        due = loop.time() + when - time.monotonic()
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._close_expired)

    def _close_expired(self) -> None:
        self._timer = None
        count, next_expiry = count_expired([since for since, _ in self._idle], time.monotonic())
        for _ in range(count):
            task = asyncio.ensure_future(self._close(self._idle.popleft()[1]))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if next_expiry is not None:
            self._schedule_expiry(next_expiry)

    async def _close(self, connection: Connection) -> None:
        self._all.discard(connection)
        await connection.aclose()
