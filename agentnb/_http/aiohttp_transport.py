"""The fast transport: aiohttp under httpx's client.

aiohttp parses HTTP/1.1 in C.  Its cookies, decompression, timeouts and proxies from the environment
are off: httpx or this package handles them.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator
from errno import ECONNRESET
from functools import partial
from operator import itemgetter
from typing import Any, Final, cast
from weakref import WeakSet

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from agentnb._http.pool import KEEPALIVE_SECONDS, SPARE_SECONDS, count_expired
from agentnb._http.response_heads import HeadReader
from agentnb._http.timeout import WATCHDOG, Watchdog
from agentnb._support.fork import close_after_fork

# httpx's limit for the head of a response.
_MAX_HEAD: Final = 100 * 2**10
# aiohttp stops reading when a slow consumer leaves twice this many bytes unread.
_READ_BUFFER: Final = 64 * 2**10
# PollSelector needs no file descriptor, but does not exist everywhere.
_Selector: Final[type[selectors.BaseSelector]] = getattr(
    selectors, "PollSelector", selectors.DefaultSelector
)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Any number of aiohttp's connections, with errors mapped to those of httpx.

    Request bodies must be in memory.
    """

    def __init__(self, proxy: httpx.Proxy | None, *, tls: ssl.SSLContext) -> None:
        if proxy is not None and proxy.url.scheme not in ("http", "https"):
            raise ImportError("aiohttp has no SOCKS")
        self._proxy = None if proxy is None else str(proxy.url)
        self._proxy_headers = {} if proxy is None else _proxy_headers(proxy)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._handlers: WeakSet[_Handler] = WeakSet()
        self._timer: asyncio.TimerHandle | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._session is None:
            # Only now: it belongs to the running event loop.
            self._session = self._new_session()
        headers: Any = request.headers
        if self._proxy_headers and request.url.scheme == "http":
            # For https the proxy only sees the request for a tunnel.
            headers = {**headers, **self._proxy_headers}
        timeout = request.extensions["timeout"]
        try:
            response = await self._session.request(
                request.method,
                str(request.url),
                headers=headers,
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=timeout["pool"], sock_connect=timeout["connect"]
                ),
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            )
        except aiohttp.ClientError as error:
            mapped = _map_error(error)
            raise mapped from mapped.__cause__ or error
        if response.status == 101:
            response.close()
            raise httpx.RemoteProtocolError("The protocol was switched.")
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response, request.extensions[WATCHDOG]),
        )

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._session is not None:
            await self._session.close()

    def _new_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._tls,
            limit=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
            # The system's resolver.
            resolver=aiohttp.ThreadedResolver(),
        )
        # There is no option for it.  If it were ignored, all would work, more slowly.
        factory: Any = partial(self._new_handler, asyncio.get_running_loop())
        connector._factory = factory  # pyright: ignore[reportPrivateUsage]
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            max_line_size=_MAX_HEAD,
            max_field_size=_MAX_HEAD,
            max_headers=_MAX_HEAD,
        )

    def _new_handler(self, loop: asyncio.AbstractEventLoop) -> _Handler:
        handler = _Handler(loop)
        self._handlers.add(handler)
        if self._timer is None:
            self._timer = loop.call_later(SPARE_SECONDS, self._close_expired)
        return handler

    def _close_expired(self) -> None:
        """Close idle connections; aiohttp would keep all of them equally long."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        handlers = [handler for handler in self._handlers if handler.transport is not None]
        idle = [(since, each) for each in handlers if (since := each.idle_since(now)) is not None]
        idle.sort(key=itemgetter(0))
        for _, handler in idle[: count_expired([since for since, _ in idle], now)[0]]:
            handler.close()
        if handlers:
            self._timer = loop.call_later(SPARE_SECONDS / 2, self._close_expired)


class _Handler(ResponseHandler):
    """aiohttp's connection; ``is_invalid`` is whether it received invalid HTTP."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.is_invalid = False
        self._was_paused = False
        self._head: HeadReader | None = None
        self._idle_since: float | None = None

    def idle_since(self, now: float) -> float | None:
        """Return when this method first found it idle, maybe ``now``; None: it has a request."""
        if not self._is_idle:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        return self._idle_since

    def set_response_params(self, **options: Any) -> None:
        # aiohttp calls this for each request.
        self._head = HeadReader()
        self._idle_since = None
        super().set_response_params(**options)

    def is_connected(self) -> bool:
        # aiohttp calls this before it reuses an idle connection.  The server may have closed it, or
        # sent unexpected data, before the event loop noticed.
        return super().is_connected() and not (self._is_idle and _is_readable(self.transport))

    @property
    def _is_idle(self) -> bool:
        if self._head is None or not self._head.is_over:
            return False
        return self._payload is None or self._payload.is_eof()

    def set_exception(self, exc: BaseException, *args: Any, **options: Any) -> None:
        super().set_exception(exc, *args, **options)
        if isinstance(exc, HttpProcessingError):
            self.is_invalid = True
            payload = self._payload
            if payload is not None and not payload.is_eof():
                # aiohttp does not wake a reader that waits for the body.
                payload.set_exception(aiohttp.ClientPayloadError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        close_after_fork(transport)

    def data_received(self, data: bytes) -> None:
        head = self._head
        if head is None or head.is_over:
            super().data_received(data)
            return
        try:
            pieces = head.read(data)
        except ValueError:
            if self.transport is not None:
                self.transport.close()
            self.set_exception(HttpProcessingError(message="The head is not valid."))
            return
        for piece in pieces:
            super().data_received(piece)

    def pause_reading(self) -> None:
        self._was_paused = True
        super().pause_reading()

    def resume_reading(self, *args: Any, **options: Any) -> None:
        if self._was_paused:
            self._was_paused = False
            super().resume_reading(*args, **options)


def _is_readable(transport: asyncio.BaseTransport | None) -> bool:
    socket = None if transport is None else transport.get_extra_info("socket")
    if socket is None or (number := socket.fileno()) < 0:
        return True
    with _Selector() as selector:
        selector.register(number, selectors.EVENT_READ)
        return bool(selector.select(0))


def _unread(body: aiohttp.StreamReader | None) -> deque[bytes] | None:
    """Return the received chunks that were not read; None if aiohttp stores them differently."""
    chunks = getattr(body, "_buffer", None)
    return cast("deque[bytes]", chunks) if isinstance(chunks, deque) else None


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, watchdog: Watchdog) -> None:
        self._response = response
        self._watchdog = watchdog
        connection = response.connection
        # None where the whole body came with the head.
        self._handler = None if connection is None else connection.protocol
        self._failure: httpx.TransportError | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        async with self._watchdog:
            return await self._read()

    async def _read(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        content = self._response.content
        try:
            if not content.at_eof() and (chunk := await content.readany()):
                return chunk
        except BaseException as error:
            # At once, like httpx: the consumer may close the response much later.
            self._response.close()
            if not isinstance(error, Exception):
                raise
            self._failure = self._map_error(error)
            # Deliver what arrived before the failure.
            if chunks := _unread(content):
                received = b"".join(chunks)
                chunks.clear()
                return received
            raise self._failure from self._failure.__cause__ or error
        raise StopAsyncIteration

    def _map_error(self, error: Exception) -> httpx.TransportError:
        if isinstance(self._handler, _Handler) and self._handler.is_invalid:
            return httpx.RemoteProtocolError("The body is not valid.")
        if isinstance(error, aiohttp.ClientError):
            return _map_error(error)
        if isinstance(error, RuntimeError):
            # aiohttp raises it if the connection was closed before the first read.
            return httpx.RemoteProtocolError("The server closed connection within the body.")
        return httpx.ReadError(str(error))

    async def aclose(self) -> None:
        # This closes the connection if the body was not read to its end.
        self._response.release()


def _proxy_headers(proxy: httpx.Proxy) -> dict[str, str]:
    headers = dict(proxy.headers)
    if proxy.raw_auth is not None:
        credentials = b64encode(b":".join(proxy.raw_auth)).decode()
        headers["Proxy-Authorization"] = f"Basic {credentials}"
    return headers


def _map_error(error: aiohttp.ClientError) -> httpx.TransportError:
    message = str(error)
    match error:
        case aiohttp.ServerTimeoutError():
            return httpx.ConnectTimeout(message)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return httpx.ProxyError(message)
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(message)
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError("Server disconnected.")
        case aiohttp.ClientPayloadError() if "ConnectionResetError" in message:
            # aiohttp keeps only the name of the reset in its message.
            reset = httpx.ReadError(message)
            reset.__cause__ = ConnectionResetError(ECONNRESET, os.strerror(ECONNRESET))
            return reset
        case aiohttp.ClientPayloadError() if "is not completed" in message:
            return httpx.RemoteProtocolError("The server closed connection within the body.")
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("The body is not valid.")
        case aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError("The head of the response is not valid.")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx.UnsupportedProtocol(message)
        case _:
            return httpx.ReadError(message)
