"""`HttpClient`: requests with retries, and their responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from agentnb._http.decompression import accepted_encodings
from agentnb._http.error_responses import (
    ErrorParser,
    error_from_response,
    no_error_details,
    without_frames,
)
from agentnb._http.options import (
    MAX_JSON_BYTES,
    RetryDelay,
    TransportName,
    chosen_transport,
    current_options,
    remaining_time,
)
from agentnb._http.request import (
    check_base_url,
    encode_headers,
    encode_json,
    warn_if_unencrypted,
)
from agentnb._http.retry import Retries, idempotency_header, retry_delay
from agentnb._http.timeout import Deadlines
from agentnb._support import __version__, install_hint
from agentnb._support.fork import keep_forever, renew_after_fork
from agentnb.errors import AgentnbError, ConfigError
from agentnb.redaction.secrets import remember_secret
from agentnb.sse import DEFAULT_MAX_EVENT_BYTES

if TYPE_CHECKING:
    from pydantic import SecretStr

    from agentnb._http.response import Response
    from agentnb._http.transport import Transport
    from agentnb._http.websocket import WebSocketResponse

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A successful response.

    ``headers`` are case-insensitive; ``data`` is the parsed body, None where there is none.
    """

    status: int
    headers: Mapping[str, str]
    data: Any


