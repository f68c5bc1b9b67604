"""Servers that reach each of the deadlines."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from dataclasses import replace

import pytest

from agentnb._http import HttpClient, RequestOptions
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.errors import DeadlineError
from tests.faults.rawserver import Connection, Script
from tests.http.conftest import MakeClient, Serve

pytestmark = pytest.mark.anyio

SHORT = 0.3
# A deadline within which something is to succeed: as long as a busy machine may need for it.
MEANT = 2.5
NEVER = Deadlines(connect=None, first_event=None, idle=None, progress=None, total=None)


async def events_of(client: HttpClient) -> list[str]:
    async with client.stream("GET", "/") as stream:
        return [e.data async for batch in stream.batches() for e in batch]


async def json_of(client: HttpClient) -> object:
    return (await client.request("GET", "/")).data


async def silent(c: Connection) -> None:
    await c.request()
    await c.gone()


async def half_a_head(c: Connection) -> None:
    await c.request()
    await c.send(b"HTTP/1.1 200 OK\r\n")
    await c.gone()


async def head_alone(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    await c.gone()


async def one_event(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    await c.chunk(b"data: 1\n\n")
    await c.gone()


async def comments(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    while True:
        await c.chunk(b": still here\n\n")
        await asyncio.sleep(SHORT / 20)


async def comments_after_an_event(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    await c.chunk(b"data: 1\n\n")
    while True:
        await c.chunk(b":\n")
        await asyncio.sleep(SHORT / 20)


async def an_event_without_end(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    await c.chunk(b"data: 1\n\ndata: ")
    while True:
        await c.chunk(b"x")
        await asyncio.sleep(SHORT / 20)


async def comments_as_fast_as_they_go(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    while True:
        await c.chunk(b": noise\n" * 1_000)


async def events_for_ever(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    while True:
        await c.chunk(b"data: x\n\n" * 1_000)


@pytest.mark.parametrize(
    ("script", "setting", "expected"),
    [
        (silent, "first_event", "tested did not answer within {:g} s."),
        (half_a_head, "first_event", "tested did not answer within {:g} s."),
        (head_alone, "first_event", "tested answered, but sent no event within {:g} s."),
        (comments, "first_event", "tested answered, but sent no event within {:g} s."),
        (head_alone, "idle", "tested was silent for {:g} s."),
        (one_event, "idle", "tested was silent for {:g} s."),
        (comments, "progress", "tested sent no event for {:g} s, though it was not silent."),
        (comments_after_an_event, "progress", "tested sent no event for {:g} s"),
        (an_event_without_end, "progress", "tested sent no event for {:g} s"),
        (comments_as_fast_as_they_go, "progress", "tested sent no event for {:g} s"),
        (silent, "total", "tested did not finish within {:g} s."),
        (one_event, "total", "tested did not finish within {:g} s."),
        (comments_after_an_event, "total", "tested did not finish within {:g} s."),
        (events_for_ever, "total", "tested did not finish within {:g} s."),
    ],
)
@pytest.mark.parametrize("per_call", [False, True], ids=["client", "call"])
async def test_each_deadline_names_its_setting(
    serve: Serve, connect: MakeClient, script: Script, setting: str, expected: str, per_call: bool
) -> None:
    server = await serve(script)
    # A head that is late on a busy machine would be another failure.
    seconds = MEANT / 2 if expected.startswith("tested answered") else SHORT
    deadlines = replace(NEVER, **{setting: seconds})
    started = time.monotonic()
    if per_call:
        client = connect(server.url, deadlines=NEVER)
        with RequestOptions(deadlines=deadlines).applied(), pytest.raises(DeadlineError) as caught:
            await events_of(client)
    else:
        with pytest.raises(DeadlineError) as caught:
            await events_of(connect(server.url, deadlines=deadlines))
    assert time.monotonic() - started >= seconds
    assert (caught.value.deadline, caught.value.seconds) == (setting, seconds)
    assert caught.value.message.startswith(expected.format(seconds))
    assert f"deadlines=agentnb.Deadlines({setting}=...)" in str(caught.value)
    await server.all_gone()


async def test_a_handshake_that_never_ends(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.gone()

    server = await serve(script)
    client = connect(server.url.replace("http:", "https:"), deadlines=NEVER)
    request_options, expected = (
        RequestOptions(deadlines=Deadlines(connect=SHORT)),
        r"No connection to tested .* 0\.3 s",
    )
    with request_options.applied(), pytest.raises(DeadlineError, match=expected) as caught:
        await json_of(client)
    assert (caught.value.deadline, caught.value.seconds) == ("connect", SHORT)


async def test_the_head_of_a_json_response_is_its_first_event(
    serve: Serve, connect: MakeClient
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
        await asyncio.sleep(MEANT + SHORT)
        await c.send(b"1")

    server = await serve(script)
    assert await json_of(connect(server.url, deadlines=Deadlines(first_event=MEANT))) == 1


async def test_json_that_arrives_slowly(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await c.send(b" ")
            await asyncio.sleep(SHORT / 20)

    server = await serve(script)
    with pytest.raises(DeadlineError, match="did not send the whole of its answer") as caught:
        await json_of(connect(server.url, deadlines=Deadlines(progress=SHORT)))
    assert caught.value.deadline == "progress"


async def test_every_event_restarts_the_progress_deadline(
    serve: Serve, connect: MakeClient
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        for _ in range(16):
            await asyncio.sleep(MEANT / 15)
            await c.chunk(b"data: x\n\n: and so on\n\n")
        await c.chunk(b"")

    server = await serve(script)
    deadlines = Deadlines(first_event=MEANT, idle=MEANT, progress=MEANT)
    assert await events_of(connect(server.url, deadlines=deadlines)) == ["x"] * 16


async def test_a_slow_consumer_reaches_no_deadline(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        for _ in range(2):
            await c.chunk(b"data: x\n\n")
            await c.chunk(b": nothing\n\n")
        await c.chunk(b"")

    server = await serve(script)
    deadlines = Deadlines(first_event=1.2, idle=1.2, progress=1.2)
    count = 0
    async with connect(server.url, deadlines=deadlines).stream("GET", "/") as stream:
        await asyncio.sleep(1.4)
        async for batch in stream.batches():
            await asyncio.sleep(1.4)
            count += len(batch)
    assert count == 2


async def quick(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b"1")


async def test_the_total_of_a_call_counts_over_all_its_requests(
    serve: Serve, connect: MakeClient
) -> None:
    server = await serve(quick)
    client = connect(server.url, deadlines=Deadlines(total=MEANT))
    request_options = RequestOptions(deadlines=Deadlines(total=MEANT))
    began = time.monotonic()
    with request_options.applied(since=began):
        assert await json_of(client) == 1
        await asyncio.sleep(MEANT)
        # Other options of the same call share its time.
        other = replace(request_options, retries=Retries(requests=0)).applied(since=began)
        for within in (nullcontext(), other):
            with within, pytest.raises(DeadlineError, match=f"within {MEANT} s") as caught:
                await json_of(client)
            assert caught.value.deadline == "total"
        # Options applied without a start count anew, even when they are equal.
        for anew in (RequestOptions(), request_options):
            with anew.applied():
                assert await json_of(client) == 1
    # A client's own counts for each request by itself: its first began longer ago than that.
    assert await json_of(client) == 1


async def test_the_total_includes_attempts_and_delays(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"", status="503 No", headers=f"Retry-After: {MEANT / 2}")
        await c.request()
        # The second attempt has only what the pause has left of the time.
        async with asyncio.timeout(MEANT):
            await c.gone()

    server = await serve(script)
    client = connect(server.url, deadlines=Deadlines(total=MEANT), retries=None)
    started = time.monotonic()
    with pytest.raises(DeadlineError) as caught:
        await json_of(client)
    assert time.monotonic() - started >= MEANT
    assert caught.value.deadline == "total"
    assert len(server.requests) == 2
    await server.all_gone()
    assert server.problems == []
