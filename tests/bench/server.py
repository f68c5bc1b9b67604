"""A loopback server in a process of its own: `python -m tests.bench.server` prints its port.

Every event is sent, and so flushed, by itself.  ``/burst/N`` sends N events as fast as the client
takes them, and ``/seekr/N/...`` likewise, as that platform writes them; ``/paced/N`` sends one each
millisecond, with the time of its flush in it.  What else a platform's client asks for is answered
with a record that tells it all it wants to know.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

# Each platform's fragment of an answer, for a text of five characters and its number, and its end.
WIRES: Final[dict[str, tuple[str, str]]] = {
    "seekr": (
        'data: {{"type": "text_delta", "text": "{0:05}"}}\n\n',
        'data: {"type": "end_node"}\n\n',
    ),
    "runagent": (
        'event: chunk\ndata: {{"content": "{0:05}", "index": {1}}}\n\n',
        'event: done\ndata: {"message": "Stream complete"}\n\n',
    ),
    "operativus": (
        'data: {{"event":"CONTENT_DELTA","data":"{0:05}","timestamp":1746518400000}}\n\n',
        'data: {"event":"STOP","data":"","timestamp":1746518400000}\n\n',
    ),
    "runtools": (
        'event: text_delta\ndata: {{"content":"{0:05}"}}\n\n',
        'event: complete\ndata: {"output":""}\n\n',
    ),
}
RECORD: Final = {
    "id": "r",
    "active_run_id": "r",
    "status": "completed",
    "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
}


def event(text: str) -> bytes:
    """An event of about 55 bytes for a text of five characters."""
    return f'data: {{"type": "text_delta", "text": "{text}"}}\n\n'.encode()


def events(kind: str, count: int) -> Iterator[bytes]:
    if kind == "paced":
        for _ in range(count):
            time.sleep(0.001)
            yield event(str(time.monotonic_ns()))
    elif kind == "burst":
        for number in range(count):
            yield event(f"{number % 100_000:05}")
    else:
        fragment, end = WIRES[kind]
        for number in range(count):
            yield fragment.format(number % 100_000, number).encode()
        yield end.encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Each event in a segment of its own.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.answer()

    def answer(self) -> None:
        _, kind, count, *path = self.path.partition("?")[0].split("/")
        if path and path[-1] not in ("stream", "run"):
            body = json.dumps(RECORD).encode()
            self.begin("application/json", "Content-Length", str(len(body)))
            self.wfile.write(body)
            return
        self.begin("text/event-stream", "Transfer-Encoding", "chunked")
        send = self.connection.sendall
        for data in events(kind, int(count)):
            send(b"%x\r\n%b\r\n" % (len(data), data))
        send(b"0\r\n\r\n")

    def begin(self, content_type: str, name: str, value: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    # Ends when the process that started it does.
    sys.stdin.read()
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
    main()
