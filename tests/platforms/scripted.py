"""A real HTTP server that answers as a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

STREAM = "text/event-stream"


@dataclass(frozen=True)
class Seen:
    """A request as it came: ``path`` still encoded, header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def call(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Reply:
    """An answer; one with ``frames`` is a stream, sent piece by piece.

    ``gate`` is waited for before the last frame; with ``hang`` the stream stays open until the
    client goes away; with ``cut`` the connection breaks instead of ending.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    frames: list[bytes] | None = None
    gate: asyncio.Event | None = None
    hang: bool = False
    cut: bool = False


def stream(*frames: bytes | str | dict[str, Any], **options: Any) -> Reply:
    """A stream of these frames; a dict is a data-only JSON frame."""
    pieces: list[bytes] = []
    for frame in frames:
        if isinstance(frame, dict):
            frame = f"data: {json.dumps(frame)}\n\n"
        pieces.append(frame.encode() if isinstance(frame, str) else frame)
    return Reply(frames=pieces, **options)


def recorded(path: Path, **options: Any) -> Reply:
    """A stream of a recorded file, frame by frame."""
    blocks = path.read_bytes().split(b"\n\n")
    return Reply(frames=[block + b"\n\n" for block in blocks if block.strip()], **options)


Script = Reply | list[Reply] | Callable[[Seen], Reply]


class ScriptedServer:
    """Answers by ``METHOD /path``; of a list of replies each is given once, the last for ever."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.routes: dict[str, Script] = {}
        self.left = asyncio.Event()
        self._asked = asyncio.Condition()
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def calls(self) -> list[str]:
        return [seen.call for seen in self.requests]

    def only(self, call: str) -> Seen:
        """The one request of this call."""
        (seen,) = [s for s in self.requests if s.call == call]
        return seen

    async def called(self, call: str) -> Seen:
        """Wait until this call has been made; return it."""
        async with asyncio.timeout(5), self._asked:
            await self._asked.wait_for(lambda: call in self.calls)
        return next(seen for seen in self.requests if seen.call == call)

    def _reply(self, seen: Seen) -> Reply:
        script = self.routes.get(seen.call)
        if script is None:
            return Reply({"error": "not_found", "message": f"no route {seen.call}"}, status=404)
        if callable(script):
            return script(seen)
        if isinstance(script, list):
            return script.pop(0) if len(script) > 1 else script[0]
        return script

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._serve(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        path, _, query = target.partition("?")
        seen = Seen(method, path, dict(parse_qsl(query)), headers, raw)
        async with self._asked:
            self.requests.append(seen)
            self._asked.notify_all()
        reply = self._reply(seen)
        content = b"" if reply.body is None else json.dumps(reply.body).encode()
        kind = STREAM if reply.frames is not None else "application/json"
        told = {"content-type": kind, **reply.headers}
        if reply.frames is None:
            told["content-length"] = str(len(content))
        else:
            told["transfer-encoding"] = "chunked"
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{k}: {v}" for k, v in told.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + content)
        await writer.drain()
        if reply.frames is None:
            return True
        for index, frame in enumerate(reply.frames):
            if reply.gate is not None and index == len(reply.frames) - 1:
                await reply.gate.wait()
            writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))
            await writer.drain()
        if reply.hang:
            await reader.read()
            self.left.set()
            return False
        if reply.cut:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def scripted_server() -> AsyncGenerator[ScriptedServer, None]:
    script = ScriptedServer()
    server = await asyncio.start_server(script.handle, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield script
        server.close()
        await script.stop()
