"""What stands beside agentnb in the rows that stream, and what nothing can be faster than."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import httpx
import httpx_sse
from openai import AsyncOpenAI

__all__ = [
    "ASKED",
    "aiohttp_bytes",
    "client",
    "httpx_bytes",
    "openai_text",
    "plain_bytes",
    "sse_json_text",
]

# What a platform is asked for a stream with, and where its fragments hold their text.
ASKED = {
    "seekr": ("/v1/threads/r/runs/stream", "text"),
    "runagent": ("/v1/agents/a/stream", "content"),
    "operativus": ("/api/agents/a/runs/stream", "data"),
    "runtools": ("/v1/run", "content"),
}


def client() -> httpx.AsyncClient:
    """Return a client of httpx that has as many connections as it is asked for."""
    # Kept alive is what httpx keeps by default: its pool looks at each of them at every request.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    return httpx.AsyncClient(timeout=None, limits=limits)


async def sse_json_text(
    asking: httpx.AsyncClient, url: str, field: str, *, begun: Callable[[], None] | None = None
) -> int:
    """Read a stream as httpx-sse and json do; return how many characters of text it had.

    ``begun`` is called when the first event is there.
    """
    length = 0
    async with httpx_sse.aconnect_sse(asking, "POST", url, json={}) as source:
        async for event in source.aiter_sse():
            length += len(json.loads(event.data).get(field, ""))
            if begun is not None:
                begun()
                begun = None
    return length


async def httpx_bytes(
    asking: httpx.AsyncClient, url: str, *, begun: Callable[[], None] | None = None
) -> int:
    """Read a stream and look at nothing of it; return its size."""
    size = 0
    async with asking.stream("POST", url, json={}) as response:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if begun is not None:
                begun()
                begun = None
    return size


async def aiohttp_bytes(
    asking: aiohttp.ClientSession, url: str, *, begun: Callable[[], None] | None = None
) -> int:
    """Do as `httpx_bytes` does."""
    size = 0
    async with asking.post(url, json={}) as response:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if begun is not None:
                begun()
                begun = None
    return size


async def openai_text(asking: AsyncOpenAI, *, begun: Callable[[], None] | None = None) -> int:
    """Read a stream of chat completions with openai's client; return the length of its text."""
    length = 0
    async for chunk in await asking.chat.completions.create(model="m", messages=[], stream=True):
        length += len(chunk.choices[0].delta.content or "")
        if begun is not None:
            begun()
            begun = None
    return length


@asynccontextmanager
async def plain_bytes(url: str) -> AsyncGenerator[Connection, None]:
    """A connection without a library: the request is written, and what comes is handed on."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


class Connection:
    """Asks again and again on the same connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def chunks(self, path: str) -> AsyncGenerator[bytes, None]:
        """Ask for ``path`` and yield what each read brings, the head and the framing with it."""
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 2\r\n\r\n{{}}"
        self._writer.write(head.encode())
        end = b""
        while not end.endswith(b"\r\n0\r\n\r\n"):
            chunk = await self._reader.read(65536)
            end = end[-7:] + chunk
            yield chunk
