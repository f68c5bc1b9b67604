"""The fast transport: aiohttp under httpx's client.

aiohttp's parser of HTTP/1.1 is written in C.  What it does by itself beyond sending and receiving
is turned off: cookies, unpacking, deadlines, the environment's proxies, which are httpx's to find.
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

from agentnb._http.idle_connections import KEEPALIVE_SECONDS, SPARE_SECONDS, expired
from agentnb._http.pool import BODY
from agentnb._http.response_heads import HeadReader
from agentnb._support.fork import close_after_fork

__all__ = ["FastTransport"]

# As long as httpx takes the head of an answer to be.
_LONGEST_HEAD: Final = 100 * 2**10
# A stream whose reader is slow is not read any further when twice as many bytes are there.
_READ_AHEAD: Final = 64 * 2**10
# The one that needs no file descriptor of its own, where there is one.
_Selector: Final[type[selectors.BaseSelector]] = getattr(
    selectors, "PollSelector", selectors.DefaultSelector
)


class FastTransport(httpx.AsyncBaseTransport):
    """Any number of connections, by aiohttp; its errors are those that httpx has for the same.

    It takes requests whose body is in memory.
    """

    def __init__(self, proxy: httpx.Proxy | None, *, tls: ssl.SSLContext) -> None:
        if proxy is not None and proxy.url.scheme not in ("http", "https"):
            raise ImportError("aiohttp has no SOCKS")
        self._proxy = None if proxy is None else str(proxy.url)
        self._for_proxy = {} if proxy is None else _headers_for(proxy)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._handlers: WeakSet[_Handler] = WeakSet()
        self._timer: asyncio.TimerHandle | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._session is None:
            # Not before: it belongs to the event loop that runs.
            self._session = self._begin()
        # Within a tunnel the proxy is not spoken to.
        is_read_by_proxy = self._for_proxy and request.url.scheme == "http"
        timeout = request.extensions["timeout"]
        try:
            answer = await self._session.request(
                request.method,
                str(request.url),
                headers={**request.headers, **self._for_proxy}
                if is_read_by_proxy
                else request.headers,
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=timeout["pool"], sock_connect=timeout["connect"]
                ),
                proxy=self._proxy,
                proxy_headers=self._for_proxy,
            )
        except aiohttp.ClientError as error:
            meant = _meant(error)
            raise meant from meant.__cause__ or error
        if answer.status == 101:
            answer.close()
            raise httpx.RemoteProtocolError("The protocol was switched.")
        body = _Body(answer)
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=body,
            request=request,
            extensions={BODY: body},
        )

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._session is not None:
            await self._session.close()

    def _begin(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._tls,
            limit=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
            # As the rest of the system finds its hosts.
            resolver=aiohttp.ThreadedResolver(),
        )
        # There is no option for it.  Were it not heeded, all would be as it is, and slower.
        handler: Any = partial(self._handler, asyncio.get_running_loop())
        connector._factory = handler  # pyright: ignore[reportPrivateUsage]
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_READ_AHEAD,
            max_line_size=_LONGEST_HEAD,
            max_field_size=_LONGEST_HEAD,
            max_headers=_LONGEST_HEAD,
        )

    def _handler(self, loop: asyncio.AbstractEventLoop) -> _Handler:
        handler = _Handler(loop)
        self._handlers.add(handler)
        if self._timer is None:
            self._timer = loop.call_later(SPARE_SECONDS, self._close_expired)
        return handler

    def _close_expired(self) -> None:
        """Close connections that are idle; aiohttp would keep all of them for as long as one."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        handlers = [handler for handler in self._handlers if handler.transport is not None]
        idle = [(since, each) for each in handlers if (since := each.idle_since(now)) is not None]
        idle.sort(key=itemgetter(0))
        for _, handler in idle[: expired([since for since, _ in idle], now)[0]]:
            handler.close()
        if handlers:
            self._timer = loop.call_later(SPARE_SECONDS / 2, self._close_expired)


