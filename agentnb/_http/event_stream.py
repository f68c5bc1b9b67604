"""Bodies of successful responses: JSON, or a stream of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentnb._http.error_responses import excerpt, media_type, read_json, without_frames
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
    from agentnb._http.response import Response

# Both the body and the parsed data are in memory.
MAX_JSON_BYTES: Final = 64 * 2**20

# For the excerpt in an error whose reason is in the head, in seconds.
_EXCERPT_TIMEOUT: Final = 1.0

# EventSource accepts only 200, but it only sends GET; a response to POST may be 201 or 202.
_STREAM_STATUSES: Final = frozenset({200, 201, 202})


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A successful response.

    ``headers`` are case-insensitive; ``data`` is the parsed body, None where there is none.
    """

    status: int
    headers: Mapping[str, str]
    data: Any


class EventStream:
    """Successful response to a request for a stream, whose head has arrived.

    ``headers`` are case-insensitive.  ``is_event_stream`` is whether the content type is that of a
    stream; where a platform may send JSON instead, read it with `json`.
    """

    def __init__(
        self,
        response: Response,
        *,
        name: str,
        max_event_bytes: int,
        max_json_bytes: int,
    ) -> None:
        self.status = response.status
        self.headers = response.headers
        self.is_event_stream = media_type(response.headers) == "text/event-stream"
        self._response = response
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

        Ends at the stream's clean end, and at once if the status is 204.  Can be used once.

        Raises:
            ContentTypeError: the response is no event stream.
            DeadlineError: ``first_event``, ``idle``, ``progress`` or ``total`` passed.
            EventTooLargeError: an event is larger than the client's ``max_event_bytes``.
            PlatformError: the status is a success that carries no stream, 205 for example.
            StreamCutError: the stream ended early.
        """
        response, feed = self._response, self._decoder.feed
        if self.status == 204:
            # Once its end is read, the connection can serve the next request.
            await response.read_start()
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
                body=await response.read_start(timeout=_EXCERPT_TIMEOUT),
                name=self._name,
            )
        response.of_events = True
        try:
            async for chunk in response.chunks:
                events = feed(chunk)
                # Some tracebacks print variables, and servers echo keys.
                del chunk
                if events:
                    response.watchdog.event_came = True
                    yield events
                del events
        except AgentnbError as error:
            if isinstance(error, StreamCutError):
                error.last_event_id = mask(self.last_event_id)
                error.reconnect_after = self.reconnect_after
            chunk = events = None  # noqa: F841  # for tracebacks, as above
            raise without_frames(error)  # noqa: B904
        # If the last chunk had an event that is too large behind others, this raises.
        feed(b"")

    async def json(self) -> Any:
        """Return the whole body parsed as JSON, None where there is none.

        Raises:
            AnswerTooLargeError: the body is larger than the client's ``max_json_bytes``.
            ContentTypeError: the body is not JSON.
        """
        return await read_json_body(self._response, name=self._name, limit=self._max_json_bytes)


async def read_json_body(response: Response, *, name: str, limit: int) -> Any:
    """Return the body parsed as JSON and masked; see `EventStream.json`."""
    body, chunk = bytearray(), b""
    try:
        async for chunk in response.chunks:
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
    data, problem = _parse(bytes(body))
    # Some tracebacks print variables, and servers echo keys.
    body = chunk = _mask_bytes(body) if problem else b""
    if problem is None:
        return data
    error = _wrong_type("JSON", headers=response.headers, body=body, name=name)
    raise error from ValueError(problem)


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


def _wrong_type(
    expected: str, *, headers: Mapping[str, str], body: bytes, name: str
) -> ContentTypeError:
    received = mask(media_type(headers))[:100] or "a body without a type"
    return ContentTypeError(
        f"{name} answered with {received} where {expected} was expected.",
        content_type=mask(headers.get("content-type", ""))[:200],
        excerpt=excerpt(body),
        hint="Check base_url: a login page or a proxy may have answered.",
    )