class HttpClient:
    """HTTP client of one platform.

    Nothing is loaded or connected before the first request.  All calls must come from one event
    loop.  Pass headers with secret values as `SecretStr`: they are revealed only while a request is
    written, and masked in whatever an error repeats of a response.

    A request that fails for a temporary reason before the head of its response is retried according
    to ``retries``; all attempts of one with side effects have the same ``Idempotency-Key``.
    `RequestOptions` override ``deadlines`` and ``retries``.  ``transport`` names the library to
    use, where the environment names none.

    Every method raises the `PlatformError` for an unsuccessful status, a `TransportError` for a
    failed connection or a deadline, and `RequestError` for an invalid request.
    """

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        headers: Mapping[str, str | SecretStr] | None = None,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        trust_env: bool = True,
        transport: TransportName | None = None,
        parse_error: ErrorParser = no_error_details,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        max_json_bytes: int = MAX_JSON_BYTES,
    ) -> None:
        self.base_url = check_base_url(base_url, name=name)
        warn_if_unencrypted(self.base_url, name=name)
        self.name = name
        self.deadlines = deadlines or Deadlines()
        self.retries = retries or Retries()
        self._headers = dict(headers or {})
        for value in self._headers.values():
            if not isinstance(value, str):
                remember_secret(value)
        self._trust_env = trust_env
        self._library: TransportName | None = transport
        self._parse_error = parse_error
        self._max_event_bytes = max_event_bytes
        self._max_json_bytes = max_json_bytes
        self._transport: Transport | None = None
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"HttpClient({self.base_url!r}, name={self.name!r})"

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JsonResponse:
        """Send a request and return its JSON response.

        ``path`` begins with a slash and is percent-encoded; without ``json`` there is no body;
        ``params`` that are None are left out.

        Raises:
            AnswerTooLargeError: the response is larger than ``max_json_bytes``.
            ContentTypeError: the response has a body that is not JSON.
        """
        response = await self._open(method, path, json, params, headers, "application/json")
        try:
            return JsonResponse(response.status, response.headers, await response.json())
        finally:
            await response.aclose()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Response, None]:
        """Send a request and yield its response stream.

        On exit the connection returns to the pool if the stream was read to its end, else it is
        closed at once.
        """
        response = await self._open(method, path, json, params, headers, "text/event-stream")
        try:
            yield response
        finally:
            await response.aclose()

    @asynccontextmanager
    async def websocket(self, path: str, *, json: Any) -> AsyncGenerator[WebSocketResponse, None]:
        """Open a WebSocket on which ``json`` is the only message sent, and yield the response.

        The scheme is ``ws`` where that of ``base_url`` is ``http``, else ``wss``.  The handshake is
        retried like a request; the message is sent once.  The connection is closed on exit.

        Raises:
            ConfigError: the package websockets is not installed.
        """
        message = encode_json(json).decode()
        try:
            from agentnb._http.websocket import open_websocket
        except ImportError as error:
            raise ConfigError(
                f"{self.name} is reached over a WebSocket here, and the package websockets is not "
                "installed, or too old.",
                hint=install_hint("websocket"),
            ) from error

        def connect(deadlines: Deadlines, left: float | None) -> Awaitable[WebSocketResponse]:
            return open_websocket(
                self.base_url,
                path,
                name=self.name,
                headers=partial(encode_headers, {}, self._headers),
                message=message,
                deadlines=deadlines,
                left=left,
                trust_env=self._trust_env,
                max_bytes=self._max_event_bytes,
                parse_error=self._parse_error,
            )

        response = await self._retry(connect)
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close every connection.  Safe to call twice; a later request opens new ones."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    def after_fork(self) -> None:
        """Drop the parent's connections: a forked child opens its own."""
        keep_forever(self._transport)
        self._transport = None

    async def _open(
        self,
        method: str,
        path: str,
        json: Any,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        accept: str,
    ) -> Response:
        """Send a request with retries; return its successful response, to be closed."""
        content = None if json is None else encode_json(json)
        defaults = {
            "accept": accept,
            "accept-encoding": accepted_encodings(),
            "connection": "keep-alive",
            "user-agent": f"agentnb/{__version__}",
            **idempotency_header(method, self._headers, headers),
        }
        if accept == "text/event-stream":
            defaults["cache-control"] = "no-store"
        if content is not None:
            defaults["content-type"] = "application/json"
        query = {name: value for name, value in (params or {}).items() if value is not None}
        send = partial(
            self._send,
            method,
            path,
            params=query or None,
            headers=partial(encode_headers, defaults, self._headers, headers),
            content=content,
        )
        return await self._retry(send)

    async def _retry(self, send: Callable[..., Awaitable[T]]) -> T:
        """Call ``send`` until it succeeds, or the request options allow no further attempt."""
        options = current_options()
        deadlines = options.deadlines or self.deadlines
        retries = (options.retries or self.retries).requests
        left = remaining_time(deadlines)
        loop = asyncio.get_running_loop()
        end = None if left is None else loop.time() + left
        for attempt in count(1):
            if options.on_request is not None:
                options.on_request()
            try:
                return await send(deadlines, None if end is None else end - loop.time())
            except AgentnbError as error:
                without_frames(error)
                seconds = retry_delay(attempt, error)
                if attempt > retries or seconds is None:
                    raise
                # Do not wait if there is no time for the attempt after it.
                if end is not None and loop.time() + seconds >= end:
                    raise
                if options.on_retry is not None:
                    options.on_retry(
                        RetryDelay(attempt=attempt, of=retries, seconds=seconds, error=error)
                    )
            await options.sleep(seconds)
        raise AssertionError("not reached")

    async def _send(
        self,
        method: str,
        path: str,
        deadlines: Deadlines,
        left: float | None,
        *,
        params: Mapping[str, Any] | None,
        headers: Callable[[], list[tuple[bytes, bytes]]],
        content: bytes | None,
    ) -> Response:
        """Send one request once; return its successful response."""
        if self._transport is None:
            from agentnb._http.transport import Transport

            self._transport = Transport(
                self.base_url,
                name=self.name,
                trust_env=self._trust_env,
                library=chosen_transport(self._library),
                max_event_bytes=self._max_event_bytes,
                max_json_bytes=self._max_json_bytes,
            )
        transport = self._transport
        request = transport.build_request(
            method,
            path,
            params=params,
            headers=headers,
            content=content,
            connect=deadlines.connect,
        )
        response = await transport.send(request, deadlines=deadlines, left=left)
        if 200 <= response.status < 300:
            return response
        try:
            raise error_from_response(
                name=self.name,
                status=response.status,
                headers=response.headers,
                body=await response.read_start(),
                parse_error=self._parse_error,
                base_url=self.base_url,
                method=method,
                path=path,
            )
        finally:
            await response.aclose()