class _Handler(ResponseHandler):
    """aiohttp's connection, which does once for each read what aiohttp does for each chunk of HTTP.

    aiohttp hands out every chunk by itself, and with each it resumes the connection and looks at
    what more there might be, which costs a stream of short chunks a fifth of its time.

    ``is_invalid`` tells whether something has come that is not valid HTTP.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.is_invalid = False
        self._was_paused = False
        self._head: HeadReader | None = None
        self._idle_since: float | None = None

    def idle_since(self, now: float) -> float | None:
        """Return when it was first seen without a request, which may be now; None: it has one."""
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
        # aiohttp asks before it takes an idle connection for a request.  The other end may have
        # closed it, or sent what nobody asked for, and the event loop not have seen it yet.
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
                # aiohttp leaves those who wait for the body without it.
                payload.set_exception(aiohttp.ClientPayloadError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        close_after_fork(transport)

    def data_received(self, data: bytes) -> None:
        head = self._head
        if head is None or head.is_over:
            self._feed(data)
            return
        try:
            pieces = head.read(data)
        except ValueError:
            if self.transport is not None:
                self.transport.close()
            self.set_exception(HttpProcessingError(message="The head is not valid."))
            return
        for piece in pieces:
            self._feed(piece)

    def _feed(self, data: bytes) -> None:
        had = _pieces(self._payload)
        # What is left of an earlier read stays as it is: aiohttp may be about to take a number of
        # pieces that it has counted, and to join it again each time would cost a slow reader the
        # square of what waits for it.
        is_behind = bool(had)
        super().data_received(data)
        pieces = _pieces(self._payload)
        if pieces and len(pieces) > 1 and not (is_behind and pieces is had):
            joined = b"".join(pieces)
            pieces.clear()
            pieces.append(joined)

    def pause_reading(self) -> None:
        self._was_paused = True
        super().pause_reading()

    def resume_reading(self, *args: Any, **options: Any) -> None:
        if self._was_paused:
            self._was_paused = False
            super().resume_reading(*args, **options)


def _is_readable(transport: asyncio.BaseTransport | None) -> bool:
    found = None if transport is None else transport.get_extra_info("socket")
    if found is None or (number := found.fileno()) < 0:
        return True
    with _Selector() as selector:
        selector.register(number, selectors.EVENT_READ)
        return bool(selector.select(0))


def _pieces(body: aiohttp.StreamReader | None) -> deque[bytes] | None:
    """Return what has come of a body and was not read; None where aiohttp keeps it otherwise."""
    pieces = getattr(body, "_buffer", None)
    return cast("deque[bytes]", pieces) if isinstance(pieces, deque) else None


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        connection = answer.connection
        # None where all of the body came with the head.
        self._handler = None if connection is None else connection.protocol
        self._failure: httpx.TransportError | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        content = self._answer.content
        try:
            if not content.at_eof() and (chunk := await content.readany()):
                return chunk
        except BaseException as error:
            # At once, as httpx does it: whoever reads may let go of the answer much later.
            self._answer.close()
            if not isinstance(error, Exception):
                raise
            self._failure = self._failed(error)
            # What came before the failure is delivered before it is raised.
            if pieces := _pieces(content):
                came = b"".join(pieces)
                pieces.clear()
                return came
            raise self._failure from self._failure.__cause__ or error
        raise StopAsyncIteration

    def _failed(self, error: Exception) -> httpx.TransportError:
        """Return the error of httpx for a body that broke off by ``error``."""
        if isinstance(self._handler, _Handler) and self._handler.is_invalid:
            return httpx.RemoteProtocolError("The body is not valid.")
        if isinstance(error, aiohttp.ClientError):
            return _meant(error)
        if isinstance(error, RuntimeError):
            # aiohttp's word for a connection that was closed before it was read from.
            return httpx.RemoteProtocolError("The server closed connection within the body.")
        return httpx.ReadError(str(error))

    async def aclose(self) -> None:
        # What has not come to its end is closed with it.
        self._answer.release()


def _headers_for(proxy: httpx.Proxy) -> dict[str, str]:
    headers = dict(proxy.headers)
    if proxy.raw_auth is not None:
        credentials = b64encode(b":".join(proxy.raw_auth)).decode()
        headers["Proxy-Authorization"] = f"Basic {credentials}"
    return headers


def _meant(error: aiohttp.ClientError) -> httpx.TransportError:
    """Return the error of httpx that means what happened."""
    said = str(error)
    match error:
        case aiohttp.ServerTimeoutError():
            return httpx.ConnectTimeout(said)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return httpx.ProxyError(said)
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(said)
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError("Server disconnected.")
        case aiohttp.ClientPayloadError() if "ConnectionResetError" in said:
            # Of the reset itself only these words are left.
            reset = httpx.ReadError(said)
            reset.__cause__ = ConnectionResetError(ECONNRESET, os.strerror(ECONNRESET))
            return reset
        case aiohttp.ClientPayloadError() if "is not completed" in said:
            return httpx.RemoteProtocolError("The server closed connection within the body.")
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("The body is not valid.")
        case aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError("The head of the answer is not valid.")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx.UnsupportedProtocol(said)
        case _:
            return httpx.ReadError(said)
