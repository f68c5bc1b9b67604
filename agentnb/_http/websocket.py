"""WebSockets: a request sent as one message, and its response as a stream of messages.

Imported with the first WebSocket, as it imports websockets.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from logging import getLogger
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
    WebSocketException,
)

from agentnb._http.error_responses import ErrorParser, error_from_response, one_line
from agentnb._http.errors import (
    connect_timeout,
    connection_failed,
    is_permanent,
    proxy_error,
    reason_of,
)
from agentnb._http.request import proxy_for
from agentnb._http.timeout import Deadlines, Watchdog
from agentnb._http.transport import ssl_context
from agentnb._support import __version__
from agentnb.errors import (
    AgentnbError,
    AuthenticationError,
    EventTooLargeError,
    RequestError,
    StreamCutError,
)
from agentnb.redaction.secrets import mask, mask_logs

_LOGGER: Final = "websockets.client"
# Keeps proxies from closing an idle connection, in seconds.
_PING_INTERVAL: Final = 20.0
# How long the server may take to confirm that the connection is closed, in seconds.
_CLOSE_TIMEOUT: Final = 0.5

# Close codes, RFC 6455, section 7.4.1, and the usual private ones for HTTP's 401 and 403.
_NORMAL: Final = frozenset({1000, 1001})
_TOO_BIG: Final = 1009
_UNAUTHORIZED: Final = frozenset({1008, 3000, 3003, 4001, 4003, 4401, 4403})


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow no redirect: the key goes to the configured address only."""
        return exc


async def open_websocket(
    base_url: str,
    path: str,
    *,
    name: str,
    headers: Callable[[], list[tuple[bytes, bytes]]],
    message: str,
    deadlines: Deadlines,
    left: float | None,
    trust_env: bool,
    max_bytes: int,
    parse_error: ErrorParser,
) -> WebSocketResponse:
    """Connect and return the response to ``message``, which is sent when its messages are read.

    ``headers`` is a function, so that no frame of a traceback holds those of the handshake.
    ``left`` is the rest of the deadline ``total``, in seconds; ``max_bytes`` limits one message.

    Raises:
        PlatformError: the server refused the handshake.
        TransportError: no connection, or a deadline passed.
        ConfigError: the environment names a proxy that cannot be used.
    """
    if not path.startswith("/"):
        raise RequestError("The path of the request does not begin with a slash.")
    options: dict[str, Any] = {}
    if base_url.startswith("https:"):
        options["ssl"] = ssl_context(base_url, trust_env=trust_env)
    logger = getLogger(_LOGGER)
    mask_logs()
    watchdog = Watchdog(deadlines, name=name, left=left)
    try:
        async with watchdog:
            connection = await _Connect(
                "ws" + base_url.removeprefix("http") + path,
                additional_headers=[(k.decode(), v.decode()) for k, v in headers()],
                user_agent_header=f"agentnb/{__version__}",
                compression=None,
                proxy=proxy_for(base_url) if trust_env else None,
                open_timeout=deadlines.connect,
                ping_interval=_PING_INTERVAL,
                # A busy server may be late with its pongs.
                ping_timeout=None,
                close_timeout=_CLOSE_TIMEOUT,
                max_size=max_bytes,
                logger=logger,
                **options,
            )
    except InvalidStatus as error:
        response = error.response
        raise error_from_response(
            name=name,
            status=response.status_code,
            headers={key.lower(): value for key, value in response.headers.raw_items()},
            body=bytes(response.body or b""),
            parse_error=parse_error,
            base_url=base_url,
            method="GET",
            path=path,
        ) from None
    except (WebSocketException, OSError, EOFError, ImportError) as error:
        raise _map_error(error, name=name, base_url=base_url, connect=deadlines.connect) from None
    return WebSocketResponse(connection, watchdog, name=name, message=message, max_bytes=max_bytes)


class WebSocketResponse:
    """Open WebSocket.  `messages` can be iterated once; `aclose` closes the connection."""

    def __init__(
        self,
        connection: ClientConnection,
        watchdog: Watchdog,
        *,
        name: str,
        message: str,
        max_bytes: int,
    ) -> None:
        self._connection = connection
        self._watchdog = watchdog
        self._name = name
        self._message = message
        self._max_bytes = max_bytes

    async def messages(self) -> AsyncGenerator[str, None]:
        """Send the request, and yield each message of the response as text.

        Ends when the server closes the connection normally.

        Raises:
            AuthenticationError: the server does not accept the key.
            DeadlineError: ``first_event``, ``idle``, ``progress`` or ``total`` passed.
            EventTooLargeError: a message is larger than the limit.
            StreamCutError: the connection was lost.
        """
        watchdog, connection = self._watchdog, self._connection
        try:
            watchdog.begin_body(of_events=True)
            async with watchdog:
                await connection.send(self._message)
            while True:
                async with watchdog:
                    message = await connection.recv()
                watchdog.event_came = True
                yield message if isinstance(message, str) else message.decode(errors="replace")
                # Some tracebacks print variables, and servers echo keys.
                del message
        except ConnectionClosed as closed:
            if (error := self._error(closed)) is not None:
                raise error from None

    def _error(self, closed: ConnectionClosed) -> AgentnbError | None:
        """Return the exception for a close code, None for a normal one."""
        if closed.sent is not None and closed.sent.code == _TOO_BIG and not closed.rcvd_then_sent:
            return EventTooLargeError(
                f"A message of {self._name} is larger than {self._max_bytes} bytes.",
                limit=self._max_bytes,
            )
        if closed.rcvd is None:
            return StreamCutError(f"The answer of {self._name} broke off: the connection was lost.")
        code = closed.rcvd.code
        if code in _NORMAL:
            return None
        reason = one_line(mask(closed.rcvd.reason or "")) or "no reason was given"
        if code in _UNAUTHORIZED:
            return AuthenticationError(
                f"{self._name} closed the connection: {reason} ({code}).",
                hint="Check the key, and whether it may use this agent.",
                code=str(code),
            )
        return StreamCutError(
            f"The answer of {self._name} broke off: the server closed the connection with "
            f"{code}, {reason}."
        )

    async def aclose(self) -> None:
        """Close the connection, without waiting for long until the server confirms."""
        try:
            await self._connection.close()
        finally:
            self._connection.transport.abort()


def _map_error(
    error: Exception, *, name: str, base_url: str, connect: float | None
) -> AgentnbError:
    """Return the exception for a failure to connect."""
    if isinstance(error, ImportError):
        return proxy_error("for SOCKS, install python-socks")
    if isinstance(error, InvalidProxy):
        return proxy_error()
    if isinstance(error, InvalidURI):
        return RequestError("The address of the request is not valid.")
    if isinstance(error, TimeoutError) and error.errno is None and connect is not None:
        return connect_timeout(name, base_url, connect)
    if isinstance(error, ProxyError):
        reason = "the proxy refused it"
        return connection_failed(name, base_url, reason, lasting=is_permanent(error))
    if isinstance(error, InvalidHandshake) and not isinstance(error, OSError):
        reason = "the server does not speak WebSocket"
        return connection_failed(name, base_url, reason, lasting=True)
    return connection_failed(name, base_url, reason_of(error), lasting=is_permanent(error))
