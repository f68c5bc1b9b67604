"""The transport: httpx, its pool, and its exceptions turned into this package's.

The only module that imports httpx; it is itself imported with the first request.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.request import getproxies

import httpx

from agentnb._http.chunk_joining import Joined, JoiningStream
from agentnb._http.deadlines import Deadlines
from agentnb._http.decompression import (
    FREE_BYTES,
    MOST_TIMES,
    OverflowingError,
    Unpacker,
    encoding_of,
)
from agentnb._http.error_responses import one_line
from agentnb._http.errors import cause_of, is_lasting, reason_of
from agentnb._http.options import current_terms
from agentnb._http.pool import BODY, Client, Connections
from agentnb._http.redirects import slash_redirect
from agentnb._http.response import read_start
from agentnb._http.timeout import Watchdog
from agentnb._http.transports import INSTALL_AIOHTTP, TRANSPORT_VARIABLE, TransportName
from agentnb.errors import (
    AgentnbError,
    AnswerTooLargeError,
    ConfigError,
    ConnectionFailedError,
    ContentTypeError,
    DeadlineError,
    RequestError,
    StreamCutError,
)
from agentnb.redaction.logs import mask_logs
from agentnb.redaction.secrets import mask

if TYPE_CHECKING:
    from agentnb._http.aiohttp_transport import FastTransport

__all__ = ["Answer", "Transport", "ssl_context"]

# So many pieces come out of the unpacking of one read before others get their turn on the loop.
_PIECES: Final = 16
_LOCATION: Final = "agentnb.location"


class Transport:
    """A pool of connections.  Belongs to one event loop."""

    def __init__(
        self, base_url: str, *, name: str, trust_env: bool, library: TransportName = "httpx"
    ) -> None:
        self._base_url = base_url
        self._name = name
        make = _fast_transport() if library == "aiohttp" else Connections
        tls = ssl_context(base_url, trust_env=trust_env)
        try:
            self._client = Client(
                partial(make, tls=tls),
                trust_env=trust_env,
                timeout=None,
                follow_redirects=False,
                event_hooks={"response": [_set_location_aside]},
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            needs = ""
            if isinstance(error, ImportError):
                socks = "for SOCKS, install httpx[socks]"
                needs = f"; {error.msg if library == 'aiohttp' else socks}"
            # The address of a proxy may hold a password, so nothing of it is repeated.
            raise ConfigError(
                f"The environment names a proxy that cannot be used{needs}.",
                hint="Mend HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or set trust_env to False.",
            ) from None
        # Not before: httpx imports what it logs by with its first client.
        mask_logs()

    def build(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None,
        headers: Callable[[], list[tuple[bytes, bytes]]],
        content: bytes | None,
        connect: float | None,
    ) -> httpx.Request:
        """Return a request, which shows no headers in its ``repr``.

        ``headers`` is called for them, so that no frame of a traceback holds them in a variable:
        some tracebacks print variables.  ``connect`` bounds the connection, in seconds.
        """
        if not path.startswith("/"):
            # Behind the host's name it would make another name.
            raise RequestError("The path of the request does not begin with a slash.")
        try:
            url = _url(self._base_url + path)
            if params is not None:
                url = url.copy_merge_params(params)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise RequestError(f"The address of the request is not valid: {error}.") from error
        # The watchdog does the waiting, but for the connection: only the pool knows of it.
        timeout = {"connect": connect, "pool": connect, "read": None, "write": None}
        return httpx.Request(
            method, url, headers=headers(), content=content, extensions={"timeout": timeout}
        )

    async def send(
        self, request: httpx.Request, *, deadlines: Deadlines, left: float | None
    ) -> Answer:
        """Send a request; return its answer as soon as the head has arrived.

        ``left`` is what is left of the deadline ``total``, in seconds.  A redirect that only adds
        or removes a slash at the end of the path is followed, once.
        """
        began = asyncio.get_running_loop().time()
        answer = await self._send(request, deadlines=deadlines, left=left)
        other = slash_redirect(request, status=answer.status, headers=answer.headers)
        if other is None:
            return answer
        try:
            await read_start(answer)
        finally:
            await answer.aclose()
        if (sending := current_terms().sending) is not None:
            sending()
        spent = asyncio.get_running_loop().time() - began
        rest = None if left is None else left - spent
        return await self._send(other, deadlines=deadlines, left=rest)

    async def _send(
        self, request: httpx.Request, *, deadlines: Deadlines, left: float | None
    ) -> Answer:
        watchdog = Watchdog(deadlines, name=self._name, left=left)
        try:
            with watchdog.head():
                response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._failure(error, deadlines.connect) from cause_of(error)
        finally:
            watchdog.stop()
        # The server's own words for the status, which would show in the answer's `repr`.
        response.extensions.pop("reason_phrase", None)
        # What httpx wrapped it in holds the response, and would keep all of it until it is swept.
        response.stream = response.extensions[BODY]
        return Answer(response, watchdog, name=self._name)

    async def aclose(self) -> None:
        await self._client.aclose()

    def _failure(self, error: httpx.HTTPError, connect: float | None) -> AgentnbError:
        """Return what a failure before the answer's head means."""
        name, where, reason = self._name, self._base_url, reason_of(error)
        if isinstance(error, httpx.ConnectTimeout) and connect is not None:
            return DeadlineError(
                f"No connection to {name} at {where} within {connect:g} s.",
                deadline="connect",
                seconds=connect,
                hint="Check base_url and the network.",
            )
        if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.TimeoutException):
            return ConnectionFailedError(
                f"No connection to {name} at {where}: {reason}.",
                hint="Check base_url and the network.",
                lasting=is_lasting(error),
            )
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            return RequestError(f"The request to {name} cannot be sent: {one_line(str(error))}.")
        return ConnectionFailedError(
            f"{name} at {where} gave no answer: {reason}.", lasting=is_lasting(error)
        )


