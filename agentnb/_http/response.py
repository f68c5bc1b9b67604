"""Answers that are successes: JSON, or a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentnb._http.error_responses import MAX_ERROR_BYTES, excerpt, media_type, read_json
from agentnb._http.traceback_frames import without_frames
from agentnb.errors import (
    AgentnbError,
    AnswerTooLargeError,
    ContentTypeError,
    PlatformError,
    StreamCutError,
)
from agentnb.redaction.secrets import mask, mask_value
from agentnb.sse import Decoder, ServerSentEvent

if TYPE_CHECKING:
    from agentnb._http.transport import Answer

__all__ = ["MAX_JSON_BYTES", "EventStream", "JsonAnswer", "read_json_body", "read_start"]

# Whoever parses JSON has all of it in memory, and what it parses to besides.
MAX_JSON_BYTES: Final = 64 * 2**20

# An error is reported without the rest of its body rather than late.
_ERROR_BODY_SECONDS: Final = 10.0
# Where the head says what is wrong, the body only shows it.
_EXCERPT_SECONDS: Final = 1.0

# EventSource accepts 200 alone, but it only ever asks with GET: what a POST made may be 201 or 202.
_STREAM_STATUSES: Final = frozenset({200, 201, 202})


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A successful answer.

    ``headers`` are case-insensitive; ``data`` is the parsed body, None where there is none.
    """

    status: int
    headers: Mapping[str, str]
    data: Any


class EventStream:
    """An answer to a request for a stream: its head has arrived, and its status is a success.

    ``headers`` are case-insensitive.  ``is_event_stream`` tells whether its type is the one asked
    for; where a platform may answer JSON instead, `json` reads that.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        name: str,
        max_event_bytes: int,
        max_json_bytes: int,
    ) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.is_event_stream = media_type(answer.headers) == "text/event-stream"
        self._answer = answer
        self._name = name
        self._max_json_bytes = max_json_bytes
        self._decoder = Decoder(max_event_bytes=max_event_bytes)

    @property
    def last_event_id(self) -> str:
        """The last id that the stream gave, or ""."""
        return self._decoder.last_event_id

    @property
    def reconnect_after(self) -> float | None:
        """Seconds to wait before a stream is resumed, where it said so."""
        return self._decoder.reconnect_after

    async def batches(self) -> AsyncGenerator[list[ServerSentEvent], None]:
        """Yield the events, in one list for each read of the network that completed any.

        Ends at the stream's clean end, and at once if the status is 204.  Can be used once.

        Raises:
            ContentTypeError: the answer is no event stream.
            DeadlineError: ``first_event``, ``idle``, ``progress`` or ``total`` passed.
            EventTooLargeError: an event is larger than the client's ``max_event_bytes``.
            PlatformError: the status is a success that carries no stream, 205 for example.
            StreamCutError: the stream broke off.
        """
        if self.status == 204:
            # Nothing comes; with its end read, the connection serves the next request.
            await read_start(self._answer)
            return
        if self.status not in _STREAM_STATUSES:
            raise PlatformError(
                f"{self._name} answered {self.status}, which carries no event stream.",
                status=self.status,
            )
        if not self.is_event_stream:
            raise _wrong_type(
                "an event stream",
                headers=self.headers,
                body=await read_start(self._answer, seconds=_EXCERPT_SECONDS),
                name=self._name,
            )
        answer, feed = self._answer, self._decoder.feed
        answer.of_events = True
        try:
            async for chunk in answer.chunks:
                events = feed(chunk)
                # Servers do repeat keys, and some tracebacks print what a frame holds.
                del chunk
                if events:
                    answer.watchdog.event_came = True
                    yield events
                del events
        except AgentnbError as error:
            if isinstance(error, StreamCutError):
                error.last_event_id = mask(self.last_event_id)
                error.reconnect_after = self.reconnect_after
            # What a frame holds is printed, too.
            chunk = events = None  # noqa: F841
            raise without_frames(error)  # noqa: B904
        # An event that is too large is reported after those before it, also at the very end.
        feed(b"")

    async def json(self) -> Any:
        """Return the whole body parsed as JSON, None where there is none.

        Raises:
            AnswerTooLargeError: the body is larger than the client's ``max_json_bytes``.
            ContentTypeError: the body is not JSON.
        """
        return await read_json_body(self._answer, name=self._name, limit=self._max_json_bytes)


async def read_json_body(answer: Answer, *, name: str, limit: int) -> Any:
    body, chunk = bytearray(), b""
    try:
        async for chunk in answer.chunks:
            body += chunk
            if len(body) > limit:
                raise AnswerTooLargeError(
                    f"The answer of {name} is larger than {limit} bytes.",
                    limit=limit,
                    hint="Ask for less at a time.",
                )
    except AgentnbError as error:
        body = chunk = b""
        raise without_frames(error)  # noqa: B904
    if not body.strip():
        return None
    data, problem = _parsed(bytes(body))
    # Servers do repeat keys.  Nothing here holds what came any longer: some tracebacks print it.
    body = chunk = _without_keys(body) if problem else b""
    if problem is None:
        return data
    raise _wrong_type("JSON", headers=answer.headers, body=body, name=name) from ValueError(problem)


def _parsed(body: bytes) -> tuple[Any, str | None]:
    """Return what the body says, without keys; or None, and why it is no JSON."""
    try:
        return mask_value(read_json(body)), None
    except RecursionError:
        return None, "nested too deeply"
    except ValueError as error:
        # The error itself holds the body.
        return None, mask(str(error))


def _without_keys(body: bytes | bytearray) -> bytes:
    return mask(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


async def read_start(answer: Answer, *, seconds: float = _ERROR_BODY_SECONDS) -> bytes:
    """Return the start of a body that explains a failure, as far as it comes within ``seconds``."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in answer.chunks:
                body += chunk
                if len(body) >= MAX_ERROR_BYTES:
                    break
    except (TimeoutError, AgentnbError):
        pass
    return bytes(body[:MAX_ERROR_BYTES])


def _wrong_type(
    wanted: str, *, headers: Mapping[str, str], body: bytes, name: str
) -> ContentTypeError:
    found = mask(media_type(headers))[:100] or "a body without a type"
    return ContentTypeError(
        f"{name} answered with {found} where {wanted} was asked for.",
        content_type=mask(headers.get("content-type", ""))[:200],
        excerpt=excerpt(body),
        hint="Check base_url: a login page or a proxy may have answered.",
    )
