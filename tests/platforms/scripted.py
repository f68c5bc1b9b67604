"""A real HTTP server that answers as a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from agentnb._http.retry import Retries
from agentnb.errors import StreamCutError
from agentnb.event.types import Event
from tests.ports import bound

ONCE: Final = Retries(requests=0)
"""For clients that are to ask once: what a server answers is the whole story."""

CUT: Final = object()
"""A piece of a stream after which the connection breaks."""


@dataclass(frozen=True)
class Seen:
    """A request as it came: ``target`` and ``path`` still encoded, header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2]))

    @property
    def json(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    @property
    def call(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def line(self) -> str:
        return f"{self.method} {self.target}"


@dataclass(frozen=True)
class Reply:
    """An answer: a body, which is sent as JSON where it is not bytes; or a stream of ``pieces``.

    A piece is bytes, an `asyncio.Event` that is waited for, or `CUT`.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    pieces: Sequence[object] | None = None


def stream(
    *pieces: bytes | str | dict[str, Any] | object,
    gate: asyncio.Event | None = None,
    hang: bool = False,
    cut: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """An event stream of these pieces; a dict is a data-only JSON frame.

    ``gate`` is waited for before the last piece; with ``hang`` the stream stays open until the
    client goes away; with ``cut`` the connection breaks instead of ending.
    """
    made: list[object] = []
    for piece in pieces:
        if isinstance(piece, dict):
            piece = f"data: {json.dumps(piece)}\n\n"
        made.append(piece.encode() if isinstance(piece, str) else piece)
    if gate is not None:
        made.insert(len(made) - 1, gate)
    if hang:
        made.append(asyncio.Event())
    if cut:
        made.append(CUT)
    return Reply(headers={"content-type": "text/event-stream", **(headers or {})}, pieces=made)


def recorded(path: Path, *, hang: bool = False, cut: bool = False) -> Reply:
    """A stream of a recorded file, frame by frame."""
    blocks = path.read_bytes().split(b"\n\n")
    return stream(*(block + b"\n\n" for block in blocks if block.strip()), hang=hang, cut=cut)


def problem(status: int, **fields: Any) -> Reply:
    """An error as problem details."""
    kind = {"content-type": "application/problem+json"}
    return Reply({"status": status, **fields}, status=status, headers=kind)


Script = Reply | list[Reply] | Callable[[Seen], Reply]


class ScriptedServer:
    """Answers by ``METHOD /path``, or by ``METHOD /path?query`` where there is such a route.

    Of a list of replies each is given once, the last for ever.
    """

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.routes: dict[str, Script] = {}
        self.left = asyncio.Event()
        """Set when a client went away before its answer was complete."""
        self.url = ""
        self._asked = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def on(self, line: str, *replies: Reply) -> None:
        self.routes[line] = list(replies)

    @property
    def calls(self) -> list[str]:
        return [seen.call for seen in self.requests]

    @property
    def lines(self) -> list[str]:
        return [seen.line for seen in self.requests]

    def only(self, call: str) -> Seen:
        """The one request of this call."""
        (seen,) = [s for s in self.requests if s.call == call]
        return seen

    async def called(self, call: str) -> Seen:
        """Wait until this call has been made; return it."""
        await self._until(lambda: call in self.calls)
        return next(seen for seen in self.requests if seen.call == call)

    async def asked(self, count: int) -> None:
        """Wait until so many requests have come."""
        await self._until(lambda: len(self.requests) >= count)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._asked:
            await self._asked.wait_for(condition)

    def _reply(self, seen: Seen) -> Reply:
        script = self.routes.get(seen.line) or self.routes.get(seen.call)
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
            # Cancelled by `stop`; asyncio would report that as an error of the server.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection may serve another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(method, target, headers, raw)
        async with self._asked:
            self.requests.append(seen)
            self._asked.notify_all()
        try:
            return await self._answer(self._reply(seen), reader, writer)
        except ConnectionError:
            self.left.set()
            return False

    async def _answer(
        self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        headers = {name.lower(): value for name, value in reply.headers.items()}
        headers.setdefault("date", formatdate(usegmt=True))
        content = b""
        if reply.pieces is not None:
            headers["transfer-encoding"] = "chunked"
        elif reply.status != 204:
            headers.setdefault("content-type", "application/json")
            if reply.body is not None:
                is_raw = isinstance(reply.body, bytes)
                content = reply.body if is_raw else json.dumps(reply.body).encode()
            headers["content-length"] = str(len(content))
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content)
        await writer.drain()
        if reply.pieces is None:
            return True
        for piece in reply.pieces:
            if piece is CUT:
                return False
            if isinstance(piece, asyncio.Event):
                await _wait(piece, reader)
                continue
            assert isinstance(piece, bytes)
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _wait(event: asyncio.Event, reader: asyncio.StreamReader) -> None:
    """Wait for the event, or for the client to go away.

    Raises:
        ConnectionResetError: the client went away first.
    """
    gone = asyncio.ensure_future(reader.read(1))
    released = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({gone, released}, return_when=asyncio.FIRST_COMPLETED)
        if not released.done():
            raise ConnectionResetError
    finally:
        gone.cancel()
        released.cancel()
        # The next request is read only when this reading has let go.
        await asyncio.gather(gone, released, return_exceptions=True)


@asynccontextmanager
async def scripted_server() -> AsyncGenerator[ScriptedServer, None]:
    script = ScriptedServer()
    server = await asyncio.start_server(script.handle, sock=bound())
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        try:
            yield script
        finally:
            # Leaving the server waits for its connections, also where a test failed.
            server.close()
            await script.stop()


async def until_broken(
    batches: AsyncGenerator[list[Event], None], *, by: type[Exception] = StreamCutError
) -> list[Event]:
    """What a stream brings before it breaks off, which it must."""
    found: list[Event] = []
    try:
        async for batch in batches:
            found += batch
    except by:
        return found
    raise AssertionError(f"it ended with {found[-1:]}")
