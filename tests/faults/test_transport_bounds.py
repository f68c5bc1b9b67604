"""Responses that are too large, or faster than they are read."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Final

import pytest

from agentnb._http.response import Response
from agentnb.errors import (
    AnswerTooLargeError,
    ContentTypeError,
    EventTooLargeError,
    InvalidRequestError,
    StreamCutError,
)
from tests.children import python
from tests.faults.packing import PACKERS, pack
from tests.faults.rawserver import Connection, running
from tests.http.conftest import BOTH, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

MIB: Final = 2**20
EVENTS: Final = "Content-Type: text/event-stream\n"
# What 200 MiB are made of: one line that never ends, lines that are no events, and events.
BOMBS: Final = {
    "json": ("", b" " * MIB),
    "error": ("", b" " * MIB),
    "line": (EVENTS, b"x" * MIB),
    "comments": (EVENTS, b": x\n" * (MIB // 4)),
    "events": (EVENTS, b"data: x\n\n" * (MIB // 9)),
}
CHILD: Final = """
    import asyncio, resource
    from agentnb._http import HttpClient
    from agentnb.errors import AgentnbError

    async def ask(client, kind):
        try:
            if kind in ("json", "error"):
                await client.request("GET", "/" + kind)
            else:
                async with client.stream("GET", "/" + kind) as stream:
                    async for batch in stream.batches():
                        del batch
        except AgentnbError as error:
            return type(error).__name__
        return "nothing"

    def most():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    async def main():
        client = HttpClient({url!r}, name="tested")
        # The first request loads what all need.
        await ask(client, "nothing")
        for kind in ("json", "error", "line", "comments", "events"):
            before = most()
            print(kind, await ask(client, kind), most() - before)
        await client.aclose()

    asyncio.run(main())
