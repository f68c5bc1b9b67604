"""A real server whose every byte a test writes itself."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from agentnb._http import HttpClient


@dataclass(frozen=True)
class Received:
    """A request as it came; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Connection:
    """One connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: RawServer

    async def request(self) -> Received:
        """Read one request."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        received = Received(method, target, headers, body)
        self.server.requests.append(received)
        return received

    async def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece in a segment of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def stream_head(self, *, status: str = "200 OK", extra: str = "") -> None:
        """Begin a chunked event stream."""
        await self.send(
            f"HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\n{extra}"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        """Send one HTTP chunk."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def answer(self, body: bytes, *, status: str = "200 OK", headers: str = "") -> None:
        """Send a whole answer; ``headers`` are lines without their ends, joined by newlines."""
        lines = "".join(f"{line}\r\n" for line in headers.splitlines())
        head = f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        await self.send(head.encode() + body)

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        while await self.reader.read(4096):
            pass

    def reset(self) -> None:
        """Break the connection off, as a crashed server does."""
        linger = struct.pack("ii", 1, 0)
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Script = Callable[[Connection], Awaitable[None]]


@dataclass
class RawServer:
    """Plays ``script`` on every connection; what goes wrong in it fails the test."""

    script: Script
    url: str = ""
    connections: int = 0
    requests: list[Received] = field(default_factory=list[Received])
    problems: list[Exception] = field(default_factory=list[Exception])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def start(self, tls: ssl.SSLContext | None) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        return server

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._play(Connection(reader, writer, self)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, connection: Connection) -> None:
        try:
            await self.script(connection)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client left: the test says whether it should have.
        except Exception as error:
            self.problems.append(error)
        finally:
            connection.writer.close()

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.problems:
            raise ExceptionGroup("the server's script failed", self.problems)


Serve = Callable[..., Awaitable[RawServer]]
MakeClient = Callable[..., HttpClient]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a `RawServer` for a script: ``server = await serve(script)``."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, *, tls: ssl.SSLContext | None = None) -> RawServer:
            raw = RawServer(script)
            server = await raw.start(tls)
            stack.callback(server.close)
            stack.push_async_callback(raw.stop)
            return raw

        yield start


@pytest.fixture
async def connect() -> AsyncIterator[MakeClient]:
    """Make an `HttpClient` that is closed after the test."""
    async with AsyncExitStack() as stack:

        def make(url: str, **options: Any) -> HttpClient:
            client = HttpClient(url, name="tested", **options)
            stack.push_async_callback(client.aclose)
            return client

        yield make
