"""`HttpClient`: requests, and their answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from agentnb import __version__
from agentnb._http.answers import ErrorParser, error_from_answer, know_nothing
from agentnb._http.outgoing import (
    Secrets,
    check_base_url,
    encode_headers,
    encode_json,
    encode_params,
)
from agentnb._http.patience import current_patience
from agentnb._http.received import EventStream, JsonAnswer, read_json_body, read_start
from agentnb._secrets import remember_secret
from agentnb.deadlines import Deadlines
from agentnb.sse import DEFAULT_MAX_EVENT_BYTES

if TYPE_CHECKING:
    from pydantic import SecretStr

    from agentnb._http.transport import Answer, Transport

__all__ = ["HttpClient"]


class HttpClient:
    """The HTTP client of one platform: its address, its headers, its deadlines, its pool.

    Cheap to make: nothing is loaded or connected before the first request.  All calls must come
    from one event loop.  Headers whose values are secret are given as `SecretStr`; they are
    revealed only while a request is written, and hidden in whatever an error repeats of an answer.

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
        trust_env: bool = True,
        parse_error: ErrorParser = know_nothing,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        self.base_url = check_base_url(base_url, name=name)
        self.name = name
        self.deadlines = deadlines or Deadlines()
        self._headers = dict(headers or {})
        self._secrets = Secrets(self._headers.values())
        for value in self._headers.values():
            if not isinstance(value, str):
                remember_secret(value)
        self._trust_env = trust_env
        self._parse_error = parse_error
        self._max_event_bytes = max_event_bytes
        self._transport: Transport | None = None

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
            ContentTypeError: the answer has a body that is not JSON.
        """
        accept = "application/json"

        async def once() -> JsonAnswer:
            async with self._open(method, path, json, params, headers, accept) as answer:
                data = await read_json_body(answer, name=self.name, secrets=self._secrets)
                return JsonAnswer(answer.status, answer.headers, data)

        patience = current_patience()
        return await (once() if patience is None else patience.make(method, once))

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
        return self._stream(method, path, json, params, headers)

    async def aclose(self) -> None:
        """Close every connection.  Safe to call twice; a later request opens anew."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    @asynccontextmanager
    async def _stream(
        self,
        method: str,
        path: str,
        json: Any,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> AsyncGenerator[EventStream, None]:
        async with self._open(method, path, json, params, headers, "text/event-stream") as answer:
            yield EventStream(
                answer,
                name=self.name,
                secrets=self._secrets,
                max_event_bytes=self._max_event_bytes,
            )

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        json: Any,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        accept: str,
    ) -> AsyncGenerator[Answer, None]:
        """Send one request, once; the context is its answer, a success."""
        if self._transport is None:
            from agentnb._http.transport import Transport

            self._transport = Transport(
                self.base_url,
                name=self.name,
                deadlines=self.deadlines,
                trust_env=self._trust_env,
            )
        content = None if json is None else encode_json(json)
        own = {"accept": accept, "user-agent": f"agentnb/{__version__}"}
        if accept == "text/event-stream":
            own["cache-control"] = "no-store"
        if content is not None:
            own["content-type"] = "application/json"
        request = self._transport.build(
            method,
            path,
            params=encode_params(params),
            headers=partial(encode_headers, own, self._headers, headers),
            content=content,
        )
        answer = await self._transport.send(request)
        try:
            if not 200 <= answer.status < 300:
                raise error_from_answer(
                    name=self.name,
                    status=answer.status,
                    headers=answer.headers,
                    body=await read_start(answer),
                    parse_error=self._parse_error,
                    secrets=self._secrets,
                )
            yield answer
        finally:
            await answer.aclose()
