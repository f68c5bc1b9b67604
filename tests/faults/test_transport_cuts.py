"""Responses that end early."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from contextlib import aclosing
from typing import Any

import pytest

from agentnb._http.response import Response
from agentnb.errors import ContentTypeError, StreamCutError
from tests.faults.rawserver import Connection, Script
from tests.http.conftest import BOTH, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
EVENT = b"id: 5\ndata: 1\n\n"
FRAMED = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)


async def follow(stream: Response, got: list[str]) -> None:
    async for batch in stream.batches():
        got += [event.data for event in batch]


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + FRAMED,
        CHUNKED + FRAMED + b"99\r\nid: 6\ndata: ha",
        CHUNKED + FRAMED + b"9\r\ndata: 2\n\n",
        CHUNKED + FRAMED + b"1",
        CHUNKED + FRAMED + b"0\r\n",
        HEAD + b"Content-Length: 99\r\n\r\n" + EVENT,
        HEAD + b"Content-Length: 99\r\n\r\n" + EVENT + b"id: 6\n",
    ],
    ids=[
        "between-chunks",
        "in-a-chunk",
        "before-the-end-of-a-chunk",
        "in-a-length",
        "in-the-last-chunk",
        "short",
        "short-in-an-event",
    ],
)
async def test_a_cut_keeps_events_and_last_id(
    serve: Serve, connect: MakeClient, answer: bytes
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(answer)

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("POST", "/", json=1) as stream:
        with pytest.raises(StreamCutError, match="broke off: the connection was closed") as e:
            await follow(stream, got)
    assert got[0] == "1"
    assert e.value.last_event_id == stream.last_event_id == "5"
    assert len(server.requests) == 1, "no retry"


@pytest.mark.parametrize("sent", [b"nonsense\r\n", b"-1\r\n"], ids=["no-length", "bad-length"])
async def test_an_invalid_chunk_keeps_earlier_data(
    serve: Serve, connect: MakeClient, sent: bytes
) -> None:
    seen = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        await c.send(CHUNKED + FRAMED)
        await asyncio.wait_for(seen.wait(), 10)
        await c.send(sent)

    async def follow_on(stream: Response) -> None:
        async for _ in stream.batches():
            seen.set()

    server = await serve(script)
    async with connect(server.url).stream("POST", "/", json=1) as stream:
        with pytest.raises(StreamCutError, match="broke off: the response is not valid HTTP") as e:
            await follow_on(stream)
    assert seen.is_set()
    assert e.value.last_event_id == "5"
    assert len(server.requests) == 1, "no retry"


async def test_an_invalid_chunk_keeps_the_data_of_its_packet(
    serve: Serve, connect: MakeClient
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(CHUNKED + FRAMED + b"nonsense\r\n")

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("POST", "/", json=1) as stream:
        with pytest.raises(StreamCutError, match="broke off: the response is not valid HTTP"):
            await follow(stream, got)
    assert got == ["1"]


@pytest.mark.parametrize("sent", [CHUNKED + FRAMED, CHUNKED + FRAMED + b"99\r\nid: 6\ndata: ha"])
async def test_a_reset_is_a_cut(serve: Serve, connect: MakeClient, sent: bytes) -> None:
    seen = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        await c.send(sent)
        # A reset discards unread data.
        await asyncio.wait_for(seen.wait(), 10)
        c.reset()

    async def follow_on(stream: Response) -> None:
        async for _ in stream.batches():
            seen.set()

    server = await serve(script)
    async with connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(StreamCutError, match="broke off: Connection reset by peer") as caught:
            await follow_on(stream)
    assert caught.value.last_event_id == "5"


async def test_a_half_closed_connection_is_a_cut(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(CHUNKED + FRAMED)
        c.half_close()
        await c.gone()

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        with pytest.raises(StreamCutError):
            await follow(stream, got)
    assert got == ["1"]


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "last-chunk"])
async def test_a_clean_end_within_an_event_yields_complete_events_only(
    serve: Serve, connect: MakeClient, closes: bool
) -> None:
    """No error: whether the run is over is not the transport's to know."""

    async def script(c: Connection) -> None:
        await c.request()
        if closes:
            await c.send(HEAD + b"Connection: close\r\n\r\n" + EVENT + b"id: 6\ndata: half\n")
        else:
            await c.stream_head()
            await c.chunk(EVENT + b"id: 6\ndata: half\n")
            await c.chunk(b"")

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        await follow(stream, got)
    assert (got, stream.last_event_id) == (["1"], "5")


