"""Connections for any number of streams at once.

The pools of httpx's transports look at each connection whenever a request begins and whenever one
ends, so that a thousand streams cost a million looks.  Here each connection has a transport of its
own, and the idle ones are a stack.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final

import httpx

from agentnb._http.chunk_joining import JoiningBackend, JoiningStream
from agentnb._http.idle_connections import KEEPALIVE_SECONDS, SPARE_SECONDS, expired

__all__ = ["BODY", "Client", "Connections", "MakeTransport"]

# As many as a table of prompts has in use at once.
_MOST_IDLE: Final = 256
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0")

# Where an answer's extensions have its body as the transport made it: httpx's client wraps it, to
# know how long all of it took.
BODY: Final = "agentnb.body"

# Given the proxy that the environment names, or none.
MakeTransport = Callable[[httpx.Proxy | None], httpx.AsyncBaseTransport]


class _NoCookies(httpx.Cookies):
    """What a server wants remembered may be anything, and would go to whoever asks."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class Client(httpx.AsyncClient):
    """httpx's client over any kind of transport, also on the way through proxies.

    It has no cookies, and nothing of its own for `build_request` to merge into requests: that takes
    as long as all the rest of making one, so they are made without it.
    """

    def __init__(self, make: MakeTransport, **options: Any) -> None:
        self._make = make
        super().__init__(**options)

    @property
    def cookies(self) -> httpx.Cookies:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _NO_COOKIES

    # These are what httpx calls for its own transports, the proxies' as the environment names them.
    def _init_transport(self, *_args: Any, **_options: Any) -> httpx.AsyncBaseTransport:
        return self._make(None)

    def _init_proxy_transport(
        self, proxy: httpx.Proxy, *_args: Any, **_options: Any
    ) -> httpx.AsyncBaseTransport:
        return self._make(proxy)


_NO_COOKIES: Final = _NoCookies()


class Connections(httpx.AsyncBaseTransport):
    """Any number of connections; the idle one that was used last is used first.

    That one is closed after a minute, the others after a few seconds.  ``tls`` is for all of them,
    and so is ``proxy``.
    """

    def __init__(self, proxy: httpx.Proxy | None, *, tls: ssl.SSLContext) -> None:
        self._make = partial(_Connection, verify=tls, proxy=proxy)
        # Wrong proxies are to be told of at once.
        first = self._make()
        self._all = {first}
        self._idle = deque([(time.monotonic(), first)])
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._idle:
            _, connection = self._idle.pop()
        else:
            connection = self._make()
            self._all.add(connection)
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._close(connection)
            raise
        if (error := _error_of(response)) is not None:
            await response.aclose()
            await self._close(connection)
            raise error
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = _Lent(response.stream, partial(self._take_back, connection))
        response.stream = response.extensions[BODY] = body
        return response

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._idle.clear()
        while self._all:
            await self._all.pop().aclose()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _take_back(self, connection: _Connection) -> None:
        if connection.is_idle and connection in self._all and len(self._idle) < _MOST_IDLE:
            self._idle.append((time.monotonic(), connection))
            self._look_at(time.monotonic() + SPARE_SECONDS)
        else:
            await self._close(connection)

    def _look_at(self, moment: float) -> None:
        """Have `_close_expired` called then, unless it is called earlier."""
        loop = asyncio.get_running_loop()
        due = loop.time() + moment - time.monotonic()
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._close_expired)

    def _close_expired(self) -> None:
        self._timer = None
        count, again = expired([since for since, _ in self._idle], time.monotonic())
        for _ in range(count):
            task = asyncio.ensure_future(self._close(self._idle.popleft()[1]))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if again is not None:
            self._look_at(again)

    async def _close(self, connection: _Connection) -> None:
        self._all.discard(connection)
        await connection.aclose()


def _error_of(response: httpx.Response) -> httpx.TransportError | None:
    """Return what is wrong with a response that httpx takes for valid."""
    if response.extensions.get("http_version") not in _VERSIONS:
        return httpx.RemoteProtocolError("The version of HTTP is not known.")
    network = response.extensions.get("network_stream")
    if isinstance(network, JoiningStream) and not network.has_read:
        # It came behind the response before, so it answers nothing.
        return httpx.ReadError("the server sent an answer that nobody asked for")
    return None


class _Connection(httpx.AsyncHTTPTransport):
    """httpx's transport, for one request at a time."""

    def __init__(self, *, verify: ssl.SSLContext, proxy: httpx.Proxy | None) -> None:
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=1,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
        super().__init__(verify=verify, proxy=proxy, limits=limits)
        self._network = JoiningBackend()
        # httpx has no option for it.  Were it not heeded, bodies would come in single chunks.
        self._pool._network_backend = self._network  # pyright: ignore[reportPrivateUsage]

    @property
    def is_idle(self) -> bool:
        """Whether there is a connection that the next request can have.

        There is none where the end of the one before was broken off: httpcore shields it from what
        anyio cancels, and not from what asyncio does, and keeps what it had begun to close.
        """
        connections = self._pool.connections
        return bool(connections) and all(connection.is_idle() for connection in connections)

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            await self._network.aclose()


class _Lent(httpx.AsyncByteStream):
    """The body of an answer; closing it gives its connection back."""

    def __init__(
        self, stream: httpx.AsyncByteStream, give_back: Callable[[], Awaitable[None]]
    ) -> None:
        self._stream = stream
        self._give_back: Callable[[], Awaitable[None]] | None = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        try:
            await self._stream.aclose()
        finally:
            if give_back is not None:
                await give_back()
