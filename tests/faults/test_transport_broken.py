"""Broken HTTP: both transports deliver the same data and raise the same error."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import pytest
import zstandard

from agentnb._http.timeout import Deadlines
from agentnb.errors import (
    AgentnbError,
    ConnectionFailedError,
    ContentTypeError,
    PlatformError,
    StreamCutError,
)
from tests.cases import cases
from tests.faults.rawserver import Connection
from tests.http.conftest import BOTH, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH
# It has no types.
brotli: Any = import_module("brotli")

TYPE: Final = b"Content-Type: text/event-stream\r\n"
HEAD: Final = b"HTTP/1.1 200 OK\r\n" + TYPE
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LAST: Final = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


ONE: Final = b"id: 1\ndata: 1\n\n"
TWO: Final = b"id: 2\ndata: 2\n\n"
FIRST: Final = chunk(ONE)
SIZE: Final = len(ONE)
BODY: Final = FIRST + LAST


def compressed(encoding: str, body: bytes) -> bytes:
    return (
        HEAD + f"Content-Encoding: {encoding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body
    )


def flushed(bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(ONE) + packer.flush(zlib.Z_SYNC_FLUSH)


def flushed_brotli() -> bytes:
    packer = brotli.Compressor()
    return packer.process(ONE) + packer.flush()


def flushed_zstandard() -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(ONE) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


JUNK: Final = b"\xff\xff\xfe junk, really" * 3
BOTH_EVENTS: Final = gzip.compress(ONE + TWO)
DOWN: Final = ConnectionFailedError
CUT: Final = StreamCutError
INVALID: Final = "the response is not valid HTTP"
CLOSED: Final = "the connection was closed"
NOTHING: Final[list[str]] = []

# The answer, its events, and what it fails by: None where it ends cleanly.
BROKEN: Final[dict[str, tuple[bytes, list[str], type[AgentnbError] | None, str]]] = {
    "bad size": (CHUNKED + FIRST + b"zz\r\nx\r\n" + LAST, ["1"], CUT, INVALID),
    "bad size after two": (CHUNKED + FIRST + chunk(TWO) + b"zz\r\n", ["1", "2"], CUT, INVALID),
    "negative size": (CHUNKED + FIRST + b"-5\r\nhello\r\n", ["1"], CUT, INVALID),
    "endless size": (CHUNKED + FIRST + b"f" * 21 + b"\r\nhello\r\n", ["1"], CUT, INVALID),
    "size with a prefix": (CHUNKED + FIRST + b"0x5\r\nhello\r\n", ["1"], CUT, INVALID),
    "no size": (CHUNKED + FIRST + b"\r\nhello\r\n", ["1"], CUT, INVALID),
    "chunk too long": (CHUNKED + FIRST + b"5\r\nhello world\r\n" + LAST, ["1"], CUT, INVALID),
    "bad trailer": (CHUNKED + FIRST + b"0\r\nno colon here\r\n\r\n", ["1"], CUT, INVALID),
    "no last chunk": (CHUNKED + FIRST, ["1"], CUT, CLOSED),
    "half a last chunk": (CHUNKED + FIRST + b"0\r\n", ["1"], CUT, CLOSED),
    "chunk after the last": (CHUNKED + BODY + chunk(TWO), ["1"], None, ""),
    "garbage after the last": (CHUNKED + BODY + b"garbage garbage\r\n\r\n", ["1"], None, ""),
    "trailer": (CHUNKED + FIRST + b"0\r\nX-Trailer: a\r\n\r\n", ["1"], None, ""),
    "short": (HEAD + b"Content-Length: 99\r\n\r\n" + ONE, ["1"], CUT, CLOSED),
    "long": (HEAD + b"Content-Length: %d\r\n\r\n" % SIZE + ONE + TWO, ["1"], None, ""),
    "garbage after the body": (
        HEAD + b"Content-Length: %d\r\n\r\n" % SIZE + ONE + b"x\r\n\r\n",
        ["1"],
        None,
        "",
    ),
    "negative length": (HEAD + b"Content-Length: -1\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "length in words": (HEAD + b"Content-Length: one\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "two lengths": (
        HEAD + b"Content-Length: %d\r\nContent-Length: 99\r\n\r\n" % SIZE + ONE,
        NOTHING,
        DOWN,
        INVALID,
    ),
    "one length twice": (
        HEAD + b"Content-Length: %d\r\ncontent-length: %d\r\n\r\n" % (SIZE, SIZE) + ONE,
        ["1"],
        None,
        "",
    ),
    "a list of lengths": (
        HEAD + b"Content-Length: %d, %d\r\n\r\n" % (SIZE, SIZE) + ONE,
        ["1"],
        None,
        "",
    ),
    "length and chunks": (
        HEAD + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
        ["1"],
        None,
        "",
    ),
    "unknown encoding": (HEAD + b"Transfer-Encoding: foo\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "chunked twice": (
        HEAD + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + BODY,
        NOTHING,
        DOWN,
        INVALID,
    ),
    "garbage first": (b"garbage\r\n" + CHUNKED + BODY, NOTHING, DOWN, INVALID),
    "blank line first": (b"\r\n" + CHUNKED + BODY, NOTHING, DOWN, INVALID),
    "binary": (bytes(range(256)), NOTHING, DOWN, INVALID),
    "HTTP/0.9": (ONE, NOTHING, DOWN, INVALID),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + TYPE + b"\r\n" + ONE, ["1"], None, ""),
    "HTTP/5.7": (b"HTTP/5.7 200 OK\r\n" + TYPE + b"\r\n" + ONE, NOTHING, DOWN, INVALID),
    "status of two digits": (b"HTTP/1.1 99 X\r\n\r\n", NOTHING, DOWN, INVALID),
    "status of four digits": (b"HTTP/1.1 1000 X\r\n\r\n", NOTHING, DOWN, INVALID),
    "status in words": (b"HTTP/1.1 abc X\r\n\r\n", NOTHING, DOWN, INVALID),
    "no reason": (b"HTTP/1.1 200\r\n" + TYPE + b"\r\n" + ONE, ["1"], None, ""),
    "header without a colon": (HEAD + b"no colon\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "blank in a name": (HEAD + b"X Y: 1\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "blank after a name": (HEAD + b"X-Y : 1\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "no name": (HEAD + b": 1\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "NUL in a header": (HEAD + b"X: a\0b\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "CR in a header": (HEAD + b"X: a\rb\r\n\r\n" + ONE, NOTHING, DOWN, INVALID),
    "a header of 1 MB": (HEAD + b"X: " + b"a" * 2**20 + b"\r\n\r\n", NOTHING, DOWN, INVALID),
    "a status line of 1 MB": (b"HTTP/1.1 200 " + b"a" * 2**20, NOTHING, DOWN, INVALID),
    "headers without end": (HEAD + b"X-1: aaaaaaaaaaa\r\n" * 100_000, NOTHING, DOWN, INVALID),
    "200 headers": (CHUNKED[:-2] + b"X-1: a\r\n" * 200 + b"\r\n" + BODY, ["1"], None, ""),
    "closed at once": (b"", NOTHING, DOWN, CLOSED),
    "closed in the head": (HEAD, NOTHING, DOWN, CLOSED),
    "closed in the status line": (b"HTTP/1.1 200", NOTHING, DOWN, CLOSED),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + BODY, ["1"], None, ""),
    "102 and 103": (
        b"HTTP/1.1 102 A\r\n\r\nHTTP/1.1 103 B\r\nLink: a\r\n\r\n" + CHUNKED + BODY,
        ["1"],
        None,
        "",
    ),
    "nothing but 100": (b"HTTP/1.1 100 Continue\r\n\r\n", NOTHING, DOWN, CLOSED),
    "101": (b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\nx", NOTHING, DOWN, INVALID),
    "204 with a body": (b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\nhello", NOTHING, None, ""),
    "999": (b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", NOTHING, PlatformError, "999"),
    "junk gzip": (compressed("gzip", chunk(JUNK) + LAST), NOTHING, CUT, "decompressed"),
    "junk deflate": (compressed("deflate", chunk(JUNK) + LAST), NOTHING, CUT, "decompressed"),
    "junk br": (compressed("br", chunk(JUNK) + LAST), NOTHING, CUT, "decompressed"),
    "junk zstd": (compressed("zstd", chunk(JUNK) + LAST), NOTHING, CUT, "decompressed"),
    "gzip and junk": (
        compressed("gzip", chunk(flushed(31) + JUNK) + LAST),
        ["1"],
        CUT,
        "decompressed",
    ),
    "deflate and junk": (
        compressed("deflate", chunk(flushed(15)) + chunk(JUNK)),
        ["1"],
        CUT,
        "decompressed",
    ),
    "br and junk": (
        compressed("br", chunk(flushed_brotli() + JUNK) + LAST),
        ["1"],
        CUT,
        "decompressed",
    ),
    "zstd and junk": (
        compressed("zstd", chunk(flushed_zstandard() + JUNK) + LAST),
        ["1"],
        CUT,
        "decompressed",
    ),
    "gzip of another sum": (
        compressed("gzip", chunk(BOTH_EVENTS[:-8] + b"12345678") + LAST),
        ["1", "2"],
        CUT,
        "decompressed",
    ),
    "cut gzip": (
        compressed("gzip", chunk(BOTH_EVENTS[:-5]) + LAST),
        ["1", "2"],
        CUT,
        "compressed end is missing",
    ),
    "gzip and a bad size": (
        compressed("gzip", chunk(flushed(31)) + b"zz\r\n"),
        ["1"],
        CUT,
        INVALID,
    ),
    "gzip and no end": (compressed("gzip", chunk(flushed(31))), ["1"], CUT, CLOSED),
    "unknown compression": (compressed("rot13", BODY), NOTHING, ContentTypeError, "encoding"),
}


@pytest.fixture(params=["in one packet", "a packet for the body", "single bytes"])
def split(request: pytest.FixtureRequest) -> str:
    return request.param


def packets(answer: bytes, split: str) -> Iterator[bytes]:
    head, blank, body = answer.partition(b"\r\n\r\n")
    match split:
        case "in one packet":
            yield answer
        case "a packet for the body":
            yield head + blank
            yield body
        case _:
            # The bytes that matter are near the end of the head and in the body.
            yield answer[: (start := max(0, len(head) - 200))]
            yield from (answer[at : at + 1] for at in range(start, min(len(answer), start + 500)))
            yield answer[start + 500 :]


@cases("kind", BROKEN.keys())
async def test_data_before_an_error_is_delivered(
    serve: Serve, connect: MakeClient, kind: str, split: str
) -> None:
    answer, events, error, message = BROKEN[kind]

    async def script(c: Connection) -> None:
        await c.request()
        for packet in packets(answer, split):
            if packet:
                await c.send(packet)
                await asyncio.sleep(0)

    server = await serve(script)
    client = connect(server.url, deadlines=Deadlines(first_event=20, idle=20))
    got: list[str] = []

    async def follow() -> None:
        async with client.stream("POST", "/", json=1) as stream:
            async for batch in stream.batches():
                got.extend(event.data for event in batch)

    if error is None:
        await follow()
    else:
        with pytest.raises(error, match=message):
            await follow()
    assert got == events
    assert len(server.requests) == 1
    await server.all_gone()


async def test_a_connection_closed_after_its_response_is_not_reused(
    serve: Serve, connect: MakeClient
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(CHUNKED + BODY)

    server = await serve(script)
    client = connect(server.url)
    for _ in range(5):
        async with client.stream("POST", "/", json=1) as stream:
            assert [e.data async for batch in stream.batches() for e in batch] == ["1"]
        await server.all_gone()
    assert server.connections == len(server.requests) == 5


@pytest.mark.parametrize("sent", [TWO, chunk(TWO), CHUNKED + BODY, b"\r\n"])
async def test_unsolicited_data_is_not_a_response(
    serve: Serve, connect: MakeClient, sent: bytes
) -> None:
    """Bytes after an answer must not be taken for the next one."""

    async def script(c: Connection) -> None:
        while True:
            number = (await c.request()).attempt
            await c.send(CHUNKED + chunk(b"data: answer %d\n\n" % number) + LAST)
            await c.send(sent)

    server = await serve(script)
    client = connect(server.url)
    for number in range(1, 4):
        got: list[str] = []
        for _ in range(3):
            try:
                async with client.stream("POST", "/", json=1) as stream:
                    got = [e.data async for batch in stream.batches() for e in batch]
                break
            except ConnectionFailedError:
                # It may come while the next request is being sent.
                continue
        assert got == [f"answer {len(server.requests)}"], number
        await asyncio.sleep(0.02)
