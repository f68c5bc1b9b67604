"""Response whose head has arrived and whose body is read as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import Final, cast

import httpx

from agentnb._http.decompression import (
    MAX_RATIO,
    MIN_OUTPUT_LIMIT,
    DecompressionBombError,
    Decompressor,
    parse_content_encoding,
)
from agentnb._http.error_responses import MAX_ERROR_BYTES, one_line
from agentnb._http.errors import cause_of, reason_of
from agentnb._http.timeout import Watchdog
from agentnb.errors import AgentnbError, AnswerTooLargeError, ContentTypeError, StreamCutError
from agentnb.redaction.secrets import mask

# The extension of a response that holds its Location header.
LOCATION: Final = "agentnb.location"

# Decompressed pieces of one read after which other tasks get a turn.
_PIECES_PER_TURN: Final = 16
# An error is reported without the rest of its body rather than late, in seconds.
_ERROR_BODY_TIMEOUT: Final = 10.0


class _Headers(httpx.Headers):
    """Headers with masked ``repr``: servers echo keys, and tracebacks print variables."""

    def __repr__(self) -> str:
        return mask(super().__repr__())


class Response:
    """Response whose head has arrived.

    ``chunks`` iterates over the body once, in the chunks that the transport delivers.  For a stream
    of events, set ``of_events`` before, and ``event_came`` of ``watchdog`` after each chunk that
    completed an event.  It raises `DeadlineError` when a deadline passes, `StreamCutError` when the
    body ends early, `ContentTypeError` for an encoding that was not accepted, and
    `AnswerTooLargeError` for a decompression bomb.
    """

    __slots__ = (
        "_body",
        "_name",
        "chunks",
        "headers",
        "of_events",
        "status",
        "watchdog",
    )

    def __init__(self, response: httpx.Response, watchdog: Watchdog, *, name: str) -> None:
        self.status = response.status_code
        headers = _Headers(response.headers)
        if location := response.extensions.get(LOCATION):
            headers["location"] = location
        self.headers: Mapping[str, str] = headers
        self.chunks = self._read()
        self.of_events = False
        self.watchdog = watchdog
        self._body = cast("httpx.AsyncByteStream", response.stream)
        self._name = name

    async def read_start(self, *, timeout: float = _ERROR_BODY_TIMEOUT) -> bytes:
        """Return the start of a body that explains an error: what arrives within ``timeout``."""
        body = bytearray()
        try:
            async with asyncio.timeout(timeout):
                async for chunk in self.chunks:
                    body += chunk
                    if len(body) >= MAX_ERROR_BYTES:
                        break
        except (TimeoutError, AgentnbError):
            pass
        return bytes(body[:MAX_ERROR_BYTES])

    async def aclose(self) -> None:
        """Return the connection to the pool if the body was read to its end, else close it."""
        try:
            await self.chunks.aclose()
        finally:
            # Also when a cancellation interrupts that.
            await self._body.aclose()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        watchdog = self.watchdog
        decompressed = None
        chunks: AsyncIterable[bytes] = self._body
        if header := self.headers.get("content-encoding"):
            chunks = decompressed = self._decompress(chunks, header)
        try:
            watchdog.begin_body(of_events=self.of_events)
            iterator = aiter(chunks)
            try:
                while (chunk := await watchdog.wait(anext(iterator, None))) is not None:
                    yield chunk
                    # Some tracebacks print variables, and servers echo keys.
                    del chunk
            finally:
                if decompressed is not None:
                    await decompressed.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise StreamCutError(
                f"The answer of {self._name} broke off: {reason_of(error)}."
            ) from cause_of(error)
        # Release the connection for the next request at once.
        await self._body.aclose()

    async def _decompress(
        self, body: AsyncIterable[bytes], header: str
    ) -> AsyncGenerator[bytes, None]:
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
        async for chunk in body:
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
