"""Event streams as servers really send them: over sockets, in any chunks, with any bytes."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from agentnb._http.response import Response
from agentnb.errors import (
    AgentnbError,
    ContentTypeError,
    EventTooLargeError,
    PlatformError,
    ServerError,
)
from agentnb.sse import ServerSentEvent
from tests.cases import cases
from tests.faults.rawserver import Connection
from tests.http.conftest import MakeClient, Serve

pytestmark = pytest.mark.anyio

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "conformance" / "sse_cases.json").read_text("utf-8")
)["cases"]
GOOD = [case for case in CASES if case["outcome"] == "events"]
ENDS = [b"\n", b"\r", b"\r\n"]


async def collect(stream: Response, got: list[ServerSentEvent]) -> None:
    async for batch in stream.batches():
        got += batch


@cases("case", {case["name"]: case for case in GOOD})
async def test_the_standard_byte_by_byte_over_a_socket(
    serve: Serve, connect: MakeClient, case: dict[str, Any]
) -> None:
    whole = b"".join(base64.b64decode(chunk) for chunk in case["chunks_b64"])
    pieces = [whole[i : i + 1] for i in range(len(whole))]
    if len(whole) > 2_000:
        pieces = [whole[i : i + 64] for i in range(0, len(whole), 64)]

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        for piece in pieces:
            await c.chunk(piece)
        await c.chunk(b"")

    server = await serve(script)
    got: list[ServerSentEvent] = []
    async with connect(server.url).stream("GET", "/") as stream:
        await collect(stream, got)
    events = [event._asdict() for event in got]
    expected = case["expected"]
    if expected.get("retry_any"):
        events = [{**event, "retry": None} for event in events]
    assert events == expected["events"]
    assert stream.last_event_id == expected["last_event_id"]


async def test_each_event_comes_with_its_blank_line_in_any_mix_of_line_ends(
    serve: Serve, connect: MakeClient
) -> None:
    """Every byte goes alone; after each blank line the server waits until its event is out."""
    chosen = random.Random(1)
    seen = asyncio.Queue[str]()
    unfinished = b"data: never finished\r\n"

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        ended_with_cr = False
        for number in range(60):
            one, two = chosen.choice(ENDS), chosen.choice(ENDS)
            if one == b"\r" and two[:1] == b"\n":
                two = b"\r"  # CR and LF side by side are one line end
            block = b"data: %d" % number + one + two
            if ended_with_cr and chosen.random() < 0.5:
                block = b"\n" + block  # belongs to the CR before, and is swallowed once
            # The last LF of a CRLF changes nothing: the event is out with the CR.
            awaited = len(block) - 1 if two == b"\r\n" else len(block)
            for index in range(awaited):
                await c.chunk(block[index : index + 1])
            assert await asyncio.wait_for(seen.get(), 10) == str(number)
            if awaited < len(block):
                await c.chunk(b"\n")
            ended_with_cr = two == b"\r"
        for byte in unfinished:
            await c.chunk(bytes([byte]))
        await c.chunk(b"")

    server = await serve(script)
    got: list[str] = []
    async with connect(server.url).stream("GET", "/") as stream:
        async for batch in stream.batches():
            for event in batch:
                got.append(event.data)
                seen.put_nowait(event.data)
    assert got == [str(number) for number in range(60)]
    assert seen.empty()


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ([b"data: 1\r\r"], ["1"]),
        ([b"data: 1\r", b"\r"], ["1"]),
        ([b"data: 1\r\r", b"\ndata: 2\r\r"], ["1", "2"]),
        ([b"data: 1\r\r", b"\n", b"\ndata: 2\r\r"], ["1", "2"]),
        ([b"data: 1\r", b"\n\r", b"\n", b"data: 2\r\n\r\n"], ["1", "2"]),
    ],
    ids=["at-once", "two-chunks", "lf-later", "two-lf-later", "crlf-torn"],
)
async def test_a_cr_alone_ends_a_line_at_once(
    serve: Serve, connect: MakeClient, chunks: list[bytes], wanted: list[str]
) -> None:
    """The stream stays open behind it: nothing more has to come for the event to be out."""

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        for chunk in chunks:
            await c.chunk(chunk)
        await c.gone()

    server = await serve(script)
    got: list[str] = []
    async with asyncio.timeout(20), connect(server.url).stream("GET", "/") as stream:
        batches = stream.batches()
        while got != wanted:
            got += [event.data for event in await anext(batches)]
        await batches.aclose()


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ([BOM + b"data: 1\n\n"], [("message", "1")]),
        ([b"\xef", b"\xbb", b"\xbf", b"data: 1\n\n"], [("message", "1")]),
        ([b"\xef\xbb", b"\xbfdata: 1\n\n"], [("message", "1")]),
        # The second is part of a field's name, which nobody knows.
        ([BOM + BOM + b"data: 1\n\ndata: 2\n\n"], [("message", "2")]),
        ([b"data: 1\n\n", BOM + b"data: 2\n\ndata: 3\n\n"], [("message", "1"), ("message", "3")]),
        ([BOM + b"event: " + BOM + b"\ndata: 1\n\n"], [("\ufeff", "1")]),
    ],
    ids=["whole", "bytes", "torn", "doubled", "later", "in-a-value"],
)
async def test_one_byte_order_mark_at_the_very_start_is_dropped(
    serve: Serve, connect: MakeClient, chunks: list[bytes], wanted: list[tuple[str, str]]
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        for chunk in chunks:
            await c.chunk(chunk)
        await c.chunk(b"")

    server = await serve(script)
    got: list[ServerSentEvent] = []
    async with connect(server.url).stream("GET", "/") as stream:
        await collect(stream, got)
    assert [(event.event, event.data) for event in got] == wanted


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "nonsense", '"utf-8', ""])
async def test_it_is_utf_8_whatever_the_head_says(
    serve: Serve, connect: MakeClient, charset: str
) -> None:
    body = "data: né 😀\n\n".encode() + b"data: \xff\xc3(\xed\xa0\x80\xf0\x9f\n\n"

    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(body, headers=f"Content-Type: text/event-stream; charset={charset}")

    server = await serve(script)
    got: list[ServerSentEvent] = []
    async with connect(server.url).stream("GET", "/") as stream:
        await collect(stream, got)
    assert got[0].data == "né 😀"
    assert got[1].data == b"\xff\xc3(\xed\xa0\x80\xf0\x9f".decode("utf-8", "replace")
    assert "\ufffd" in got[1].data


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("0", 0.5),
        ("499", 0.5),
        ("2500", 2.5),
        ("60001", 60.0),
        ("9" * 400, 60.0),
        ("+5", None),
        ("5.0", None),
        ("5s", None),
        ("0x10", None),
        ("٣", None),
        ("５", None),
        ("", None),
        ("5 ", None),
    ],
)
async def test_the_time_to_reconnect_is_ascii_digits_within_reason(
    serve: Serve, connect: MakeClient, sent: str, seconds: float | None
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(f"retry: {sent}\n".encode())
        await c.chunk(b"data: x\n\n")
        await c.chunk(b"")

    server = await serve(script)
    async with connect(server.url).stream("GET", "/") as stream:
        await collect(stream, [])
        assert stream.reconnect_after == seconds


async def test_what_only_looks_like_a_line_break_is_none(serve: Serve, connect: MakeClient) -> None:
    text = "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i"

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(f"event: {text}\ndata: {text}\ndata: {text}\n\n".encode())
        await c.chunk(b"")

    server = await serve(script)
    got: list[ServerSentEvent] = []
    async with connect(server.url).stream("GET", "/") as stream:
        await collect(stream, got)
    assert (got[0].event, got[0].data) == (text, f"{text}\n{text}")


MIB = 2**20


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (b"data: line\n" * 200_000 + b"\n", 65_536),
        (b"data: " + b"x" * MIB + b"\n\n", 64),
    ],
    ids=["200k-lines", "64-byte-chunks"],
)
async def test_large_events_over_a_socket(
    serve: Serve, connect: MakeClient, body: bytes, size: int
) -> None:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.send(framed + b"0\r\n\r\n")

    server = await serve(script)
    got: list[ServerSentEvent] = []
    async with connect(server.url).stream("GET", "/") as stream:
        await collect(stream, got)
    assert len(got) == 1
    assert len(got[0].data) == len(body.replace(b"data: ", b"")) - 2


async def test_a_line_without_end_is_a_typed_error_in_bounded_memory(
    serve: Serve, connect: MakeClient
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(b"id: 3\ndata: 1\n\ndata: ")
        while True:
            await c.chunk(b"x" * 65_536)

    server = await serve(script)
    got: list[ServerSentEvent] = []
    tracemalloc.start()
    try:
        async with connect(server.url, max_event_bytes=4 * MIB).stream("GET", "/") as stream:
            with pytest.raises(EventTooLargeError, match="larger than 4194304 bytes"):
                await collect(stream, got)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [event.data for event in got] == ["1"]
    assert peak < 16 * MIB


@pytest.mark.parametrize(
    "kind", ["text/html", "application/json", "text/event-streams", "text/plain", ""]
)
async def test_another_type_is_an_error_with_the_start_of_what_came(
    serve: Serve, connect: MakeClient, kind: str
) -> None:
    body = b"data: 1\n\n" + b"<p>x</p>" * 100_000

    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(body, headers=f"Content-Type: {kind}" if kind else "")

    server = await serve(script)
    got: list[ServerSentEvent] = []
    async with connect(server.url).stream("GET", "/") as stream:
        assert not stream.is_event_stream
        with pytest.raises(ContentTypeError, match="where an event stream was expected") as caught:
            await collect(stream, got)
    assert (got, caught.value.content_type) == ([], kind)
    assert caught.value.excerpt == body[:2_000].decode()


async def test_json_may_be_taken_where_a_platform_answers_it(
    serve: Serve, connect: MakeClient
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b'{"output": "x"}', headers="Content-Type: application/json")

    server = await serve(script)
    async with connect(server.url).stream("POST", "/") as stream:
        assert not stream.is_event_stream
        assert await stream.json() == {"output": "x"}


async def test_204_ends_for_good(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        while True:
            await c.request()
            await c.send(b"HTTP/1.1 204 No Content\r\nContent-Type: text/event-stream\r\n\r\n")

    server = await serve(script)
    client = connect(server.url, retries=None)
    for _ in range(2):
        got: list[ServerSentEvent] = []
        async with client.stream("GET", "/") as stream:
            await collect(stream, got)
        assert got == []
    assert (len(server.requests), server.connections) == (2, 1)


@pytest.mark.parametrize("status", [205, 206, 302, 400, 404, 500, 503])
async def test_no_other_status_delivers_an_event(
    serve: Serve, connect: MakeClient, status: int
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(
            b"data: 1\n\ndata: 2\n\n",
            status=f"{status} Status",
            headers="Content-Type: text/event-stream",
        )

    server = await serve(script)
    got: list[ServerSentEvent] = []

    async def follow() -> None:
        async with connect(server.url).stream("GET", "/") as stream:
            await collect(stream, got)

    with pytest.raises(AgentnbError) as caught:
        await follow()
    assert isinstance(caught.value, ServerError if status >= 500 else PlatformError)
    assert (caught.value.status, got) == (status, [])
