"""The key is sent to the server and appears nowhere else."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.ultratb import VerboseTB
from pydantic import SecretStr

from agentnb._http import ErrorDetails, HttpClient
from agentnb._http.timeout import Deadlines
from agentnb.errors import AgentnbError, FieldProblem, RequestError
from tests.children import python
from tests.http.conftest import BOTH, Connection, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

CANARY = "canary-7f3a9c"
HEADERS = {"Authorization": SecretStr(f"Bearer {CANARY}"), "X-API-Key": SecretStr(CANARY)}


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All that any logger says, from DEBUG on."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "httpx", "httpcore", "agentnb")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def echo(status: int, data: Any) -> ErrorDetails:
    """A parser that takes everything from the body, as a careless one would."""
    text = f"status {status}: {data}"
    fields = (FieldProblem(text, text, "kind"),)
    return ErrorDetails(message=text, code=text, request_id=text, fields=fields)


async def provoke(client: HttpClient, path: str) -> AgentnbError:
    try:
        async with client.stream("POST", path, json={"prompt": "hello"}) as stream:
            async for _ in stream.batches():
                pass
    except AgentnbError as error:
        return error
    pytest.fail("no error came")


def make(connect: MakeClient, url: str) -> HttpClient:
    # Long enough for the request to be there, also on a machine that has much else to do.
    deadlines = Deadlines(first_event=1.0, idle=1.0)
    return connect(url, headers=HEADERS, deadlines=deadlines, parse_error=echo)


async def script(c: Connection) -> None:
    kind = (request := await c.request()).target[1:]
    echoed = f"You sent {request.headers['authorization']} and {CANARY}!"
    body = f'{{"error": "{echoed}"}}'.encode()
    if kind.isdigit():
        await c.answer(body, status=f"{kind} X", headers="Content-Type: application/json")
    elif kind == "text":
        await c.answer(echoed.encode(), status="400 X", headers="Content-Type: text/plain")
    elif kind == "html":
        await c.answer(echoed.encode(), headers="Content-Type: text/html")
    elif kind == "redirect":
        await c.answer(b"", status="302 X", headers=f"Location: https://x.example/{CANARY}")
    elif kind == "not-http":
        await c.send(f"{CANARY} is not HTTP\r\n\r\n".encode())
    elif kind == "headers":
        echoes = f"X-You-Sent: {request.headers['authorization']}\r\nSet-Cookie: k={CANARY}\r\n"
        await c.stream_head(extra=echoes)
    elif kind == "reason":
        await c.answer(body, status=f"500 No {CANARY}", headers=f"X-Request-Id: {CANARY}")
    elif kind == "cut-reason":
        await c.stream_head(status=f"200 Here is {CANARY}", extra=f"X-You-Sent: {CANARY}\r\n")
    elif kind == "trailer":
        await c.stream_head()
        await c.send(f"0\r\nX-You-Sent: {CANARY}\0\r\n\r\n".encode())
    elif kind == "cut":
        await c.stream_head()
        await c.chunk(b"data: x\n\n")
    elif kind == "silent":
        await c.gone()
    elif kind == "idle":
        await c.stream_head()
        await c.gone()


KINDS = [
    *("400", "401", "422", "500", "text", "html", "cut", "silent", "idle", "nothing"),
    *("redirect", "not-http", "headers", "reason", "cut-reason"),
]


@pytest.mark.parametrize("kind", KINDS)
async def test_errors_never_show_a_key(serve: Serve, connect: MakeClient, kind: str) -> None:
    await _check_error(serve, connect, kind)


# aiohttp does not look at trailers.
@pytest.mark.httpx_only
async def test_errors_never_show_a_key_of_a_trailer(serve: Serve, connect: MakeClient) -> None:
    await _check_error(serve, connect, "trailer")


async def _check_error(serve: Serve, connect: MakeClient, kind: str) -> None:
    server = await serve(script)
    error = await provoke(make(connect, server.url), f"/{kind}")
    assert server.requests[0].headers["x-api-key"] == CANARY
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for item in chain:
        assert CANARY not in repr(item)
        assert CANARY not in str(item)
        assert CANARY not in repr(vars(item))
    assert CANARY not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("kind", KINDS)
async def test_verbose_tracebacks_never_show_a_key(
    serve: Serve, connect: MakeClient, kind: str
) -> None:
    """IPython's ``%xmode Verbose`` prints the local variables of every frame."""
    await _check_verbose(serve, connect, kind)


@pytest.mark.httpx_only
async def test_verbose_tracebacks_never_show_a_key_of_a_trailer(
    serve: Serve, connect: MakeClient
) -> None:
    await _check_verbose(serve, connect, "trailer")


async def _check_verbose(serve: Serve, connect: MakeClient, kind: str) -> None:
    server = await serve(script)
    error = await provoke(make(connect, server.url), f"/{kind}")
    text = VerboseTB(theme_name="nocolor").text(type(error), error, error.__traceback__)
    assert "provoke(client" in text
    assert CANARY not in text


@pytest.mark.httpx_only  # aiohttp's client has nothing to say
@pytest.mark.parametrize("kind", [*KINDS, "trailer"])
async def test_logs_never_show_a_key(
    serve: Serve, connect: MakeClient, everything_logged: io.StringIO, kind: str
) -> None:
    server = await serve(script)
    await provoke(make(connect, server.url), f"/{kind}")
    logged = everything_logged.getvalue()
    assert "send_request_headers" in logged, "the HTTP client logs at DEBUG"
    assert CANARY not in logged


FIRST_REQUEST = """
    import asyncio, logging, sys
    from pydantic import SecretStr
    from agentnb._http import HttpClient
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)

    async def main():
        headers = {{"Authorization": SecretStr("Bearer " + {canary!r})}}
        client = HttpClient({url!r}, name="tested", headers=headers)
        async with client.stream("GET", "/cut-reason") as stream:
            print(stream.status, stream.headers)
        await client.aclose()

    asyncio.run(main())
"""


async def test_the_first_request_of_a_process_logs_no_key(serve: Serve) -> None:
    server = await serve(script)
    code = FIRST_REQUEST.format(url=server.url, canary=CANARY)
    done = await asyncio.to_thread(python, code)
    assert "receive_response_headers.complete" in done.stdout
    assert "x-you-sent" in done.stdout
    assert CANARY not in done.stdout + done.stderr


async def test_an_invalid_key_is_not_printed(connect: MakeClient) -> None:
    headers = {**HEADERS, "X-Broken": SecretStr(f"{CANARY}\n")}
    error = await provoke(connect("http://127.0.0.1:1", headers=headers), "/")
    assert isinstance(error, RequestError)
    text = VerboseTB(theme_name="nocolor").text(type(error), error, error.__traceback__)
    assert "x-broken" in text
    assert CANARY not in text


async def test_clients_never_show_a_key(serve: Serve, connect: MakeClient) -> None:
    async def once(c: Connection) -> None:
        await c.request()
        await c.answer(b"{}")

    server = await serve(once)
    client = make(connect, server.url)
    answer = await client.request("GET", "/")
    assert repr(client) == f"HttpClient({server.url!r}, name='tested')"
    for item in (client, answer, *vars(client).values(), *gc.get_referents(vars(client))):
        assert CANARY not in repr(item)
        assert CANARY not in str(getattr(item, "__dict__", ""))
