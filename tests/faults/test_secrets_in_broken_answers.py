"""A key that a server repeats in a broken answer: no traceback that prints variables shows it."""

from __future__ import annotations

import gzip
import io
import logging
import traceback
import zlib
from collections.abc import Iterator
from importlib import import_module
from types import TracebackType
from typing import Any, Final, cast

import pytest
import zstandard
from IPython.core.ultratb import VerboseTB
from pydantic import SecretStr

import agentnb
from agentnb._http import HttpClient
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.errors import AgentnbError, RunError
from tests.faults.rawserver import Connection, Script, running
from tests.http.conftest import BOTH, MakeClient, Serve

TRANSPORTS = BOTH

CANARY: Final = "canary-51c0ffee-of-the-server"
KEY: Final = CANARY.encode()
# It has no types.
brotli: Any = import_module("brotli")
OK: Final = b"HTTP/1.1 200 OK\r\n"
EVENTS: Final = b"Content-Type: text/event-stream\r\n"
JSON: Final = b"Content-Type: application/json\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"
# Events as one platform has them, so that runs get as far as to decode them.
SAID: Final = b'data: {"event": "CONTENT_DELTA", "data": "%b"}\n\n' % KEY


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def encoded(name: bytes, body: bytes, *, kind: bytes = EVENTS) -> bytes:
    return OK + kind + b"Content-Encoding: " + name + b"\r\n" + CHUNKED + chunk(body)


def flushed() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(SAID) + packer.flush(zlib.Z_SYNC_FLUSH)


LONG: Final = b"a" * 120_000
ANSWERS: Final[dict[str, bytes]] = {
    "content-encoding": encoded(KEY, SAID),
    "two content-encodings": encoded(b"gzip, " + KEY, SAID),
    "content-encoding of json": encoded(KEY, b"{}", kind=JSON),
    "gzip that is none": encoded(b"gzip", SAID * 3),
    "deflate that is none": encoded(b"deflate", b"\xff" + SAID * 3),
    "br that is none": encoded(b"br", SAID * 3),
    "zstd that is none": encoded(b"zstd", SAID * 3),
    "gzip and then junk": encoded(b"gzip", flushed() + b"\xff\xff" + KEY * 4),
    "gzip that breaks off": encoded(b"gzip", gzip.compress(SAID)[:-9]) + b"0\r\n\r\n",
    "gzip of another sum": encoded(b"gzip", gzip.compress(SAID)[:-8] + b"12345678") + b"0\r\n\r\n",
    "br that breaks off": encoded(b"br", brotli.compress(SAID)[:-3]) + b"0\r\n\r\n",
    "zstd that breaks off": encoded(b"zstd", zstandard.ZstdCompressor().compress(SAID)[:-3])
    + b"0\r\n\r\n",
    "json as junk gzip": encoded(b"gzip", b'{"key": "%b"}' % KEY, kind=JSON),
    "json that is none": OK + JSON + CHUNKED + chunk(b'{"key": "%b' % KEY) + b"0\r\n\r\n",
    "json that breaks off": OK + JSON + CHUNKED + chunk(b'{"key": "%b' % KEY),
    "bad chunk size": OK + EVENTS + CHUNKED + chunk(SAID) + KEY + b"\r\n",
    "bad chunk end": OK + EVENTS + CHUNKED + chunk(SAID) + b"2\r\n" + KEY + b"\r\n",
    "chunk extension": OK + EVENTS + CHUNKED + b"zz;key=" + KEY + b"\r\n",
    "half an event": OK + EVENTS + CHUNKED + chunk(SAID[:-5]),
    "trailer": OK + EVENTS + CHUNKED + b"0\r\n" + KEY + b"\r\n\r\n",
    "header": OK + EVENTS + b"X-Key: " + KEY + b"\r\n" + CHUNKED + chunk(SAID),
    "header's name": OK + EVENTS + KEY + b": 1\r\n" + CHUNKED + chunk(SAID),
    "header without a colon": OK + EVENTS + KEY + b"\r\n" + CHUNKED,
    "header with NUL": OK + EVENTS + b"X: " + KEY + b"\0\r\n" + CHUNKED,
    "header that is too long": OK + EVENTS + b"X: " + KEY + LONG + b"\r\n" + CHUNKED,
    "content-length": OK + EVENTS + b"Content-Length: " + KEY + b"\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\nX: " + KEY + b"\r\n\r\n",
    "transfer-encoding": OK + EVENTS + b"Transfer-Encoding: " + KEY + b"\r\n\r\n",
    "content-type": OK + b"Content-Type: " + KEY + b"\r\n" + CHUNKED + chunk(SAID) + b"0\r\n\r\n",
    "charset": OK + b"Content-Type: text/html; charset=" + KEY + b"\r\n" + CHUNKED + chunk(SAID),
    "status line": b"HTTP/1.1 " + KEY + b"\r\n\r\n",
    "version": b"HTTP/9." + KEY + b" 200 OK\r\n\r\n",
    "reason": b"HTTP/1.1 503 " + KEY + b"\r\nContent-Length: 0\r\n\r\n",
    "reason of a cut answer": b"HTTP/1.1 200 " + KEY + b"\r\n" + EVENTS + CHUNKED,
    "location": b"HTTP/1.1 302 X\r\nLocation: https://x.example/" + KEY + b"\r\n\r\n",
    "location that is none": b"HTTP/1.1 302 X\r\nLocation: http://[" + KEY + b"\r\n\r\n",
    "retry-after": b"HTTP/1.1 429 X\r\nRetry-After: " + KEY + b"\r\nContent-Length: 0\r\n\r\n",
    "not HTTP": KEY + b" is not HTTP\r\n\r\n",
    "half a head": OK + b"X-Key: " + KEY,
    "error with junk gzip": b"HTTP/1.1 500 X\r\n" + encoded(b"gzip", KEY * 3)[len(OK) :],
    "error in UTF-16": b"HTTP/1.1 400 X\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    + CANARY.encode("utf-16-le"),
    "error with controls in it": b"HTTP/1.1 400 X\r\n"
    + JSON
    + b'Connection: close\r\n\r\n{"error": "%b"}' % "\\u0000".join(CANARY).encode(),
    "id of an event": OK + EVENTS + CHUNKED + chunk(b"id: " + KEY + b"\ndata: {\n\n"),
    "error of an unknown packing": b"HTTP/1.1 500 X\r\n" + encoded(KEY, KEY)[len(OK) :],
}


