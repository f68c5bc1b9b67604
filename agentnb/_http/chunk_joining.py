"""Joins the HTTP chunks of one network read into one chunk of the body.

httpx passes each HTTP chunk through all its layers and ours, though one read of a stream that lags
behind has hundreds of them.  Here the chunks of a read are joined, without delaying any: what has
arrived is returned before the next read waits.

httpcore reads from its network when its buffer is empty.  So the network stream signals before it
waits: as a coroutine yields to an event loop, but to the `JoinedChunks` that drives it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, Coroutine, Generator, Iterable
from types import coroutine
from typing import Any, Final, cast

import httpcore

from agentnb._support.fork import close_after_fork

__all__ = ["JoinedChunks", "JoiningBackend", "JoiningStream"]

# Signals from the body's coroutine to the `JoinedChunks` that drives it.
_READ_STARTS: Final = object()
_READ_CONSUMED: Final = object()


class JoinedChunks:
    """Async iterator over a body, one chunk for each network read; close it after use.

    ``chunks`` is httpx's iterator over the body, and ``network`` the stream of its connection.
    """

    __slots__ = ("_chunks", "_coroutine", "_failure", "_is_consumed", "_is_over", "_network")

    def __init__(self, chunks: AsyncIterable[bytes], network: JoiningStream) -> None:
        self._chunks: list[bytes] = []
        self._failure: BaseException | None = None
        # Whether the coroutine stopped because the last read is consumed, before the next one.
        self._is_consumed = False
        self._is_over = False
        self._network = network
        self._coroutine: Coroutine[Any, Any, None] = self._collect(chunks)

    def __aiter__(self) -> JoinedChunks:
        return self

    async def __anext__(self) -> bytes:
        if not self._is_over:
            await self._resume()
        if chunks := self._chunks:
            joined = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            chunks.clear()
            return joined
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop reading.  The connection is closed unless the body was read to its end."""
        if not self._is_over:
            await self._resume(_AbandonedError())
            if not isinstance(self._failure, _AbandonedError | None):
                raise self._failure

    async def _collect(self, chunks: AsyncIterable[bytes]) -> None:
        collected, network = self._chunks, self._network
        async for chunk in chunks:
            collected.append(chunk)
            # Usually a read has one chunk, which need not wait until httpcore asks for more.
            if len(collected) == 1 and network.has_read_only(len(chunk)):
                await _signal(_READ_CONSUMED)

    @coroutine
    def _resume(self, error: BaseException | None = None) -> Generator[object, None, None]:
        """Run the coroutine until there are chunks and the next read would wait.

        This is what `await` does, except that it does not return to the event loop at that point.
        """
        while True:
            # Set for each step: after the end another request may use the connection.
            self._network.is_joined = True
            # httpcore cleans up after an error only if it is raised within a read.
            thrown = None if self._is_consumed else error
            self._is_consumed = False
            try:
                running = self._coroutine
                awaited = running.send(None) if thrown is None else running.throw(thrown)
            except BaseException as ended:
                self._is_over = True
                if not isinstance(ended, StopIteration):
                    # Raised after the chunks before it.
                    self._failure = ended
                return
            finally:
                self._network.is_joined = False
            if thrown is not None:
                error = None
            if awaited is _READ_CONSUMED:
                self._is_consumed = True
                if error is None:
                    return
                continue
            if awaited is _READ_STARTS:
                if self._chunks and error is None:
                    return
                continue
            try:
                yield awaited
            except BaseException as outer:  # a cancellation, for one
                error = outer


class _AbandonedError(Exception):
    """The body was closed before its end."""


class JoiningStream(httpcore.AsyncNetworkStream):
    """Network stream of a connection that signals before each read."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self.is_joined = False
        #: Whether anything was read since a request was written.
        self.has_read = False
        self._size = 0
        self._stream = stream
        close_after_fork(self)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.is_joined:
            await _signal(_READ_STARTS)
        data = await self._stream.read(max_bytes, timeout)
        self._size = len(data)
        self.has_read = True
        return data

    def has_read_only(self, size: int) -> bool:
        """Return whether the last read had one HTTP chunk of this size, and nothing else."""
        return self._size == size + len(f"{size:x}\r\n\r\n")

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.has_read = False
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return JoiningStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class JoiningBackend(httpcore.AsyncNetworkBackend):
    """httpcore's network backend with streams of `JoiningStream`.

    It keeps the stream that it opened last: if connecting is cancelled just as the stream opens,
    nothing else refers to it, and it would stay open.
    """

    def __init__(self) -> None:
        self._network = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
        self._opened: JoiningStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        self._opened = JoiningStream(stream)
        return self._opened

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


@coroutine
def _signal(signal: object) -> Generator[object, None, None]:
    yield signal
