"""Response whose head has arrived, and its body: JSON, or a stream of events.

Imported with the first request, as it imports httpx.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import suppress
from typing import Any, Final, cast

import httpx

from agentnb._http.decompression import (
    MAX_RATIO,
    MIN_OUTPUT_LIMIT,
    DecompressionBombError,
    Decompressor,
    parse_content_encoding,
)
from agentnb._http.error_responses import (
    MAX_ERROR_BYTES,
    excerpt,
    media_type,
    one_line,
    read_json,
    without_frames,
)
from agentnb._http.errors import cause_of, reason_of
from agentnb._http.timeout import Watchdog
from agentnb.errors import (
    AgentnbError,
    AnswerTooLargeError,
    ContentTypeError,
    PlatformError,
    StreamCutError,
)
from agentnb.redaction.secrets import mask, mask_value
from agentnb.sse import Decoder, ServerSentEvent

# Decompressed pieces of one read after which other tasks get a turn.
_PIECES_PER_TURN: Final = 16
# An error is reported without the rest of its body rather than late, in seconds.
_ERROR_BODY_TIMEOUT: Final = 10.0
# For the excerpt in an error whose reason is in the head, in seconds.
_EXCERPT_TIMEOUT: Final = 1.0
# EventSource accepts only 200, but it only sends GET; a response to POST may be 201 or 202.
_STREAM_STATUSES: Final = frozenset({200, 201, 202})
_BODY_ERRORS: Final = (AgentnbError, httpx.HTTPError, httpx.StreamError)


class _Headers(httpx.Headers):
    """Headers with masked ``repr``: servers echo keys, and tracebacks print variables."""

    def __repr__(self) -> str:
        return mask(super().__repr__())


class Response:
    """Response whose head has arrived; its body can be read once.

    ``headers`` are case-insensitive.  ``is_event_stream`` is whether the content type is that of a
    stream; where a platform may send JSON instead, read it with `json`.
    """

    def __init__(
        self,
        response: httpx.Response,
        watchdog: Watchdog,
        *,
        name: str,
        max_event_bytes: int,
        max_json_bytes: int,
    ) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = _Headers(response.headers)
        self.is_event_stream = media_type(self.headers) == "text/event-stream"
        self._body = cast("httpx.AsyncByteStream", response.stream)
        self._watchdog = watchdog
        self._name = name
        self._max_json_bytes = max_json_bytes
        self._decoder = Decoder(max_event_bytes=max_event_bytes)

    @property
    def last_event_id(self) -> str:
        """The last id in the stream, or ""."""
        return self._decoder.last_event_id

    @property
    def reconnect_after(self) -> float | None:
        """The delay in seconds before a reconnect that the stream set, or None."""
        return self._decoder.reconnect_after

    async def batches(self) -> AsyncGenerator[list[ServerSentEvent], None]:
        """Yield the events, in one list for each chunk of the body that completed any.

        Ends at the stream's clean end, and at once if the status is 204.

        Raises:
            AnswerTooLargeError: the response is a decompression bomb.
            ContentTypeError: the response is no event stream.
            DeadlineError: ``first_event``, ``idle``, ``progress`` or ``total`` passed.
            EventTooLargeError: an event is larger than the client's ``max_event_bytes``.
            PlatformError: the status is a success that carries no stream, 205 for example.
            StreamCutError: the stream ended early.
        """
        if self.status == 204:
            # Once its end is read, the connection can serve the next request.
            await self.read_start()
            return
        if self.status not in _STREAM_STATUSES:
            raise PlatformError(
                f"{self._name} answered {self.status}, which carries no event stream.",
                status=self.status,
            )
        if not self.is_event_stream:
            raise self._wrong_type(
                "an event stream", await self.read_start(timeout=_EXCERPT_TIMEOUT)
            )
        watchdog, feed = self._watchdog, self._decoder.feed
        watchdog.begin_body(of_events=True)
        failure = None
        try:
            async for chunk in self._chunks():
                events = feed(chunk)
                # Some tracebacks print variables, and servers echo keys.
                del chunk
                if events:
                    watchdog.event_came = True
                    yield events
                del events
            # Release the connection for the next request at once.
            await self.aclose()
            # If the last chunk had an event that is too large behind others, this raises.
            feed(b"")
        except _BODY_ERRORS as error:
            chunk = events = None  # noqa: F841  # for tracebacks, as above
            failure = self._body_error(error)
        if failure is not None:
            raise failure

    async def json(self) -> Any:
        """Return the whole body parsed as JSON and masked, None where there is none.

        Raises:
            AnswerTooLargeError: the body is larger than the client's ``max_json_bytes``.
            ContentTypeError: the body is not JSON.
            DeadlineError: ``idle``, ``progress`` or ``total`` passed.
            StreamCutError: the body ended early.
        """
        self._watchdog.begin_body(of_events=False)
        body, chunk, failure = bytearray(), b"", None
        try:
            async for chunk in self._chunks():
                body += chunk
                if len(body) > self._max_json_bytes:
                    raise AnswerTooLargeError(
                        f"The answer of {self._name} is larger than {self._max_json_bytes} bytes.",
                        limit=self._max_json_bytes,
                        hint="Ask for less at a time.",
                    )
        except _BODY_ERRORS as error:
            body = chunk = b""
            failure = self._body_error(error)
        if failure is not None:
            raise failure
        if not body.strip():
            return None
        data, problem = _parse(bytes(body))
        # Some tracebacks print variables, and servers echo keys.
        body = chunk = _mask_bytes(body) if problem else b""
        if problem is None:
            return data
        raise self._wrong_type("JSON", body) from ValueError(problem)

    async def read_start(self, *, timeout: float = _ERROR_BODY_TIMEOUT) -> bytes:
        """Return the start of a body that explains an error: what arrives within ``timeout``."""
        self._watchdog.begin_body(of_events=False)
        body = bytearray()
        with suppress(TimeoutError, *_BODY_ERRORS):
            async with asyncio.timeout(timeout):
                async for chunk in self._chunks():
                    body += chunk
                    if len(body) >= MAX_ERROR_BYTES:
                        break
        return bytes(body[:MAX_ERROR_BYTES])

    async def aclose(self) -> None:
        """Return the connection to the pool if the body was read to its end, else close it."""
        await self._body.aclose()

    def _chunks(self) -> AsyncIterable[bytes]:
        """Return the body in the chunks that the transport delivers, decompressed."""
        header = self.headers.get("content-encoding")
        return self._decompress(header) if header else self._body

    async def _decompress(self, header: str) -> AsyncGenerator[bytes, None]:
        name = self._name
        try:
            encoding = parse_content_encoding(header)
        except ValueError:
            raise ContentTypeError(
                f"The answer of {name} has an encoding that was not accepted.",
                content_type=mask(self.headers.get("content-type", ""))[:200],
                hint="Check base_url: a proxy may have compressed it.",
            ) from None
        decompressor = None if encoding is None else Decompressor(encoding)
        async for chunk in self._body:
            if decompressor is None:
                yield chunk
                continue
            try:
                for count, piece in enumerate(decompressor.decompress(chunk), 1):
                    yield piece
                    if not count % _PIECES_PER_TURN:
                        await asyncio.sleep(0)
            except DecompressionBombError:
                raise AnswerTooLargeError(
                    f"The answer of {name} expands to more than {MAX_RATIO} times its size.",
                    limit=MIN_OUTPUT_LIMIT,
                ) from None
            except ValueError as error:
                reason = one_line(str(error))
                message = f"The answer of {name} cannot be decompressed: {reason}."
                raise StreamCutError(message) from None
        if decompressor is not None and not decompressor.is_complete:
            raise StreamCutError(f"The answer of {name} broke off: its compressed end is missing.")

    def _body_error(self, error: Exception) -> AgentnbError:
        """Return the exception for a body that cannot be read, without frames."""
        if not isinstance(error, AgentnbError):
            cut = StreamCutError(f"The answer of {self._name} broke off: {reason_of(error)}.")
            cut.__cause__ = cause_of(error)
            error = cut
        if isinstance(error, StreamCutError):
            error.last_event_id = mask(self.last_event_id)
            error.reconnect_after = self.reconnect_after
        return without_frames(error)

    def _wrong_type(self, expected: str, body: bytes) -> ContentTypeError:
        received = mask(media_type(self.headers))[:100] or "a body without a type"
        return ContentTypeError(
            f"{self._name} answered with {received} where {expected} was expected.",
            content_type=mask(self.headers.get("content-type", ""))[:200],
            excerpt=excerpt(body),
            hint="Check base_url: a login page or a proxy may have answered.",
        )


def _parse(body: bytes) -> tuple[Any, str | None]:
    """Return the masked data and None; or None and why the body is not JSON."""
    try:
        return mask_value(read_json(body)), None
    except RecursionError:
        return None, "nested too deeply"
    except ValueError as error:
        # The exception itself holds the body.
        return None, mask(str(error))


def _mask_bytes(body: bytes | bytearray) -> bytes:
    return mask(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
