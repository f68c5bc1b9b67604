"""A real server whose every byte a test writes itself.

A script is an async function of one `Connection`; it is played on each connection that comes::

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(b"data: 1\n\n")
        c.reset()

    with running(script) as server:  # in a thread, for tests that are not async
        ...
    async with serving(script) as server:  # on the test's own event loop
        ...
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.patience import LONG, PAUSE, looks
from tests.ports import bound

__all__ = [
    "CERTIFICATE",
    "Connection",
    "RawServer",
    "Received",
    "Script",
    "running",
    "serving",
    "unused_port",
    "with_tls",
]

# Signed by itself for "localhost", and made for these tests alone.
CERTIFICATE: Final = Path(__file__).parents[1] / "http" / "localhost.pem"


@dataclass(frozen=True)
class Received:
    """A request as it came; header names in lower case, ``attempt`` counts from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    attempt: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Connection:
    """One connection, seen from the server; ``number`` counts from 1, ``asked`` what came on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: RawServer
    number: int
    asked: list[str] = field(default_factory=list[str])

    async def request(self) -> Received:
        """Read one request."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        received = Received(method, target, headers, body, len(self.server.requests) + 1)
        self.server.requests.append(received)
        self.asked.append(f"{method} {target}")
        return received

    async def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece in a segment of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def stream_head(self, *, status: str = "200 OK", extra: str = "") -> None:
        """Begin a chunked event stream; ``extra`` are header lines with their ends."""
        await self.send(
            f"HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\n{extra}"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        """Send one HTTP chunk; an empty one ends the answer."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def answer(self, body: bytes, *, status: str = "200 OK", headers: str = "") -> None:
        """Send a whole answer; ``headers`` are lines without their ends, joined by newlines."""
        lines = "".join(f"{line}\r\n" for line in headers.splitlines())
        head = f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        await self.send(head.encode() + body)

    @property
    def is_held_back(self) -> bool:
        """Whether more is to be sent than the client takes, so that sending waits."""
        transport = self.writer.transport
        return transport.get_write_buffer_size() > transport.get_write_buffer_limits()[1]

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        while await self.reader.read(4096):
            pass

    def __str__(self) -> str:
        return f"connection {self.number}, on which came {', '.join(self.asked) or 'no request'}"

    def half_close(self) -> None:
        """Send nothing more, but keep listening."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Break the connection off, as a crashed server does."""
        linger = struct.pack("ii", 1, 0)
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Script = Callable[[Connection], Awaitable[None]]


@dataclass
class RawServer:
    """Plays ``script`` on every connection; what goes wrong in it fails the test.

    ``connections`` counts those that came, ``gone`` those that are over on either side.
    """

    script: Script
    url: str = ""
    connections: int = 0
    gone: int = 0
    requests: list[Received] = field(default_factory=list[Received])
    problems: list[Exception] = field(default_factory=list[Exception])
    _open: dict[asyncio.Task[None], Connection] = field(
        default_factory=dict[asyncio.Task[None], Connection]
    )

    async def start(self, tls: ssl.SSLContext | None) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, sock=bound(), ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        return server

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = Connection(reader, writer, self, self.connections)
        task = asyncio.ensure_future(self._play(connection))
        self._open[task] = connection
        task.add_done_callback(self._open.pop)

    async def _play(self, connection: Connection) -> None:
        try:
            await self.script(connection)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client left: the test says whether it should have.
        except Exception as error:
            self.problems.append(error)
        finally:
            self.gone += 1
            connection.writer.close()

    async def all_gone(self, *, seconds: float = LONG) -> None:
        """Wait until no connection is open any more; fail with what came on those that are."""
        for _ in self._looks(seconds):
            await asyncio.sleep(PAUSE)

    def until_all_gone(self, *, seconds: float = LONG) -> None:
        """Do as `all_gone` does, from another thread than the server's."""
        for _ in self._looks(seconds):
            time.sleep(PAUSE)

    def _looks(self, seconds: float) -> Iterator[None]:
        for _ in looks(seconds):
            if self.gone == self.connections:
                return
            yield
        left = "; ".join(map(str, self._open.copy().values()))
        raise AssertionError(f"{self.connections - self.gone} connections are open: {left}")

    async def stop(self) -> None:
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        if self.problems:
            raise ExceptionGroup("the server's script failed", self.problems)


@asynccontextmanager
async def serving(
    script: Script, *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[RawServer, None]:
    """Play ``script`` on this event loop; its ``url`` is that of a free port."""
    raw = RawServer(script)
    server = await raw.start(tls)
    try:
        yield raw
    finally:
        server.close()
        await raw.stop()


@contextmanager
def running(
    script: Script, *, tls: ssl.SSLContext | None = None
) -> Generator[RawServer, None, None]:
    """Play ``script`` on an event loop in a thread, for tests that have none."""
    raw = RawServer(script)
    ready, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    failed: list[BaseException] = []

    async def serve() -> None:
        server = await raw.start(tls)
        ready.set()
        await over.wait()
        server.close()
        await raw.stop()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
            # Transports close in a later round than they are told to.
            loop.run_until_complete(asyncio.sleep(0.01))
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield raw
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(over.set)
        thread.join(10)
        for error in failed:
            raise error


def with_tls() -> ssl.SSLContext:
    """Return the server's side of TLS for ``https://localhost``, which nobody has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def unused_port() -> int:
    """Return a port that refuses connections: nobody listens there."""
    with bound() as unused:
        return int(unused.getsockname()[1])
