"""Consumers that are slower than their server."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from tests.http.conftest import BOTH, Connection, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH


async def test_a_slow_consumer_loses_nothing(serve: Serve, connect: MakeClient) -> None:
    """Far more comes than is read ahead, in bursts that end within chunks and between them."""
    count = 60_000
    chance = random.Random(8)

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        events = (b"data: %d\n\n" % number for number in range(count))
        body = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
        # Otherwise the system buffers all of it.
        sending: socket.socket = c.writer.get_extra_info("socket")
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**14)
        start = 0
        while start < len(body):
            end = start + chance.choice((5, 300, 9_000, 150_000))
            c.writer.write(body[start:end])
            held_back.append(c.is_held_back)
            await c.writer.drain()
            start = end
        await c.chunk(b"")

    held_back: list[bool] = []
    server = await serve(script)
    texts: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        async for batch in stream.batches():
            texts += [event.data for event in batch]
            await asyncio.sleep(0.002)
    assert texts == [str(number) for number in range(count)]
    assert any(held_back)
