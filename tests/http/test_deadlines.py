"""Slow and silent servers."""

from __future__ import annotations

import asyncio
import time

import pytest

from agentnb._http.response import Response
from agentnb._http.timeout import Deadlines
from agentnb.errors import DeadlineError, InvalidRequestError
from tests.http.conftest import BOTH, Connection, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

SHORT = 0.2


async def read_all(stream: Response) -> None:
    async for _ in stream.batches():
        pass


async def silent(c: Connection) -> None:
    await c.request()
    await c.gone()


@pytest.mark.parametrize("setting", ["first_event", "total"])
async def test_no_head(serve: Serve, connect: MakeClient, setting: str) -> None:
    server = await serve(silent)
    client = connect(server.url, deadlines=Deadlines(**{setting: SHORT}))
    for ask in (client.request("GET", "/"), client.stream("GET", "/").__aenter__()):
        started = time.monotonic()
        with pytest.raises(DeadlineError) as caught:
            await ask
        assert time.monotonic() - started >= SHORT
        assert (caught.value.deadline, caught.value.seconds) == (setting, SHORT)
        assert "0.2 s" in str(caught.value)


async def test_no_connection(serve: Serve, connect: MakeClient) -> None:
    """The connection stands, but TLS never does."""

    async def script(c: Connection) -> None:
        await c.gone()

    server = await serve(script)
    url = server.url.replace("http:", "https:")
    with pytest.raises(DeadlineError, match="No connection to tested at https://") as caught:
        await connect(url, deadlines=Deadlines(connect=SHORT)).request("GET", "/")
    assert (caught.value.deadline, caught.value.seconds) == ("connect", SHORT)


async def test_silence_after_the_head(serve: Serve, connect: MakeClient) -> None:
    closed = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(b"data: 1\n\n")
        await c.gone()
        closed.set()

    server = await serve(script)
    async with connect(server.url, deadlines=Deadlines(idle=SHORT)).stream("GET", "/") as stream:
        batches = stream.batches()
        assert [event.data for event in await anext(batches)] == ["1"]
        with pytest.raises(DeadlineError, match=r"tested was silent for 0\.2 s") as caught:
            await anext(batches)
        assert caught.value.deadline == "idle"
        await asyncio.wait_for(closed.wait(), 1)


async def test_silence_in_a_json_body(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a"')
        await c.gone()

    server = await serve(script)
    with pytest.raises(DeadlineError) as caught:
        await connect(server.url, deadlines=Deadlines(idle=SHORT)).request("GET", "/")
    assert caught.value.deadline == "idle"


async def drip(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    while True:
        await c.chunk(b": still here\n\n")
        await asyncio.sleep(SHORT / 10)


async def test_comments_alone_reach_the_progress_deadline(
    serve: Serve, connect: MakeClient
) -> None:
    server = await serve(drip)
    deadlines = Deadlines(idle=SHORT * 3, total=SHORT * 5)
    async with connect(server.url, deadlines=deadlines).stream("GET", "/") as stream:
        with pytest.raises(DeadlineError, match="did not finish within 1 s") as caught:
            await read_all(stream)
    assert caught.value.deadline == "total"


async def test_the_total_is_enforced_while_data_arrives(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        while True:
            await c.chunk(b"data: x\n\n" * 100)

    server = await serve(script)
    client = connect(server.url, deadlines=Deadlines(total=1))
    # Around both: on a busy machine the second may pass before the answer begins.
    with pytest.raises(DeadlineError) as caught:
        async with client.stream("GET", "/") as stream:
            await read_all(stream)
    assert caught.value.deadline == "total"


async def test_a_slow_consumer_is_not_an_idle_server(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        for _ in range(3):
            await c.chunk(b"data: x\n\n")
        await c.chunk(b"")

    server = await serve(script)
    count = 0
    async with connect(server.url, deadlines=Deadlines(idle=SHORT)).stream("GET", "/") as stream:
        async for batch in stream.batches():
            await asyncio.sleep(SHORT * 2)
            count += len(batch)
    assert count == 3


async def test_no_deadlines_wait_for_a_slow_server(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await asyncio.sleep(SHORT)
        await c.answer(b"1")

    server = await serve(script)
    none = Deadlines(connect=None, first_event=None, idle=None, total=None)
    assert (await connect(server.url, deadlines=none).request("GET", "/")).data == 1


@pytest.mark.parametrize("wait", [0.0, SHORT], ids=["before", "while-it-fires"])
async def test_a_cancelled_wait_stays_cancelled(
    serve: Serve, connect: MakeClient, wait: float
) -> None:
    """The watchdog never swallows a cancellation from outside."""
    arrived = asyncio.Event()

    async def script(c: Connection) -> None:
        await c.request()
        arrived.set()
        await c.gone()

    async def ask() -> None:
        await connect(server.url, deadlines=Deadlines(first_event=SHORT)).request("GET", "/")

    server = await serve(script)
    task = asyncio.create_task(ask())
    await arrived.wait()
    # Block the loop, so that the timer and this cancellation come up in the same round.
    time.sleep(wait)  # noqa: ASYNC251
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_does_not_wait_for_its_whole_body(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b"HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\nonly this")
        await c.gone()

    server = await serve(script)
    with pytest.raises(InvalidRequestError) as caught:
        await connect(server.url, deadlines=Deadlines(idle=SHORT)).request("GET", "/")
    assert caught.value.excerpt == "only this"
