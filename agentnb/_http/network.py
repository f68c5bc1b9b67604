"""One HTTP/1.1 connection: httpcore under httpx's interface for transports."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final, cast

import httpcore
import httpx

from agentnb._http.timeout import WATCHDOG, Watchdog
from agentnb._support.fork import close_after_fork

# The classes of errors that httpcore and httpx have under the same names, the specific ones first.
_ERRORS: Final = tuple(
    (getattr(httpcore, name), getattr(httpx, name))
    for name in (
        *("ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "TimeoutException"),
        *("ConnectError", "ReadError", "WriteError", "NetworkError", "ProxyError"),
        *("LocalProtocolError", "RemoteProtocolError", "ProtocolError", "UnsupportedProtocol"),
    )
)
# Bytes of a body to read before the consumer takes them.
_READ_AHEAD: Final = 64 * 2**10
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0")


class Connection:
    """httpcore's pool with a single connection, for one request at a time.

    ``keepalive`` is how long the connection is kept, in seconds.

    Raises:
        ImportError: SOCKS is not installed.
        ValueError: the proxy is invalid.
    """

    def __init__(self, *, tls: ssl.SSLContext, proxy: httpx.Proxy | None, keepalive: float) -> None:
        self._network = NetworkBackend()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            proxy=None if proxy is None else _core_proxy(proxy),
            max_keepalive_connections=1,
            keepalive_expiry=keepalive,
            network_backend=self._network,
        )

    @property
    def is_idle(self) -> bool:
        """Whether the connection can be used for the next request.

        It cannot when closing the previous response was cancelled: httpcore shields that from
        anyio's cancellation but not from asyncio's, and keeps a half-closed connection.
        """
        connections = self._pool.connections
        return bool(connections) and all(connection.is_idle() for connection in connections)

    async def send(
        self, request: httpx.Request, release: Callable[[], Awaitable[None]]
    ) -> httpx.Response:
        """Send ``request``; return its response once the head has arrived.

        ``release`` is called when its body is closed.

        Raises:
            httpx.TransportError: that failed.
        """
        url = request.url
        core_request = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=cast("AsyncIterable[bytes]", request.stream),
            extensions=request.extensions,
        )
        with _httpx_errors():
            response = await self._pool.handle_async_request(core_request)
        extensions = cast("Any", response).extensions
        error = None
        if extensions.get("http_version") not in _VERSIONS:
            error = httpx.RemoteProtocolError("The version of HTTP is unknown.")
        elif not self._network.reads:
            # It came with the previous response, before this request.
            error = httpx.ReadError("the server sent a response without a request")
        if error is not None:
            await response.aclose()
            raise error
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, self._network, request.extensions[WATCHDOG], release),
            extensions=extensions,
        )

    async def aclose(self) -> None:
        try:
            await self._pool.aclose()
        finally:
            await self._network.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a response, in HTTP chunks, or joined chunks of a stream that has a backlog.

    httpcore returns each HTTP chunk separately, and one read of the network may have hundreds.
    Once a read has had several, a task reads them, and the consumer gets all that have arrived.
    Closing it calls ``release``.
    """

    def __init__(
        self,
        response: httpcore.Response,
        network: NetworkBackend,
        watchdog: Watchdog,
        release: Callable[[], Awaitable[None]],
    ) -> None:
        self._response = response
        self._network = network
        self._watchdog = watchdog
        self._release: Callable[[], Awaitable[None]] | None = release
        self._iterator = aiter(response.aiter_stream())
        # Reads of the network up to the last chunk.
        self._reads = 0
        self._chunks: list[bytes] = []
        self._reader: asyncio.Task[None] | None = None
        self._has_arrived = asyncio.Event()
        self._has_room = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._reader is None:
            with _httpx_errors():
                async with self._watchdog:
                    chunk = await anext(self._iterator)
            if self._reads == self._network.reads:
                self._reader = asyncio.create_task(self._read_ahead())
            self._reads = self._network.reads
            return chunk
        while not self._chunks:
            if self._reader.done():
                await self._reader
                raise StopAsyncIteration
            self._has_arrived.clear()
            async with self._watchdog:
                await self._has_arrived.wait()
        joined = b"".join(self._chunks)
        self._chunks.clear()
        self._has_room.set()
        return joined

    async def aclose(self) -> None:
        release, self._release = self._release, None
        try:
            if self._reader is not None:
                self._reader.cancel()
                await asyncio.gather(self._reader, return_exceptions=True)
        finally:
            try:
                with _httpx_errors():
                    await self._response.aclose()
            finally:
                if release is not None:
                    await release()

    async def _read_ahead(self) -> None:
        size = 0
        try:
            with _httpx_errors():
                async for chunk in self._iterator:
                    size = size + len(chunk) if self._chunks else len(chunk)
                    self._chunks.append(chunk)
                    self._has_arrived.set()
                    if size >= _READ_AHEAD:
                        self._has_room.clear()
                        await self._has_room.wait()
        finally:
            self._has_arrived.set()


@contextmanager
def _httpx_errors() -> Generator[None, None, None]:
    """Raise httpx's exceptions instead of httpcore's."""
    try:
        yield
    except Exception as error:
        for core, mapped in _ERRORS:
            if isinstance(error, core):
                raise mapped(str(error)) from error
        raise


def _core_proxy(proxy: httpx.Proxy) -> httpcore.Proxy:
    url = proxy.url
    if url.scheme.startswith("socks"):
        import socksio  # noqa: F401  # pyright: ignore  # raises at once where it is missing
    return httpcore.Proxy(
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        auth=proxy.raw_auth,
        headers=proxy.headers.raw,
        ssl_context=proxy.ssl_context,
    )


class NetworkBackend(httpcore.AsyncNetworkBackend):
    """httpcore's network of one connection.

    ``reads`` counts the reads since a request was written.  It keeps the stream that
    it opened last: if connecting is cancelled just as the stream opens, nothing else refers to it,
    and it would stay open.
    """

    def __init__(self) -> None:
        self.reads = 0
        self._network = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
        self._opened: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        self._opened = _Stream(stream, self)
        return self._opened

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, network: NetworkBackend) -> None:
        self._stream = stream
        self._owner = network
        close_after_fork(self)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        self._owner.reads += 1
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._owner.reads = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Stream(stream, self._owner)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
