"""The transport: httpx, its pool, and its exceptions turned into this package's.

The only module that imports httpx; it is itself imported with the first request.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import lru_cache
from typing import Any, cast
from urllib.request import getproxies

import httpx

from agentnb._http.answers import one_line
from agentnb._http.watchdog import Watchdog
from agentnb.deadlines import Deadlines
from agentnb.errors import (
    AgentnbError,
    ConfigError,
    ConnectionFailedError,
    DeadlineError,
    RequestError,
    StreamCutError,
)

__all__ = ["Answer", "Transport"]

# Between two cells a reader reads; a connection is worth keeping that long.
_KEEPALIVE_SECONDS = 60.0


class Transport:
    """A pool of connections.  Belongs to one event loop."""

    def __init__(self, base_url: str, *, name: str, deadlines: Deadlines, trust_env: bool) -> None:
        self._base_url = base_url
        self._name = name
        self._deadlines = deadlines
        tls = _ssl_context(base_url, trust_env=trust_env)
        try:
            self._client = httpx.AsyncClient(
                verify=tls,
                trust_env=trust_env,
                # The watchdog does the waiting, but for the connection: only the pool knows of it.
                timeout=httpx.Timeout(None, connect=deadlines.connect),
                # A stream holds its connection while it runs: a limit would be one of runs.
                limits=httpx.Limits(
                    max_connections=None,
                    max_keepalive_connections=20,
                    keepalive_expiry=_KEEPALIVE_SECONDS,
                ),
                follow_redirects=False,
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            needs = "; for SOCKS, install httpx[socks]" if isinstance(error, ImportError) else ""
            # The address of a proxy may hold a password, so nothing of it is repeated.
            raise ConfigError(
                f"The environment names a proxy that cannot be used{needs}.",
                hint="Mend HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or set trust_env to False.",
            ) from None

    def build(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None,
        headers: Callable[[], list[tuple[bytes, bytes]]],
        content: bytes | None,
    ) -> httpx.Request:
        """Return a request, which shows no headers in its ``repr``.

        ``headers`` is called for them, so that no frame of a traceback holds them in a variable:
        some tracebacks print variables.
        """
        try:
            url = httpx.URL(self._base_url + path, params=params)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise RequestError(f"The address of the request is not valid: {error}.") from error
        return self._client.build_request(method, url, headers=headers(), content=content)

    async def send(self, request: httpx.Request) -> Answer:
        """Send a request; return its answer as soon as the head has arrived."""
        watchdog = Watchdog(self._deadlines, name=self._name)
        try:
            with watchdog.waiting("first_event"):
                response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._failure(error) from _cause(error)
        finally:
            watchdog.stop()
        return Answer(response, watchdog, name=self._name)

    async def aclose(self) -> None:
        await self._client.aclose()

    def _failure(self, error: httpx.HTTPError) -> AgentnbError:
        """Return what a failure before the answer's head means."""
        name, where, reason = self._name, self._base_url, _reason(error)
        if isinstance(error, httpx.ConnectTimeout) and self._deadlines.connect is not None:
            return DeadlineError(
                f"No connection to {name} at {where} within {self._deadlines.connect:g} s.",
                deadline="connect",
                seconds=self._deadlines.connect,
                hint="Check base_url and the network.",
            )
        if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.TimeoutException):
            return ConnectionFailedError(
                f"No connection to {name} at {where}: {reason}.",
                hint="Check base_url and the network.",
            )
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            return RequestError(f"The request to {name} cannot be sent: {one_line(str(error))}.")
        return ConnectionFailedError(f"{name} at {where} gave no answer: {reason}.")


class Answer:
    """An answer whose head has arrived.

    ``chunks`` is its body, as the reads of the network bring it, and can be iterated once.  It
    raises `DeadlineError` when ``idle`` or ``total`` passes, and `StreamCutError` when the body
    breaks off.
    """

    __slots__ = ("_name", "_response", "_watchdog", "chunks", "headers", "status")

    def __init__(self, response: httpx.Response, watchdog: Watchdog, *, name: str) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.chunks = self._read()
        self._response = response
        self._watchdog = watchdog
        self._name = name

    async def _read(self) -> AsyncGenerator[bytes, None]:
        response, watchdog = self._response, self._watchdog
        # Each layer costs every chunk; those of the decompressors only where there is a need.
        encoded = "content-encoding" in self.headers
        body = response.aiter_bytes() if encoded else cast("httpx.AsyncByteStream", response.stream)
        try:
            with watchdog.waiting("idle"):
                async for chunk in body:
                    watchdog.pause()
                    yield chunk
                    watchdog.resume()
        except (httpx.HTTPError, httpx.StreamError) as error:
            broken = isinstance(error, httpx.DecodingError)
            what = "cannot be decompressed" if broken else "broke off"
            raise StreamCutError(
                f"The answer of {self._name} {what}: {_reason(error)}."
            ) from _cause(error)
        # Read to its end, so that the next request can have the connection at once.
        await response.aclose()

    async def aclose(self) -> None:
        """Let the connection go: to the pool after a clean end, else closed at once."""
        self._watchdog.stop()
        await self.chunks.aclose()
        await self._response.aclose()


def _ssl_context(base_url: str, *, trust_env: bool) -> ssl.SSLContext:
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
            f"The certificates cannot be loaded: {_reason(error)}.",
            hint="Check SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from error


def _cause(error: Exception) -> BaseException | None:
    # What the parser of HTTP says repeats the server's bytes, which may be anything.
    return None if isinstance(error, httpx.RemoteProtocolError) else _root(error)


def _root(error: BaseException) -> BaseException:
    """Return the error underneath, without its frames: those hold the request and its headers."""
    seen: set[int] = set()
    while (below := error.__cause__ or error.__context__) is not None and id(below) not in seen:
        seen.add(id(below))
        if isinstance(below, BaseExceptionGroup):
            break
        error = below
    return error.with_traceback(None)


def _reason(failure: Exception) -> str:
    if isinstance(failure, httpx.RemoteProtocolError):
        hung_up = re.search("disconnected|closed connection", str(failure))
        return "the connection was closed" if hung_up else "what came is not valid HTTP"
    error = _root(failure)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({one_line(error.verify_message)})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({one_line(error.reason or str(error))})"
    if isinstance(error, socket.gaierror):
        return one_line(error.strerror or str(error))
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return one_line(str(error)).rstrip(".") or type(error).__name__
