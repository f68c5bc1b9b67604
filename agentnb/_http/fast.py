"""The fast transport: aiohttp under httpx's client.

aiohttp's parser of HTTP/1.1 is written in C.  What it does by itself beyond sending and receiving
is turned off: cookies, unpacking, deadlines, the environment's proxies, which are httpx's to find.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from errno import ECONNRESET
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

from agentnb._http.pooling import KEEPALIVE_SECONDS

__all__ = ["FastTransport"]

# As long as httpx takes the head of an answer to be.
_LONGEST_HEAD: Final = 100 * 2**10
# As much as httpcore takes of what has come.
_MOST_AT_ONCE: Final = 64 * 2**10


class FastTransport(AiohttpTransport):
    """Any number of connections, by aiohttp; its errors are those that httpx has for the same.

    It says nothing of a body that goes on as no valid HTTP: such a stream is silent, which its
    deadline ends.  Where that comes with the head, there is no answer.
    """

    def __init__(self, proxy: httpx.Proxy | None, *, tls: ssl.SSLContext) -> None:
        if proxy is not None and proxy.url.scheme not in ("http", "https"):
            raise ImportError("aiohttp has no SOCKS")
        super().__init__(verify=tls, proxy=proxy, client=self._session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _told_as_httpx_does():
            response = await super().handle_async_request(request)
        assert isinstance(response.stream, AiohttpResponseStream)
        response.stream.CHUNK_SIZE = _MOST_AT_ONCE  # pyright: ignore[reportAttributeAccessIssue]
        response.stream = _Body(response.stream)
        return response

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self.ssl_context,
                limit=0,
                keepalive_timeout=KEEPALIVE_SECONDS,
                # As the rest of the system finds its hosts.
                resolver=aiohttp.ThreadedResolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_LONGEST_HEAD,
            max_field_size=_LONGEST_HEAD,
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            with _told_as_httpx_does():
                async for chunk in self._stream:
                    yield chunk
        except BaseException:
            # At once, as httpx does it: whoever reads may let go of the answer much later.
            await self.aclose()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _told_as_httpx_does() -> Generator[None, None, None]:
    """Raise the error of httpx that means what happened."""
    try:
        yield
    except (httpx.TransportError, aiohttp.ClientError) as error:
        meant = _meant(error)
        raise meant from meant.__cause__ or error.__cause__


def _meant(error: httpx.TransportError | aiohttp.ClientError) -> httpx.TransportError:
    # httpx-aiohttp has told some of them as what they are not.
    own = error.__cause__ if isinstance(error, httpx.TransportError) else error
    said = str(own)
    match own:
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