def told(answer: bytes) -> Script:
    async def script(c: Connection) -> None:
        while True:
            await c.request()
            await c.send(answer)
            c.half_close()
            await c.gone()
            return

    return script


def chain_of(error: BaseException) -> list[BaseException]:
    """Return the error and all that it has a reference to, whether tracebacks print it or not."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and all(each is not known for known in found):
            found.append(each)
            left += (each.__cause__, each.__context__)
            if isinstance(each, BaseExceptionGroup):
                left += cast("BaseExceptionGroup[BaseException]", each).exceptions
    return found


def frames_of(trace: TracebackType | None) -> Iterator[tuple[str, str, object]]:
    while trace is not None:
        frame = trace.tb_frame
        for name, value in frame.f_locals.items():
            yield frame.f_code.co_qualname, name, value
        trace = trace.tb_next


def assert_hidden(error: BaseException) -> None:
    for each in chain_of(error):
        for text in (repr(each), str(each), repr(vars(each)), repr(each.args)):
            assert CANARY not in text, each
        for where, name, value in frames_of(each.__traceback__):
            if where.startswith(("test_", "assert_", "follow", "told", "provoke")):
                continue
            assert CANARY not in repr(value), f"{where}: {name} = {value!r}"
    captured = traceback.TracebackException.from_exception(error, capture_locals=True)
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    what = (type(error), error, error.__traceback__)
    handler.emit(logging.LogRecord("x", logging.ERROR, "", 0, "", (), what))
    for text in (
        "".join(captured.format()),
        VerboseTB(theme_name="nocolor").text(type(error), error, error.__traceback__),
        logged.getvalue(),
    ):
        assert CANARY not in text


async def provoke(client: HttpClient, kind: str) -> AgentnbError:
    try:
        if "json" in kind:
            await client.request("POST", "/", json={"prompt": "hello"})
        else:
            async with client.stream("POST", "/", json={"prompt": "hello"}) as stream:
                async for batch in stream.batches():
                    del batch
    except AgentnbError as error:
        return error
    pytest.fail("no error came")


@pytest.mark.anyio
@pytest.mark.parametrize("kind", list(ANSWERS))
async def test_an_error_of_a_request(serve: Serve, connect: MakeClient, kind: str) -> None:
    server = await serve(told(ANSWERS[kind]))
    headers = {"Authorization": SecretStr(f"Bearer {CANARY}")}
    deadlines = Deadlines(first_event=20, idle=20)
    assert_hidden(await provoke(connect(server.url, headers=headers, deadlines=deadlines), kind))


@pytest.mark.parametrize("transport", BOTH)
def test_an_error_of_a_run(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTNB_TRANSPORT", transport)
    for kind, answer in ANSWERS.items():
        with running(told(answer)) as server:
            agent = agentnb.agent(
                "operativus:a",
                base_url=server.url,
                api_key=SecretStr(CANARY),
                retries=Retries(requests=0, reconnects=1),
            )
            with pytest.raises(RunError) as caught:
                agent.run("hello")
            error = caught.value
            assert CANARY not in (error.run.error or ""), kind  # pyright: ignore
            for each in chain_of(error):
                for where, name, value in frames_of(each.__traceback__):
                    if not where.startswith(("test_", "running")):
                        assert CANARY not in repr(value), f"{kind}: {where}: {name} = {value!r}"