async def _set_location_aside(response: httpx.Response) -> None:
    # httpx makes a request of it even where it is not to follow, and fails on what is no address.
    if (location := response.headers.pop("location", None)) is not None:
        response.extensions[_LOCATION] = location


class _Headers(httpx.Headers):
    """The headers of an answer, which show no key that a server echoes: tracebacks print them."""

    def __repr__(self) -> str:
        return mask(super().__repr__())


class Answer:
    """An answer whose head has arrived.

    ``chunks`` is its body, as the reads of the network bring it, and can be iterated once; with
    ``of_events`` set before, it counts as one of events, and who takes them sets ``event_came`` of
    ``watchdog`` for each chunk that brought any.  It raises `DeadlineError` when a deadline passes,
    `StreamCutError` when the body breaks off, `ContentTypeError` when it is packed in a way that
    was not asked for, and `AnswerTooLargeError` when far too much comes out of it.
    """

    __slots__ = (
        "_body",
        "_name",
        "_network",
        "chunks",
        "headers",
        "of_events",
        "status",
        "watchdog",
    )

    def __init__(self, response: httpx.Response, watchdog: Watchdog, *, name: str) -> None:
        self.status = response.status_code
        headers = _Headers(response.headers)
        if location := response.extensions.get(_LOCATION):
            headers["location"] = location
        self.headers: Mapping[str, str] = headers
        self.chunks = self._read()
        self.of_events = False
        self.watchdog = watchdog
        self._body = cast("httpx.AsyncByteStream", response.stream)
        self._network = response.extensions.get("network_stream")
        self._name = name

    async def _read(self) -> AsyncGenerator[bytes, None]:
        watchdog = self.watchdog
        joined = unpacked = None
        pieces: AsyncIterable[bytes] = self._body
        if isinstance(self._network, JoiningStream):
            pieces = joined = Joined(pieces, self._network)
        if packed := self.headers.get("content-encoding"):
            pieces = unpacked = self._unpack(pieces, packed)
        try:
            with watchdog.body(of_events=self.of_events):
                try:
                    async for chunk in pieces:
                        watchdog.pause()
                        yield chunk
                        # Some tracebacks print what a frame holds, and servers repeat keys.
                        del chunk
                        watchdog.resume()
                finally:
                    if unpacked is not None:
                        await unpacked.aclose()
                    if joined is not None:
                        await joined.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise StreamCutError(
                f"The answer of {self._name} broke off: {reason_of(error)}."
            ) from cause_of(error)
        # Read to its end, so that the next request can have the connection at once.
        await self._body.aclose()

    async def _unpack(self, body: AsyncIterable[bytes], packed: str) -> AsyncGenerator[bytes, None]:
        name = self._name
        try:
            encoding = encoding_of(packed)
        except ValueError:
            raise ContentTypeError(
                f"The answer of {name} is packed in a way that was not asked for.",
                content_type=mask(self.headers.get("content-type", ""))[:200],
                hint="Check base_url: a proxy may have packed it.",
            ) from None
        unpacker = None if encoding is None else Unpacker(encoding)
        async for chunk in body:
            if unpacker is None:
                yield chunk
                continue
            try:
                for count, piece in enumerate(unpacker.unpack(chunk), 1):
                    yield piece
                    if not count % _PIECES:
                        await asyncio.sleep(0)
            except OverflowingError:
                raise AnswerTooLargeError(
                    f"The answer of {name} unpacks to more than {MOST_TIMES} times its size.",
                    limit=FREE_BYTES,
                ) from None
            except ValueError as error:
                reason = one_line(str(error))
                message = f"The answer of {name} cannot be decompressed: {reason}."
                raise StreamCutError(message) from None
        if unpacker is not None and not unpacker.is_whole:
            raise StreamCutError(f"The answer of {name} broke off: its compressed end is missing.")

    async def aclose(self) -> None:
        """Let the connection go: to the pool after a clean end, else closed at once."""
        self.watchdog.stop()
        try:
            await self.chunks.aclose()
        finally:
            # Also where a cancellation breaks that off: nobody else would close the connection.
            await self._body.aclose()


# A run is followed, and the next one begun, where the last one was.
@lru_cache(maxsize=256)
def _url(address: str) -> httpx.URL:
    return httpx.URL(address)


def _fast_transport() -> type[FastTransport]:
    try:
        from agentnb._http.aiohttp_transport import FastTransport
    except ImportError as error:
        raise ConfigError(
            f"The transport aiohttp is chosen, and {error.name or 'it'} is not installed.",
            hint=f"{INSTALL_AIOHTTP}, or unset {TRANSPORT_VARIABLE} and transport in agentnb.toml.",
        ) from None
    return FastTransport


def ssl_context(base_url: str, *, trust_env: bool) -> ssl.SSLContext:
    """Return the TLS settings for an address, which always verify certificates."""
    if not base_url.startswith("https:") and not (trust_env and getproxies()):
        # Nothing will use TLS, so nothing need be loaded.  Were it used, it would trust nobody.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ()
    return _loaded_ssl_context(trust_env, tuple(os.environ.get(name) for name in names))


@lru_cache(maxsize=4)
def _loaded_ssl_context(trust_env: bool, _certificates: tuple[str | None, ...]) -> ssl.SSLContext:
    # Loading the certificates takes longer than everything else that a first request needs.
    try:
        return httpx.create_ssl_context(trust_env=trust_env)
    except OSError as error:
        raise ConfigError(
            f"The certificates cannot be loaded: {reason_of(error)}.",
            hint="Check SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from error
