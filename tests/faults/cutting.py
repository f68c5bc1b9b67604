"""A relay before a real server that breaks answers off where a test says, as networks do.

It goes on reading what the server sends: to the server its client has not gone away, and the run
goes on, as it does behind a proxy, or on a platform that does not stop runs with their connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from tests.ports import bound

How = Literal["reset", "short", "clean", "invalid"]


@dataclass(frozen=True)
class Cut:
    """Where an answer breaks off: after so many bytes of its body, however they were sent.

    ``reset`` resets the connection, ``short`` closes it in the middle of a chunk, ``clean`` ends
    the body as if that were all, and ``invalid`` goes on with what is no chunk.
    """

    after: int
    how: How


class CuttingRelay:
    """``cuts`` are made one after the other, in the answers that ``applies`` tells of.

    ``made`` are those that were, and ``requests`` all that was asked, as ``POST /path``.
    """

    def __init__(self, url: str, *, name: str, applies: Callable[[str], bool]) -> None:
        self.name = name
        self.cuts: deque[Cut] = deque()
        self.made: list[Cut] = []
        self.requests: list[str] = []
        self.url = ""
        self._own = b""
        self._applies = applies
        self._target = urlsplit(url)
        self._tasks: set[asyncio.Task[None]] = set()

    def plan(self, cuts: Iterable[Cut]) -> None:
        """Make these cuts from now on, and no others."""
        self.cuts = deque(cuts)
        self.made = []
        self.requests = []

    async def serve(self, ready: threading.Event, over: asyncio.Event) -> None:
        server = await asyncio.start_server(self._accept, sock=bound())
        port = server.sockets[0].getsockname()[1]
        self._own = f"127.0.0.1:{port}".encode()
        self.url = f"http://127.0.0.1:{port}{self._target.path}"
        ready.set()
        await over.wait()
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: list[asyncio.StreamWriter] = []
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._exchange(reader, writer, upstream)
        for each in (*upstream, writer):
            each.close()
        self._tasks.discard(task)

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: list[asyncio.StreamWriter],
    ) -> None:
        """Pass one request on, and its answer back, as far as it goes."""
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(_header(head, b"content-length") or 0))
        line = b" ".join(head.split(b" ", 2)[:2]).decode()
        self.requests.append(line)
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        upstream.append(back)
        # The sandbox answers to its own name only.
        back.write(head.replace(self._own, self._target.netloc.encode(), 1) + body)
        answer = await there.readuntil(b"\r\n\r\n")
        writer.write(answer[:-2] + b"Connection: close\r\n\r\n")
        chunked = (_header(answer, b"transfer-encoding") or b"").lower() == b"chunked"
        cut = self.cuts.popleft() if self.cuts and self._applies(line) else None
        left = None if cut is None else cut.after
        leaving = asyncio.ensure_future(_left(reader, back))
        pieces = _chunks(there) if chunked else _whole(there, answer)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    if left is not None and left < 0:
                        continue
                    if cut is not None and left is not None and left <= len(piece):
                        leaving.cancel()
                        self.made.append(cut)
                        _break_off(writer, piece[:left], cut.how, chunked=chunked)
                        left = -1
                        continue
                    left = None if left is None else left - len(piece)
                    _write(writer, piece, chunked=chunked)
                    await writer.drain()
            if chunked and (left is None or left >= 0):
                writer.write(b"0\r\n\r\n")
        finally:
            leaving.cancel()


async def _left(reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    """Leave the server when the client leaves."""
    with suppress(ConnectionError):
        await reader.read(1)
    back.transport.abort()


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None


async def _chunks(reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def _whole(reader: asyncio.StreamReader, head: bytes) -> AsyncGenerator[bytes, None]:
    if size := int(_header(head, b"content-length") or 0):
        yield await reader.readexactly(size)


def _write(writer: asyncio.StreamWriter, piece: bytes, *, chunked: bool) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)


def _break_off(writer: asyncio.StreamWriter, piece: bytes, how: How, *, chunked: bool) -> None:
    if how == "clean" and chunked:
        if piece:
            _write(writer, piece, chunked=True)
        writer.write(b"0\r\n\r\n")
    elif how == "invalid" and chunked:
        if piece:
            _write(writer, piece, chunked=True)
        writer.write(b"zz\r\nno chunk\r\n")
    elif chunked:
        # The chunk is announced longer than what comes of it.
        writer.write(b"%x\r\n%s" % (len(piece) + 1, piece))
    else:
        writer.write(piece)
    if how == "reset":
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


@contextmanager
def cutting(
    url: str, *, name: str = "", applies: Callable[[str], bool] = lambda line: True
) -> Generator[CuttingRelay, None, None]:
    """A relay to ``url`` on a free port, in a thread of its own."""
    relay = CuttingRelay(url, name=name, applies=applies)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(relay.serve(ready, over)), daemon=True
    )
    thread.start()
    assert ready.wait(10)
    try:
        yield relay
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
