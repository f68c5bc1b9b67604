"""A relay before a real server, which counts the requests that pass."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from tests.ports import bound

_REQUEST: Final = re.compile(rb"(GET|POST|DELETE|PUT) (\S+) HTTP/1\.1\r\n")


class Relay:
    """``lines`` are the requests that passed, as ``GET /path?query``, in order."""

    def __init__(self, url: str) -> None:
        self.lines: list[str] = []
        self.url = ""
        self._own = ""
        self._target = urlsplit(url)

    async def serve(self, ready: threading.Event, over: asyncio.Event) -> None:
        server = await asyncio.start_server(self._accept, sock=bound())
        port = server.sockets[0].getsockname()[1]
        self._own = f"127.0.0.1:{port}"
        self.url = f"http://{self._own}{self._target.path}"
        ready.set()
        await over.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._pass(reader, back, count=True), self._pass(there, writer))
        for each in (back, writer):
            each.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool = False
    ) -> None:
        while data := await reader.read(65536):
            if count:
                self.lines += [f"{m[1].decode()} {m[2].decode()}" for m in _REQUEST.finditer(data)]
                # The sandbox answers to its own name only.
                data = data.replace(self._own.encode(), self._target.netloc.encode())
            writer.write(data)
            await writer.drain()
        writer.close()


@contextmanager
def relay(url: str, kind: type[Relay] = Relay) -> Generator[Relay, None, None]:
    """A relay to ``url``, on a free port."""
    relaying = kind(url)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    def run() -> None:
        loop.run_until_complete(relaying.serve(ready, over))
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield relaying
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
