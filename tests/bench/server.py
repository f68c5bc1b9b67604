"""A loopback server in a process of its own: `python -m tests.bench.server` prints its port.

Every event is written, and so flushed, by itself.  ``/burst/N`` sends N events as fast as the
client takes them; ``/paced/N`` sends one each millisecond, with the time of its flush in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(text: str) -> bytes:
    """An event of about 55 bytes for a text of five characters."""
    return f'data: {{"type": "text_delta", "text": "{text}"}}\n\n'.encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
            await reader.readexactly(int(length or b"0"))
            _, kind, count = head.split(b" ")[1].split(b"/")
            writer.write(HEAD)
            for number in range(int(count)):
                if kind == b"paced":
                    await asyncio.sleep(0.001)
                    writer.write(chunk(event(str(time.monotonic_ns()))))
                else:
                    writer.write(chunk(event(f"{number % 100_000:05}")))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Ends when the process that started it does.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


@asynccontextmanager
async def running() -> AsyncGenerator[str, None]:
    """The address of a server that runs as long as the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.server"),
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
    asyncio.run(main())
