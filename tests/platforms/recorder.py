"""A real HTTP server on this machine that records what it is asked and answers from a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["CUT", "Answer", "Recorder", "Seen", "events", "problem", "recording", "serve_json"]


CUT: Final = object()
"""A piece of an answer after which the connection is closed in mid-body."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, exactly as it came; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def line(self) -> str:
        return f"{self.method} {self.target}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer; a body of several pieces is sent piece by piece.

    A piece that is an `asyncio.Event` is waited for; `CUT` breaks off.
    """

    pieces: tuple[bytes | object, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def serve_json(data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    given = {"Content-Type": "application/json", **(headers or {})}
    return Answer((json.dumps(data).encode(),), status, given)


def problem(status: int, **fields: Any) -> Answer:
    body = json.dumps({"status": status, **fields}).encode()
    return Answer((body,), status, {"Content-Type": "application/problem+json"})


def events(*pieces: bytes | object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(pieces, 200, {"Content-Type": "text/event-stream", **(headers or {})})


class Recorder:
    """``on`` scripts the answers of one request line; the last of them is repeated for ever."""

    def __init__(self) -> None:
        self.base_url = ""
        self.seen: list[Seen] = []
        self.left = asyncio.Event()
        """Set when a client went away before its answer was complete."""
        self._script: dict[str, list[Answer]] = {}
        self._news = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()

    def on(self, line: str, *answers: Answer) -> None:
        self._script[line] = list(answers)

    @property
    def lines(self) -> list[str]:
        return [seen.line for seen in self.seen]

    async def asked(self, count: int) -> None:
        """Wait until ``count`` requests have come; a test whose never come fails."""
        async with asyncio.timeout(10):
            while len(self.seen) < count:
                self._news.clear()
                await self._news.wait()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            seen = await self._read(reader)
            self.seen.append(seen)
            self._news.set()
            await self._answer(seen, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            self._busy.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.split(":", 1) for line in rest)
        headers = {name.lower(): value.strip() for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Seen(method, target, headers, body)

    async def _answer(
        self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        path = seen.target.partition("?")[0]
        script = self._script.get(seen.line) or self._script.get(f"{seen.method} {path}")
        if script is None:
            answer = problem(404, detail=f"nothing is scripted for {seen.line}")
        else:
            answer = script.pop(0) if len(script) > 1 else script[0]
        head = [f"HTTP/1.1 {answer.status} X", "Connection: close"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status != 204:
            head.append("Transfer-Encoding: chunked")
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))
        for piece in answer.pieces:
            if isinstance(piece, asyncio.Event):
                await self._wait(piece, reader)
            elif piece is CUT:
                return
            else:
                assert isinstance(piece, bytes)
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
        if answer.status != 204:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _wait(self, event: asyncio.Event, reader: asyncio.StreamReader) -> None:
        """Wait for the event, or for the client to go away."""
        gone = asyncio.ensure_future(reader.read(1))
        released = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({gone, released}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not released.done():
                raise ConnectionResetError
        finally:
            gone.cancel()
            released.cancel()

    async def settle(self) -> None:
        """End what is still being answered."""
        busy = list(self._busy)
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


@asynccontextmanager
async def recording() -> AsyncGenerator[Recorder]:
    recorder = Recorder()
    server = await asyncio.start_server(recorder.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    recorder.base_url = f"http://127.0.0.1:{port}"
    try:
        yield recorder
    finally:
        server.close()
        await recorder.settle()
        await server.wait_closed()
