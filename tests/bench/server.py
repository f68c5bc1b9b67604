"""A loopback server in a process of its own: `python -m tests.bench.server SEED` prints its port.

Every event is sent, and so flushed, by itself; their texts are made by the seed.  A path begins
with what is spoken and how many events are to come::

    /seekr/N/...            the fragments of an answer, as fast as the client takes them
    /seekr/N.paced/...      one each millisecond, whose text is the time of its flush
    /seekr/N.gated/...      the first at once, the others from the moment that `/open` or `/fill` is
                            asked for, by turns with every other stream
    /open                   answers, and opens the gate
    /fill                   answers when all that waited at the gate is on its way
    /last                   the time at which the last stream was asked for

Times are nanoseconds of the monotonic clock, which is the same in all processes.  What else a
platform's client asks for is answered with a record that tells it all it wants to know.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import cycle, islice, zip_longest
from typing import Final

from tests.bench.inputs import encoded_texts

# Each one's fragment of an answer, for its text and its number, and its end.
WIRES: Final[dict[str, tuple[str, str]]] = {
    "seekr": (
        'data: {{"type": "text_delta", "text": "{0}"}}\n\n',
        'data: {"type": "end_node"}\n\n',
    ),
    "runagent": (
        'event: chunk\ndata: {{"content": "{0}", "index": {1}}}\n\n',
        'event: done\ndata: {"message": "Stream complete"}\n\n',
    ),
    "operativus": (
        'data: {{"event":"CONTENT_DELTA","data":"{0}","timestamp":1746518400000}}\n\n',
        'data: {"event":"STOP","data":"","timestamp":1746518400000}\n\n',
    ),
    "runtools": (
        'event: text_delta\ndata: {{"content":"{0}"}}\n\n',
        'event: complete\ndata: {"output":""}\n\n',
    ),
    "openai": (
        'data: {{"choices":[{{"index":0,"delta":{{"content":"{0}"}}}}]}}\n\n',
        "data: [DONE]\n\n",
    ),
}
# The last part of the path that a stream is asked for by.
_STREAMS: Final = ("stream", "run", "completions")
RECORD: Final = {
    "id": "r",
    "active_run_id": "r",
    "status": "completed",
    "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
}
_PACE: Final = 0.001
# Room for a thousand streams, and for those who ask for them all at once.
_FILES: Final = 8192
_BACKLOG: Final = 2048


@dataclass(frozen=True)
class Waiting:
    """A stream that waits for the gate, and what is to be written of it then."""

    writer: asyncio.StreamWriter
    frames: Sequence[bytes]
    written: asyncio.Event = field(default_factory=asyncio.Event)


class Server:
    """Answers each connection by a task of its own; knows what is common to all streams."""

    def __init__(self, seed: int) -> None:
        self._texts = encoded_texts(seed)
        self._waiting: list[Waiting] = []
        self._last = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Nothing waits for more to come: what is written has left when `drain` returns.
        writer.transport.set_write_buffer_limits(high=0)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_length_of(head))
                await self._answer(head.split(b" ", 2)[1].decode(), writer)
        writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        kind, _, rest = path.partition("?")[0].strip("/").partition("/")
        if not rest.endswith(_STREAMS):
            if kind == "fill":
                await self._open()
            body = json.dumps({**RECORD, "at": self._last}).encode()
            writer.write(_head("application/json", f"Content-Length: {len(body)}") + body)
            await writer.drain()
            if kind == "open":
                await self._open()
            return
        self._last = time.monotonic_ns()
        count, _, how = rest.partition("/")[0].partition(".")
        writer.write(_head("text/event-stream", "Transfer-Encoding: chunked"))
        if how == "paced":
            for _ in range(int(count)):
                await asyncio.sleep(_PACE)
                writer.write(_frame(kind, str(time.monotonic_ns())))
            writer.write(_end(kind))
        elif how == "gated":
            first, *others = self._frames(kind, int(count))
            writer.write(first)
            self._waiting.append(waiting := Waiting(writer, others))
            await waiting.written.wait()
        else:
            transport = writer.transport
            for frame in self._frames(kind, int(count)):
                writer.write(frame)
                if transport.get_write_buffer_size():
                    await writer.drain()
        await writer.drain()

    async def _open(self) -> None:
        streams, self._waiting = self._waiting, []
        for turn in zip_longest(*(waiting.frames for waiting in streams)):
            for waiting, frame in zip(streams, turn, strict=True):
                if frame is not None and not waiting.writer.is_closing():
                    waiting.writer.write(frame)
            await asyncio.sleep(0)
        for waiting in streams:
            waiting.written.set()

    @lru_cache(maxsize=8)  # noqa: B019 - there is one server
    def _frames(self, kind: str, count: int) -> tuple[bytes, ...]:
        """All of an answer, a piece for each event: made before, so that sending takes no time."""
        texts = islice(cycle(self._texts), count)
        return (*(_frame(kind, text, at) for at, text in enumerate(texts)), _end(kind))


def _frame(kind: str, text: str, at: int = 0) -> bytes:
    return _chunk(WIRES[kind][0].format(text, at))


def _end(kind: str) -> bytes:
    return _chunk(WIRES[kind][1]) + b"0\r\n\r\n"


def _chunk(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def _length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _head(content_type: str, framing: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{framing}\r\n\r\n".encode()


async def _serve(seed: int) -> None:
    allow_files()
    server = await asyncio.start_server(Server(seed).serve, "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def allow_files() -> None:
    """Allow this process a thousand connections at once."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


@asynccontextmanager
async def running(seed: int) -> AsyncGenerator[str, None]:
    """The address of a server that runs as long as the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.server", str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve(int(sys.argv[1])))