async def test_truncated_json_with_a_length(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"a": 1}')

    server = await serve(script)
    with pytest.raises(StreamCutError, match="broke off"):
        await connect(server.url).request("POST", "/")
    assert len(server.requests) == 1


async def test_truncated_json_without_a_length(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"a": ')

    server = await serve(script)
    with pytest.raises(ContentTypeError, match="where JSON was expected"):
        await connect(server.url).request("GET", "/")


async def test_a_stream_cut_anywhere(serve: Serve, connect: MakeClient) -> None:
    """Whole events up to the cut, in order, each once; and never an error of another kind."""
    events = [f"id: {n}\nevent: e\ndata: {json.dumps({'n': n})}\n\n".encode() for n in range(20)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"
    chosen = random.Random(7)
    cuts = [chosen.randrange(len(framed)) for _ in range(100)]

    async def script(c: Connection) -> None:
        cut = cuts[(await c.request()).attempt - 1]
        await c.send(CHUNKED)
        for start in range(0, cut, 100):
            await c.send(framed[start : min(start + 100, cut)])

    server = await serve(script)
    client = connect(server.url)
    for _ in cuts:
        got: list[str] = []
        async with client.stream("GET", "/") as stream:
            with pytest.raises(StreamCutError):
                await follow(stream, got)
        assert got == [json.dumps({"n": n}) for n in range(len(got))]
        assert stream.last_event_id == (str(len(got) - 1) if got else "")
    assert len(server.requests) == 100


async def test_dropped_streams_leak_nothing(serve: Serve, connect: MakeClient) -> None:
    """Fifty iterators in every state, none read to its end: no socket, no task, no warning."""

    async def script(c: Connection) -> None:
        packed = (await c.request()).target == "/packed"
        await c.stream_head(extra="Content-Encoding: identity\r\n" if packed else "")
        while True:
            await c.chunk(EVENT)
            await asyncio.sleep(0.01)

    server = await serve(script)
    client = connect(server.url)
    before = asyncio.all_tasks()
    held: list[Any] = []
    for number in range(50):
        context = client.stream("GET", "/packed" if number % 2 else "/")
        stream = await context.__aenter__()
        if number % 3:
            batches = stream.batches()
            await anext(batches)
            if number % 3 == 1:
                await batches.aclose()
            held.append(batches)
        await context.__aexit__(None, None, None)
    held.clear()
    gc.collect()
    await server.all_gone()
    assert server.connections == 50
    own = {task for task in asyncio.all_tasks() - before if "script" not in repr(task)}
    assert {task for task in own if "_play" not in repr(task)} == set()


def echo(times: int) -> Script:
    async def script(c: Connection) -> None:
        while True:
            name = (await c.request()).target[1:]
            await c.stream_head()
            for number in range(times):
                await c.chunk(f"id: {name}-{number}\ndata: {name}\n\n".encode())
                await asyncio.sleep(0)
            await c.chunk(b"")

    return script


async def test_parallel_streams_that_are_left_early(serve: Serve, connect: MakeClient) -> None:
    server = await serve(echo(30))
    client = connect(server.url)

    async def one(number: int) -> None:
        got: list[str] = []
        path = f"/{number}"
        async with client.stream("GET", path) as stream, aclosing(stream.batches()) as batches:
            async for batch in batches:
                got += [event.data for event in batch]
                if number % 3 == 0:
                    break
        assert set(got) == {str(number)}
        assert number % 3 == 0 or len(got) == 30

    await asyncio.gather(*(one(number) for number in range(60)))