"""


@pytest.mark.parametrize("packed", [name for name in PACKERS if "deflate" not in name])
async def test_a_bomb_uses_little_memory(serve: Serve, packed: str) -> None:
    """Few bytes for hundreds of MiB, to a client that is a process of its own.

    Deflate goes the way of gzip.
    """
    encoding = PACKERS[packed][0]
    bombs: dict[str, bytes] = {}
    for kind, (_, filling) in BOMBS.items():
        start = b"data: 1\n\ndata: " if kind == "line" else b""
        bombs[kind] = pack(packed, start, *[filling] * 200)[1]
        assert len(bombs[kind]) < MIB

    async def script(c: Connection) -> None:
        while True:
            kind = (await c.request()).target[1:]
            if kind not in bombs:
                await c.answer(pack(packed, b"1")[1], headers=f"Content-Encoding: {encoding}")
                continue
            head = f"{BOMBS[kind][0]}Content-Encoding: {encoding}"
            status = "400 X" if kind == "error" else "200 OK"
            await c.answer(bombs[kind], status=status, headers=head)

    server = await serve(script)
    done = await asyncio.to_thread(python, CHILD.format(url=server.url))
    for line in done.stdout.splitlines():
        kind, error, grown = line.split()
        assert error == ("InvalidRequestError" if kind == "error" else "AnswerTooLargeError"), line
        assert int(grown) < 32, line


async def test_the_error_of_a_bomb(serve: Serve, connect: MakeClient) -> None:
    encoding, body = pack("gzip", b" " * 50 * MIB)

    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(body, headers=f"Content-Encoding: {encoding}")

    server = await serve(script)
    with pytest.raises(AnswerTooLargeError, match="expands to more than 100 times its size"):
        await connect(server.url).request("GET", "/")


async def test_highly_compressible_text_is_no_bomb(serve: Serve, connect: MakeClient) -> None:
    """Rows that differ in a number compress 20 times, up to 20 MiB."""
    rows = [{"id": n, "status": "COMPLETED", "text": "x" * 50} for n in range(200_000)]
    encoding, body = pack("gzip", json.dumps(rows).encode())

    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(body, headers=f"Content-Encoding: {encoding}")

    server = await serve(script)
    assert (await connect(server.url).request("GET", "/")).data == rows


@pytest.mark.parametrize("as_stream", [False, True])
async def test_json_beyond_the_limit(serve: Serve, connect: MakeClient, as_stream: bool) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"[" + b" " * 998 + b"]")
        await c.request()
        await c.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
        while True:
            await c.send(b"1," * 1_000)

    server = await serve(script)
    client = connect(server.url, max_json_bytes=1_000)
    assert (await client.request("GET", "/")).data == []

    async def ask() -> None:
        if as_stream:
            async with client.stream("GET", "/") as stream:
                await stream.json()
        else:
            await client.request("GET", "/")

    with pytest.raises(AnswerTooLargeError, match="larger than 1000 bytes") as caught:
        await ask()
    assert caught.value.limit == 1_000


@pytest.mark.parametrize("status", ["400 X", "200 OK"])
async def test_only_the_start_of_an_error_body_is_read(
    serve: Serve, connect: MakeClient, status: str
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\n\r\n".encode())
        while True:
            await c.send(b"<p>for ever</p>" * 10_000)

    server = await serve(script)
    tracemalloc.start()
    try:
        with pytest.raises((InvalidRequestError, ContentTypeError)) as caught:
            async with connect(server.url).stream("GET", "/") as stream:
                await anext(stream.batches())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(caught.value.excerpt) == 2_000
    assert peak < 8 * MIB


async def collect(stream: Response, got: list[str]) -> None:
    async for batch in stream.batches():
        got += [event.data for event in batch]


LINES = [b"x" * 64, b"data: " + b"x" * 57 + b"\n", b":" * 64]


@pytest.mark.parametrize("line", LINES, ids=["line", "lines", "comment"])
async def test_an_event_without_end(serve: Serve, connect: MakeClient, line: bytes) -> None:
    cap = MIB

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(b"id: 1\ndata: whole\n\n")
        await c.chunk(b"data: " if not line.startswith(b":") else b":")
        while True:
            await c.send(b"".join(b"%x\r\n%b\r\n" % (len(line), line) for _ in range(1_000)))

    server = await serve(script)
    got: list[str] = []
    tracemalloc.start()
    try:
        async with connect(server.url, max_event_bytes=cap).stream("GET", "/") as stream:
            with pytest.raises(EventTooLargeError) as caught:
                await collect(stream, got)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (got, caught.value.limit, stream.last_event_id) == (["whole"], cap, "1")
    assert peak < 4 * cap


@pytest.mark.parametrize("in_a_chunk", [1, 1_000])
async def test_a_slow_consumer_applies_backpressure(
    serve: Serve, connect: MakeClient, in_a_chunk: int
) -> None:
    """Hundreds of thousands of events: what is not read stays with the server."""
    events = [b"data: %099d\n\n" % number for number in range(1_000)]
    chunks = [b"".join(events[k : k + in_a_chunk]) for k in range(0, 1_000, in_a_chunk)]
    block = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    sent = 0
    serving: list[Connection] = []

    async def script(c: Connection) -> None:
        nonlocal sent
        serving.append(c)
        await c.request()
        await c.stream_head()
        for _ in range(400):
            await c.send(block)
            sent += len(block)
        await c.chunk(b"")

    server = await serve(script)
    count = 0
    async with connect(server.url).stream("GET", "/") as stream:
        async for batch in stream.batches():
            if not count:
                # Until the server waits, too.  Both are on this loop: where it goes round and
                # nothing moves, there is nothing that could.
                before, same = -1, 0
                while same < 10:
                    await asyncio.sleep(0.02)
                    same = same + 1 if sent == before and serving[0].is_held_back else 0
                    before = sent
                assert sent < 16 * MIB < 400 * len(block)
            count += len(batch)
    assert count == 400_000


@pytest.mark.parametrize("packed", [None, "gzip"])
async def test_a_fast_server_does_not_starve_the_loop(
    connect: MakeClient, packed: str | None
) -> None:
    """What others on the loop wait is counted in events: machines are busy."""
    blocks = [b"".join(b"data: %d\n\n" % (n * 7919) for n in range(k, k + 100_000)) for k in (0, 1)]
    encoding, body = ("identity", b"".join(blocks)) if packed is None else pack(packed, *blocks)

    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(body, headers=f"{EVENTS}Content-Encoding: {encoding}")

    count = most = 0

    async def others() -> None:
        nonlocal most
        before = count
        while True:
            await asyncio.sleep(0)
            most = max(most, count - before)
            before = count

    with running(script) as server:
        client = connect(server.url)
        async with client.stream("GET", "/") as stream:
            beside = asyncio.ensure_future(others())
            try:
                async for batch in stream.batches():
                    count += len(batch)
            finally:
                beside.cancel()
    assert count == 200_000
    # A read of the network brings some four thousand.
    assert 0 < most < 20_000


@pytest.mark.parametrize("ending", ["complete", "cut", "invalid"])
async def test_a_backlog_is_few_batches(serve: Serve, connect: MakeClient, ending: str) -> None:
    """Hundreds of small chunks in one read are not hundreds of batches; all precede the end."""

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        events = [f"data: {number}\n\n".encode() for number in range(1_000)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
        await c.send(chunks + {"complete": b"0\r\n\r\n", "cut": b"", "invalid": b"?\r\n"}[ending])

    server = await serve(script)
    sizes: list[int] = []
    data: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        try:
            async for batch in stream.batches():
                sizes.append(len(batch))
                data += [event.data for event in batch]
        except StreamCutError:
            assert ending != "complete"
        else:
            assert ending == "complete"
    assert data == [str(number) for number in range(1_000)]
    assert len(sizes) < 20
