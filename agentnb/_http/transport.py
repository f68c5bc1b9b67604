"""The transport: a pool of connections, with httpx's exceptions mapped to this package's.

Imported with the first request, as it imports httpx.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import httpx

from agentnb._http.error_responses import one_line
from agentnb._http.errors import (
    cause_of,
    connect_timeout,
    connection_failed,
    is_permanent,
    proxy_error,
    reason_of,
)
from agentnb._http.options import (
    INSTALL_AIOHTTP,
    MAX_JSON_BYTES,
    TRANSPORT_VARIABLE,
    TransportName,
    current_options,
)
from agentnb._http.pool import ConnectionPool
from agentnb._http.request import proxy_for
from agentnb._http.response import Response
from agentnb._http.timeout import WATCHDOG, Deadlines, Watchdog
from agentnb.errors import AgentnbError, ConfigError, ConnectionFailedError, RequestError
from agentnb.redaction.secrets import mask_logs
from agentnb.sse import DEFAULT_MAX_EVENT_BYTES

if TYPE_CHECKING:
    from agentnb._http.aiohttp_transport import AiohttpTransport

# These redirects keep method and body; the others may turn a request into a GET.
_KEEP_METHOD: Final = frozenset({307, 308})
_MAY_CHANGE_METHOD: Final = frozenset({301, 302, 303})


class Transport:
    """A pool of connections.  Belongs to one event loop."""

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        trust_env: bool,
        library: TransportName,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        max_json_bytes: int = MAX_JSON_BYTES,
    ) -> None:
        self._base_url = base_url
        self._name = name
        self._max_event_bytes = max_event_bytes
        self._max_json_bytes = max_json_bytes
        factory = _aiohttp_transport() if library == "aiohttp" else ConnectionPool
        tls = ssl_context(base_url, trust_env=trust_env)
        proxy = proxy_for(base_url) if trust_env else None
        try:
            # All requests go to one server, so one transport serves them.
            self._pool: httpx.AsyncBaseTransport = factory(
                None if proxy is None else httpx.Proxy(proxy), tls=tls
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            if not isinstance(error, ImportError):
                raise proxy_error() from None
            detail = error.msg if library == "aiohttp" else "for SOCKS, install httpx[socks]"
            raise proxy_error(detail) from None
        # Only now: the libraries' loggers exist.
        mask_logs()

    def build_request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None,
        headers: Callable[[], list[tuple[bytes, bytes]]],
        content: bytes | None,
        connect: float | None,
    ) -> httpx.Request:
        """Return a request, whose ``repr`` has no headers.

        ``headers`` is a function, so that no frame of a traceback holds them in a variable.
        ``connect`` limits the time to connect, in seconds.
        """
        if path and not path.startswith("/"):
            # It would become part of the host's name.
            raise RequestError("The path of the request does not begin with a slash.")
        try:
            url = _parse_url(self._base_url + path)
            if params is not None:
                url = url.copy_merge_params(params)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise RequestError(f"The address of the request is not valid: {error}.") from error
        # The watchdog enforces the other deadlines; only the pool knows when it connects.
        timeout = {"connect": connect, "pool": connect, "read": None, "write": None}
        return httpx.Request(
            method, url, headers=headers(), content=content, extensions={"timeout": timeout}
        )

    async def send(
        self, request: httpx.Request, *, deadlines: Deadlines, left: float | None
    ) -> Response:
        """Send a request; return its response as soon as the head has arrived.

        ``left`` is the rest of the deadline ``total``, in seconds.  A redirect that only adds or
        removes a slash at the end of the path is followed, once.
        """
        started = asyncio.get_running_loop().time()
        response = await self._send(request, deadlines=deadlines, left=left)
        redirected = _slash_redirect(request, response)
        if redirected is None:
            return response
        try:
            await response.read_start()
        finally:
            await response.aclose()
        if (on_request := current_options().on_request) is not None:
            on_request()
        if left is not None:
            left -= asyncio.get_running_loop().time() - started
        return await self._send(redirected, deadlines=deadlines, left=left)

    async def _send(
        self, request: httpx.Request, *, deadlines: Deadlines, left: float | None
    ) -> Response:
        request.extensions[WATCHDOG] = watchdog = Watchdog(deadlines, name=self._name, left=left)
        try:
            async with watchdog:
                response = await self._pool.handle_async_request(request)
        except httpx.HTTPError as error:
            raise self._map_error(error, deadlines.connect) from cause_of(error)
        return Response(
            response,
            watchdog,
            name=self._name,
            max_event_bytes=self._max_event_bytes,
            max_json_bytes=self._max_json_bytes,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    def _map_error(self, error: httpx.HTTPError, connect: float | None) -> AgentnbError:
        """Return the exception for a failure before the response's head."""
        name, where, reason = self._name, self._base_url, reason_of(error)
        if isinstance(error, httpx.ConnectTimeout) and connect is not None:
            return connect_timeout(name, where, connect)
        if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.TimeoutException):
            return connection_failed(name, where, reason, lasting=is_permanent(error))
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            return RequestError(f"The request to {name} cannot be sent: {one_line(str(error))}.")
        return ConnectionFailedError(
            f"{name} at {where} gave no answer: {reason}.", lasting=is_permanent(error)
        )


def _slash_redirect(request: httpx.Request, response: Response) -> httpx.Request | None:
    """Return the redirected request, if only a slash at the end of the path differs, else None.

    Frameworks redirect to the same path with or without a slash at its end.  Scheme, host, port,
    user, the rest of the path, query and fragment must be the same.  The address is built from the
    request's own and only compared with the one in the response.
    """
    if response.status not in _KEEP_METHOD and not (
        response.status in _MAY_CHANGE_METHOD and request.method == "GET"
    ):
        return None
    path, mark, query = request.url.raw_path.partition(b"?")
    path = path[:-1] if path.endswith(b"/") else path + b"/"
    if not path:
        return None
    url = request.url.copy_with(raw_path=path + mark + query)
    try:
        target = request.url.join(response.headers.get("location", ""))
    except (httpx.InvalidURL, ValueError):
        return None
    if target != url:
        return None
    return httpx.Request(
        request.method,
        url,
        headers=request.headers,
        content=request.content,
        extensions=request.extensions,
    )


# Requests to the same address follow each other: to start a run, then to read it.
@lru_cache(maxsize=256)
def _parse_url(address: str) -> httpx.URL:
    return httpx.URL(address)


def _aiohttp_transport() -> type[AiohttpTransport]:
    try:
        from agentnb._http.aiohttp_transport import AiohttpTransport
    except ImportError as error:
        raise ConfigError(
            f"The transport aiohttp is chosen, and {error.name or 'it'} is not installed.",
            hint=f"{INSTALL_AIOHTTP}, or unset {TRANSPORT_VARIABLE} and transport in agentnb.toml.",
        ) from None
    return AiohttpTransport


def ssl_context(base_url: str, *, trust_env: bool) -> ssl.SSLContext:
    """Return the TLS settings for an address, which always verify certificates."""
    if not base_url.startswith("https:") and not (trust_env and proxy_for(base_url)):
        # TLS is not used, so no certificates are loaded; if it were, none would be trusted.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ()
    return _load_ssl_context(trust_env, tuple(os.environ.get(name) for name in names))


# Loading the certificates takes longer than the rest of a first request.
@lru_cache(maxsize=4)
def _load_ssl_context(trust_env: bool, _certificates: tuple[str | None, ...]) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context(trust_env=trust_env)
    except OSError as error:
        raise ConfigError(
            f"The certificates cannot be loaded: {reason_of(error)}.",
            hint="Check SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from error
