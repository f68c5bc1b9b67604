"""Complete and broken streams of a server that writes each byte itself."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agentnb._http.response import Response
from agentnb.errors import (
    AgentnbError,
    ContentTypeError,
    EventTooLargeError,
    PlatformError,
    StreamCutError,
)
from agentnb.sse import ServerSentEvent
from tests.http.conftest import BOTH, Connection, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

REJECTED: list[dict[str, Any]] = [
    case
    for case in json.loads(
        (Path(__file__).parents[1] / "conformance" / "sse_cases.json").read_text("utf-8")
    )["cases"]
    if case["outcome"] == "reject"
]


async def collect(stream: Response, data: list[str]) -> None:
    async for batch in stream.batches():
        data += [event.data for event in batch]


async def data_of(stream: Response) -> list[str]:
    data: list[str] = []
    await collect(stream, data)
    return data


async def test_events_arrive_with_their_bytes(serve: Serve, connect: MakeClient) -> None:
    """The server sends the next byte only when the event before it has been handed out."""
    seen = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head(extra="X-Run-ID: r1\r\n")
        for event in (b"data: 1\n\n", b"data: 2\r\r", b"id: 7\r\nevent: tick\r\ndata: 3\r\n\r\n"):
            await c.chunk(event)
            await asyncio.wait_for(seen.wait(), 10)
            seen.clear()
        await c.chunk(b"\ndata: never finished\n")
        await c.chunk(b"")

    server = await serve(script)
    async with connect(server.url).stream("POST", "/runs", json={"q": "é"}) as stream:
        assert stream.status == 200
        assert stream.is_event_stream
        assert stream.headers["x-run-id"] == stream.headers["X-Run-ID"] == "r1"
        got: list[ServerSentEvent] = []
        async for batch in stream.batches():
            got += batch
            seen.set()
    assert [e.data for e in got] == ["1", "2", "3"]
    assert got[2] == ("tick", "3", "7", None)
    assert stream.last_event_id == "7"
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/runs", '{"q":"é"}'.encode())
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["cache-control"] == "no-store"
    assert request.headers["user-agent"].startswith("agentnb/")


async def test_one_chunk_is_one_batch(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.send(b"9\r\ndata: 1\n\n\r\n12\r\ndata: 2\n\ndata: 3\n\n\r\n3\r\n: n\r\n")
        await asyncio.wait_for(seen.wait(), 10)
        await c.send(b"8\r\nothing\n\n\r\n9\r\ndata: 4\n\n\r\n0\r\n\r\n")

    seen = asyncio.Event()
    server = await serve(script)
    sizes: list[int] = []
    async with connect(server.url).stream("GET", "/") as stream:
        async for batch in stream.batches():
            sizes.append(len(batch))
            seen.set()
    # aiohttp joins the chunks of one read.
    assert sizes in ([1, 2, 1], [3, 1])


async def test_a_finished_stream_releases_its_connection(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        while True:
            await c.request()
            await c.stream_head()
            await c.chunk(b"retry: 2500\ndata: x\n\n")
            await c.chunk(b"")

    server = await serve(script)
    client = connect(server.url)
    for _ in range(3):
        async with client.stream("GET", "/") as stream:
            assert await data_of(stream) == ["x"]
            assert stream.reconnect_after == 2.5
    assert server.connections == 1


async def test_closing_early_closes_the_connection_at_once(
    serve: Serve, connect: MakeClient
) -> None:
    closed = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(b"data: x\n\n")
        await c.gone()
        closed.set()

    server = await serve(script)
    client = connect(server.url)
    async with client.stream("GET", "/") as stream, aclosing(stream.batches()) as batches:
        async for _ in batches:
            break
    await asyncio.wait_for(closed.wait(), 1)


@pytest.mark.parametrize("started", [False, True], ids=["before-the-head", "in-the-stream"])
async def test_cancelling_closes_the_connection_at_once(
    serve: Serve, connect: MakeClient, started: bool
) -> None:
    reached = asyncio.Event()
    closed = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        if started:
            await c.stream_head()
            await c.chunk(b"data: x\n\n")
        else:
            reached.set()
        await c.gone()
        closed.set()

    async def follow() -> None:
        async with connect(server.url).stream("GET", "/") as stream:
            async for _ in stream.batches():
                reached.set()

    server = await serve(script)
    task = asyncio.create_task(follow())
    await asyncio.wait_for(reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(closed.wait(), 1)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1e\r\nid: 5\ndata: 1\n\nid: 6\ndata: ",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\nid: 5\ndata: 1\n\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\nid: 5\ndata: 1\n\n",
    ],
    ids=["in-a-chunk", "between-chunks", "short-length"],
)
async def test_a_cut_stream_reports_its_last_id(
    serve: Serve, connect: MakeClient, answer: bytes
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(answer)

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(StreamCutError, match="The answer of tested broke off: ") as caught:
            await collect(stream, got)
    assert got == ["1"]
    assert caught.value.last_event_id == stream.last_event_id == "5"


async def test_a_reset_is_a_cut(serve: Serve, connect: MakeClient) -> None:
    seen = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(b"data: 1\n\n")
        await asyncio.wait_for(seen.wait(), 10)
        c.reset()

    async def follow(stream: Response) -> None:
        async for batch in stream.batches():
            got.extend(batch)
            seen.set()

    server = await serve(script)
    got: list[ServerSentEvent] = []
    async with connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(StreamCutError, match="Connection reset by peer"):
            await follow(stream)
    assert [event.data for event in got] == ["1"]


async def test_an_answer_without_a_length_ends_with_its_connection(
    serve: Serve, connect: MakeClient
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(HEAD + b"Connection: close\r\n\r\ndata: 1\n\ndata: 2")

    server = await serve(script)
    async with connect(server.url).stream("GET", "/") as stream:
        assert await data_of(stream) == ["1"]


async def test_a_compressed_stream_yields_each_flush(serve: Serve, connect: MakeClient) -> None:
    seen = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head(extra="Content-Encoding: gzip\r\n")
        gzip = zlib.compressobj(wbits=31)
        for number in range(3):
            await c.chunk(gzip.compress(b"data: %d\n\n" % number) + gzip.flush(zlib.Z_SYNC_FLUSH))
            await asyncio.wait_for(seen.wait(), 10)
            seen.clear()
        await c.chunk(gzip.flush())
        await c.chunk(b"")

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        async for batch in stream.batches():
            got += [event.data for event in batch]
            seen.set()
    assert got == ["0", "1", "2"]
    assert "gzip" in server.requests[0].headers["accept-encoding"]


async def test_what_cannot_be_decompressed_is_a_cut(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head(extra="Content-Encoding: gzip\r\n")
        await c.chunk(b"data: this is not gzip\n\n")
        await c.chunk(b"")

    server = await serve(script)
    async with connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(StreamCutError, match="cannot be decompressed"):
            await data_of(stream)


async def test_an_event_beyond_the_limit(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(b"data: 1\n\ndata: " + b"x" * 2_000 + b"\n\n")
        await c.chunk(b"")

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url, max_event_bytes=1_000).stream("GET", "/") as stream:
        with pytest.raises(EventTooLargeError):
            await collect(stream, got)
    assert got == ["1"]


@pytest.mark.parametrize("case", REJECTED, ids=[case["name"] for case in REJECTED])
async def test_another_content_type_yields_no_event(
    serve: Serve, connect: MakeClient, case: dict[str, Any]
) -> None:
    status, content_type = case["response"]["status"], case["response"]["content_type"]
    body = b"".join(base64.b64decode(chunk) for chunk in case["chunks_b64"])

    async def script(c: Connection) -> None:
        await c.request()
        type_line = f"Content-Type: {content_type}" if content_type else ""
        await c.answer(body, status=f"{status} Whatever", headers=type_line)

    server = await serve(script)
    got: list[ServerSentEvent] = []

    async def follow() -> None:
        async with connect(server.url).stream("GET", "/") as stream:
            async for batch in stream.batches():
                got.extend(batch)

    if status == 204:
        # The one success that says "there is nothing, and there will be nothing": no error.
        await follow()
    else:
        with pytest.raises(AgentnbError) as caught:
            await follow()
        if status == 200:
            assert isinstance(caught.value, ContentTypeError)
            assert caught.value.content_type == content_type
            assert caught.value.excerpt == body.decode()
        else:
            assert isinstance(caught.value, PlatformError)
            assert caught.value.status == status
    assert got == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted"])
async def test_a_stream_in_response_to_post(serve: Serve, connect: MakeClient, status: str) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"data: x\n\n", status=status, headers="Content-Type: Text/Event-Stream;a=b")

    server = await serve(script)
    async with connect(server.url).stream("POST", "/") as stream:
        assert await data_of(stream) == ["x"]


async def test_json_instead_of_a_stream(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b'{"data":{"result":"x"}}', headers="Content-Type: application/json")

    server = await serve(script)
    async with connect(server.url).stream("POST", "/") as stream:
        assert not stream.is_event_stream
        assert await stream.json() == {"data": {"result": "x"}}


async def test_the_excerpt_of_an_endless_body_is_bounded(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while True:
            await c.send(b"<p>\x1b[31m\0for ever" * 1_000)

    server = await serve(script)
    async with connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(ContentTypeError, match="text/html where an event stream") as caught:
            await data_of(stream)
    assert len(caught.value.excerpt) == 2_000
    assert caught.value.excerpt.startswith("<p>[31mfor ever")


@pytest.mark.parametrize("begun", [b"<title>Log in</title>", b""], ids=["begun", "empty"])
async def test_another_content_type_does_not_wait_for_its_body(
    serve: Serve, connect: MakeClient, begun: bytes
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + begun)
        await asyncio.Event().wait()

    server = await serve(script)
    # Less than the time that the body of an answer is given whose message stands in it.
    async with asyncio.timeout(9), connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(ContentTypeError, match="text/html where an event stream") as caught:
            await data_of(stream)
    assert caught.value.excerpt == begun.decode()
    assert "base_url" in (caught.value.hint or "")


async def test_concurrent_streams_do_not_mix(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        name = (await c.request()).target[1:]
        await c.stream_head()
        for number in range(20):
            await c.chunk(f"id: {name}-{number}\ndata: {name}-{number}\n\n".encode())
            await asyncio.sleep(0)
        await c.chunk(b"")

    async def follow(name: int) -> list[str]:
        async with client.stream("GET", f"/{name}") as stream:
            return await data_of(stream)

    server = await serve(script)
    client = connect(server.url)
    answers = await asyncio.gather(*(follow(name) for name in range(50)))
    assert answers == [[f"{name}-{number}" for number in range(20)] for name in range(50)]
