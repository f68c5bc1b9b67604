"""Compressed responses."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from agentnb._http.response import Response
from agentnb.errors import BudgetExceededError, ContentTypeError, StreamCutError
from tests.faults.packing import PACKERS, pack
from tests.faults.rawserver import Connection
from tests.http.conftest import BOTH, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

every_encoding = pytest.mark.parametrize("kind", PACKERS)


async def collect(stream: Response, got: list[str]) -> None:
    async for batch in stream.batches():
        got += [event.data for event in batch]


@every_encoding
@pytest.mark.parametrize("size", [1, 10_000], ids=["byte-by-byte", "at-once"])
async def test_each_event_arrives_with_its_flush(
    serve: Serve, connect: MakeClient, kind: str, size: int
) -> None:
    """The server goes on only when the event before has been handed out."""
    seen = asyncio.Event()
    encoding, packer = PACKERS[kind]

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head(extra=f"Content-Encoding: {encoding}\r\n")
        packing = packer()
        for number in range(5):
            flushed = packing(b"data: %d\n\n" % number)
            for start in range(0, len(flushed), size):
                await c.chunk(flushed[start : start + size])
            await asyncio.wait_for(seen.wait(), 10)
            seen.clear()
        await c.chunk(packing(None))
        await c.chunk(b"")

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        async for batch in stream.batches():
            got += [event.data for event in batch]
            seen.set()
    assert got == ["0", "1", "2", "3", "4"]
    assert encoding in server.requests[0].headers["accept-encoding"].split(", ")


@every_encoding
async def test_json_and_errors_are_decompressed(
    serve: Serve, connect: MakeClient, kind: str
) -> None:
    encoding, body = pack(kind, json.dumps(list(range(50_000))).encode())

    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(body, headers=f"Content-Encoding: {encoding}")
        await c.request()
        compressed_body = pack(kind, b"over quota")[1]
        kinds = f"Content-Encoding: {encoding}\nContent-Type: text/plain"
        await c.answer(compressed_body, status="402 X", headers=kinds)

    server = await serve(script)
    client = connect(server.url)
    assert (await client.request("GET", "/")).data == list(range(50_000))
    with pytest.raises(BudgetExceededError, match="tested answered 402: over quota"):
        await client.request("GET", "/")
    assert server.connections == 1


@every_encoding
async def test_a_missing_compressed_end_is_a_cut(
    serve: Serve, connect: MakeClient, kind: str
) -> None:
    encoding, body = pack(kind, b"id: 7\ndata: 1\n\n", b"data: 2\n\n" * 100)

    async def script(c: Connection) -> None:
        await c.request()
        kinds = f"Content-Encoding: {encoding}\nContent-Type: text/event-stream"
        await c.answer(body[:-2], headers=kinds)

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(StreamCutError, match="broke off") as caught:
            await collect(stream, got)
    assert got[:1] == ["1"]
    assert caught.value.last_event_id == "7"


@every_encoding
async def test_invalid_compressed_data(serve: Serve, connect: MakeClient, kind: str) -> None:
    encoding, _ = PACKERS[kind]

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head(extra=f"Content-Encoding: {encoding}\r\n")
        await c.chunk(b"data: this is plain text\n\n")
        await c.chunk(b"")

    server = await serve(script)
    async with connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(StreamCutError, match="cannot be decompressed"):
            await collect(stream, [])


@pytest.mark.parametrize("encoding", ["compress", "gzip, gzip", "gzip, br", "nonsense"])
async def test_encodings_that_were_not_accepted(
    serve: Serve, connect: MakeClient, encoding: str
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"1", headers=f"Content-Encoding: {encoding}")

    server = await serve(script)
    with pytest.raises(ContentTypeError, match="has an encoding that was not accepted"):
        await connect(server.url).request("GET", "/")


@pytest.mark.parametrize("encoding", ["", "identity", "Identity, "])
async def test_empty_encodings(serve: Serve, connect: MakeClient, encoding: str) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"1", headers=f"Content-Encoding: {encoding}")

    server = await serve(script)
    assert (await connect(server.url).request("GET", "/")).data == 1


async def test_gzip_with_several_members_and_trailing_data(
    serve: Serve, connect: MakeClient
) -> None:
    body = gzip.compress(b'{"a"') + gzip.compress(b": 1}") + b"\0" * 512

    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: X-GZip\r\n")
        await c.send(b"Transfer-Encoding: chunked\r\n\r\n")
        for byte in body:
            await c.chunk(bytes([byte]))
        await c.chunk(b"")

    server = await serve(script)
    assert (await connect(server.url).request("GET", "/")).data == {"a": 1}
