"""Bodies of answers, in one piece for each read of the network.

httpx hands out every chunk of HTTP by itself, through all of its layers and ours, though one read
of a stream that is behind brings hundreds of them.  Here those of a read are joined, and none waits
for another: what has come is handed out before more is waited for.

That moment is when httpcore has nothing left of what it read and asks its network for more.  So the
network first says that it is about to wait: as a coroutine tells an event loop what it waits for,
by yielding, but to the `Joined` that runs it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, Coroutine, Generator, Iterable
from types import coroutine
from typing import Any, Final, cast

import httpcore

from agentnb._support.fork import close_after_fork

__all__ = ["Joined", "JoiningBackend", "JoiningStream"]

_ABOUT_TO_WAIT: Final = object()
_HAS_ALL: Final = object()


class Joined:
    """An async iterator of what each read brings of a body; it is to be closed.

    ``chunks`` is the body as httpx has it, and ``network`` what its connection reads from.
    """

    __slots__ = ("_came", "_failure", "_is_early", "_is_over", "_network", "_reading")

    def __init__(self, chunks: AsyncIterable[bytes], network: JoiningStream) -> None:
        self._came: list[bytes] = []
        self._failure: BaseException | None = None
        # It stopped before its network was asked for more.
        self._is_early = False
        self._is_over = False
        self._network = network
        self._reading: Coroutine[Any, Any, None] = self._read(chunks)

    def __aiter__(self) -> Joined:
        return self

    async def __anext__(self) -> bytes:
        if not self._is_over:
            await self._read_on()
        if came := self._came:
            piece = came[0] if len(came) == 1 else b"".join(came)
            came.clear()
            return piece
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop reading.  The connection is closed, unless the body has come to its end."""
        if not self._is_over:
            await self._read_on(_AbandonedError())
            if not isinstance(self._failure, _AbandonedError | None):
                raise self._failure

    async def _read(self, chunks: AsyncIterable[bytes]) -> None:
        came, network = self._came, self._network
        async for chunk in chunks:
            came.append(chunk)
            # A stream that is not behind need not wait until it is known that nothing is left.
            if len(came) == 1 and network.brought(len(chunk)):
                await _tell(_HAS_ALL)

    @coroutine
    def _read_on(self, error: BaseException | None = None) -> Generator[object, None, None]:
        """Read until there is something to hand out and more would have to be waited for.

        It is what `await` does, but that it stays away from the event loop in that moment.
        """
        while True:
            # Only now: at the end another request may have the connection before this ends.
            self._network.is_joined = True
            # An error belongs where the network is waited for: only there is it made good.
            thrown = None if self._is_early else error
            self._is_early = False
            try:
                reading = self._reading
                awaited = reading.send(None) if thrown is None else reading.throw(thrown)
            except BaseException as ended:
                self._is_over = True
                if not isinstance(ended, StopIteration):
                    # What came before it comes first.
                    self._failure = ended
                return
            finally:
                self._network.is_joined = False
            if thrown is not None:
                error = None
            if awaited is _HAS_ALL:
                self._is_early = True
                if error is None:
                    return
                continue
            if awaited is _ABOUT_TO_WAIT:
                if self._came and error is None:
                    return
                continue
            try:
                yield awaited
            except BaseException as outer:  # a cancellation, for one
                error = outer


class _AbandonedError(Exception):
    """Nobody wants the rest of the body."""


class JoiningStream(httpcore.AsyncNetworkStream):
    """A connection's stream, which says before it waits for what it reads that it will."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self.is_joined = False
        #: Whether anything was read since a request was written.
        self.has_read = False
        self._size = 0
        self._stream = stream
        close_after_fork(self)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.is_joined:
            await _tell(_ABOUT_TO_WAIT)
        data = await self._stream.read(max_bytes, timeout)
        self._size = len(data)
        self.has_read = True
        return data

    def brought(self, size: int) -> bool:
        """Tell whether the last read brought a chunk of this size, and nothing besides."""
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
    """httpcore's network on asyncio, with streams that can be joined.

    It knows the stream that it opened last: where a wait ends in the moment in which that is there,
    nobody else does, and it would stay open.
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
        """Close the stream, whoever has it."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


@coroutine
def _tell(what: object) -> Generator[object, None, None]:
    yield what
