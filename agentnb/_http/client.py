"""`HttpClient`: requests, and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from agentnb._http.deadlines import Deadlines
from agentnb._http.decompression import accepted_encodings
from agentnb._http.error_responses import ErrorParser, error_from_answer, know_nothing
from agentnb._http.lazy_import import load_httpx
from agentnb._http.options import Pause, current_terms, time_left
from agentnb._http.request import (
    check_base_url,
    encode_headers,
    encode_json,
    encode_params,
    warn_if_unencrypted,
)
from agentnb._http.response import (
    MAX_JSON_BYTES,
    EventStream,
    JsonAnswer,
    read_json_body,
    read_start,
)
from agentnb._http.retries import Retries
from agentnb._http.retry import idempotency_header, pause_before
from agentnb._http.traceback_frames import without_frames
from agentnb._http.transports import TransportName, chosen_transport
from agentnb._support.fork import keep_forever, renew_after_fork
from agentnb._support.installing import __version__, install_hint
from agentnb.errors import AgentnbError, ConfigError
from agentnb.redaction.secrets import remember_secret
from agentnb.sse import DEFAULT_MAX_EVENT_BYTES

if TYPE_CHECKING:
    from pydantic import SecretStr

    from agentnb._http.transport import Answer, Transport
    from agentnb._http.websocket import WebSocketAnswer

__all__ = ["HttpClient"]

T = TypeVar("T")


class HttpClient:
    """The HTTP client of one platform: its address, its headers, its limits, its pool.

    Cheap to make: nothing is loaded or connected before the first request.  All calls must come
    from one event loop.  Headers whose values are secret are given as `SecretStr`; they are
    revealed only while a request is written, and hidden in whatever an error repeats of an answer.

    A request that fails before the head of its answer, for a reason that may pass, is made again as
    ``retries`` says; every attempt of one that may change something has the same
    ``Idempotency-Key``.  What is set in `Terms` counts instead of ``deadlines`` and ``retries``.
    ``transport`` names the library that carries them, where the environment names none.

    Every method raises the `PlatformError` for the status of an answer that is no success, a
    `TransportError` for a failed connection or a deadline, and `RequestError` for what cannot be
    sent.
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
        parse_error: ErrorParser = know_nothing,
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
    ) -> JsonAnswer:
        """Send a request that is answered with JSON; return the whole answer.

        ``path`` begins with a slash and is percent-encoded where it must be; ``json`` None sends no
        body; ``params`` that are None are left out.

        Raises:
            AnswerTooLargeError: the answer is larger than ``max_json_bytes``.
            ContentTypeError: the answer has a body that is not JSON.
        """
        accept = "application/json"
        answer = await self._open(method, path, json, params, headers, accept)
        try:
            data = await read_json_body(answer, name=self.name, limit=self._max_json_bytes)
            return JsonAnswer(answer.status, answer.headers, data)
        finally:
            await answer.aclose()

    def stream(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[EventStream]:
        """Send a request that is answered with a stream; the context is the answer.

        Leaving it lets the connection go: back to the pool if the stream was read to its end, else
        closed at once.
        """
        accept = "text/event-stream"
        return _Streaming(
            partial(self._open, method, path, json, params, headers, accept),
            partial(
                EventStream,
                name=self.name,
                max_event_bytes=self._max_event_bytes,
                max_json_bytes=self._max_json_bytes,
            ),
        )

    @asynccontextmanager
    async def websocket(self, path: str, *, json: Any) -> AsyncGenerator[WebSocketAnswer, None]:
        """Open a WebSocket on which ``json`` is the only message sent; the context is the answer.

        The address is ``ws`` where ``base_url`` is ``http``, else ``wss``.  The handshake is
        repeated as a request is; the message is sent once.  Leaving the context closes the
        connection.

        Raises:
            ConfigError: the package websockets is not installed.
        """
        question = encode_json(json).decode()
        load_httpx()
        try:
            from agentnb._http.websocket import open_websocket
        except ImportError as error:
            raise ConfigError(
                f"{self.name} is reached over a WebSocket here, and the package websockets is not "
                "installed, or too old.",
                hint=install_hint("websocket"),
            ) from error

        def connect(deadlines: Deadlines, left: float | None) -> Awaitable[WebSocketAnswer]:
            return open_websocket(
                self.base_url,
                path,
                name=self.name,
                headers=partial(encode_headers, {}, self._headers),
                question=question,
                deadlines=deadlines,
                left=left,
                trust_env=self._trust_env,
                max_bytes=self._max_event_bytes,
                parse_error=self._parse_error,
            )

        answer = await self._sent(connect)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def aclose(self) -> None:
        """Close every connection.  Safe to call twice; a later request opens anew."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    def after_fork(self) -> None:
        """Forget the parent's connections: a forked child opens its own."""
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
    ) -> Answer:
        """Send one request; return its answer, a success, which is to be closed."""
        content = None if json is None else encode_json(json)
        own = {
            "accept": accept,
            "accept-encoding": accepted_encodings(),
            "connection": "keep-alive",
            "user-agent": f"agentnb/{__version__}",
            **idempotency_header(method, self._headers, headers),
        }
        if accept == "text/event-stream":
            own["cache-control"] = "no-store"
        if content is not None:
            own["content-type"] = "application/json"
        send = partial(
            self._send,
            method,
            path,
            params=encode_params(params),
            headers=partial(encode_headers, own, self._headers, headers),
            content=content,
        )
        return await self._sent(send)

    async def _sent(self, send: Callable[..., Awaitable[T]]) -> T:
        """Send a request as often as the terms have it; return its answer, a success."""
        terms = current_terms()
        deadlines = terms.deadlines or self.deadlines
        most = (terms.retries or self.retries).requests
        left = time_left(deadlines)
        loop = asyncio.get_running_loop()
        end = None if left is None else loop.time() + left
        for attempt in count(1):
            if terms.sending is not None:
                terms.sending()
            try:
                return await send(deadlines, None if end is None else end - loop.time())
            except AgentnbError as error:
                without_frames(error)
                seconds = pause_before(attempt, error)
                if attempt > most or seconds is None:
                    raise
                # Nothing is gained by waiting for what there will be no time for.
                if end is not None and loop.time() + seconds >= end:
                    raise
                if terms.pausing is not None:
                    terms.pausing(Pause(attempt=attempt, of=most, seconds=seconds, error=error))
            await terms.sleep(seconds)
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
    ) -> Answer:
        """Send one request, once; return its answer, a success."""
        if self._transport is None:
            load_httpx()
            from agentnb._http.transport import Transport

            self._transport = Transport(
                self.base_url,
                name=self.name,
                trust_env=self._trust_env,
                library=chosen_transport(self._library),
            )
        transport = self._transport
        request = transport.build(
            method,
            path,
            params=params,
            headers=headers,
            content=content,
            connect=deadlines.connect,
        )
        answer = await transport.send(request, deadlines=deadlines, left=left)
        if 200 <= answer.status < 300:
            return answer
        try:
            raise error_from_answer(
                name=self.name,
                status=answer.status,
                headers=answer.headers,
                body=await read_start(answer),
                parse_error=self._parse_error,
                base_url=self.base_url,
                method=method,
                path=path,
            )
        finally:
            await answer.aclose()


class _Streaming(AbstractAsyncContextManager[EventStream]):
    """A request that is sent when the context is entered; leaving it closes the answer.

    Not a generator made one: a thousand streams that end feel the difference.
    """

    def __init__(
        self, send: Callable[[], Awaitable[Answer]], read: Callable[[Answer], EventStream]
    ) -> None:
        self._send = send
        self._read = read
        self._answer: Answer | None = None

    async def __aenter__(self) -> EventStream:
        self._answer = await self._send()
        return self._read(self._answer)

    async def __aexit__(self, *_: object) -> None:
        if self._answer is not None:
            await self._answer.aclose()
