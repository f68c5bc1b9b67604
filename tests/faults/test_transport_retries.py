"""Retries of requests that fail before the head of their response."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from agentnb._http import RequestOptions
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.errors import (
    ConnectionFailedError,
    ContentTypeError,
    DeadlineError,
    PlatformError,
    RateLimitError,
    ServerError,
    StreamCutError,
)
from tests.faults.rawserver import Connection, Script, unused_port, with_tls
from tests.faults.retrying import (
    REQUESTS,
    THREE_TIMES,
    Notes,
    SendRequest,
    as_json,
    as_stream,
    failing,
    respond,
)
from tests.http.conftest import MakeClient, Serve

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("ask", REQUESTS)
async def test_retryable_failures_are_retried_with_the_same_key(
    serve: Serve, connect: MakeClient, ask: SendRequest, status: int
) -> None:
    server = await serve(failing(2, status=f"{status} Not Now"))
    notes = Notes()
    with notes.request_options.applied():
        await ask(connect(server.url, retries=THREE_TIMES))
    first, *others = server.requests
    assert [(r.method, r.target, r.body) for r in others] == [("POST", "/runs", first.body)] * 2
    assert len({r.headers["idempotency-key"] for r in server.requests}) == 1
    assert len(first.headers["idempotency-key"]) >= 32
    assert 0.25 <= notes.slept[0] <= 0.5 <= 2 * notes.slept[1] <= 2.0
    assert [(p.attempt, p.of, p.seconds) for p in notes.delays] == [
        (1, 2, notes.slept[0]),
        (2, 2, notes.slept[1]),
    ]
    assert all(getattr(p.error, "status", None) == status for p in notes.delays)
    assert server.connections == 1, "an answer that was read leaves its connection to the next"


@pytest.mark.parametrize("ask", REQUESTS)
async def test_at_most_two_retries(serve: Serve, connect: MakeClient, ask: SendRequest) -> None:
    server = await serve(failing(100, status="503 Not Now"))
    notes = Notes()
    error = await notes.error_of(ask(connect(server.url, retries=THREE_TIMES)))
    assert isinstance(error, ServerError)
    assert (len(server.requests), notes.sent, len(notes.slept)) == (3, 3, 2)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 402, 403, 404, 405, 410, 413, 418, 422])
@pytest.mark.parametrize("ask", REQUESTS)
async def test_permanent_failures_are_not_retried(
    serve: Serve, connect: MakeClient, ask: SendRequest, status: int
) -> None:
    server = await serve(failing(100, status=f"{status} No", headers="Retry-After: 1"))
    notes = Notes()
    error = await notes.error_of(ask(connect(server.url, retries=THREE_TIMES)))
    assert isinstance(error, PlatformError)
    assert error.status == status
    assert (len(server.requests), notes.slept) == (1, [])


async def nothing(c: Connection) -> None:
    pass


async def half_a_head(c: Connection) -> None:
    await c.send(b"HTTP/1.1 200 OK\r\nContent-")


async def reset(c: Connection) -> None:
    c.reset()


@pytest.mark.parametrize("breaks", [nothing, half_a_head, reset])
@pytest.mark.parametrize("ask", REQUESTS)
async def test_connections_that_break_before_the_head(
    serve: Serve, connect: MakeClient, ask: SendRequest, breaks: Script
) -> None:
    async def script(c: Connection) -> None:
        if (await c.request()).attempt < 3:
            await breaks(c)
        else:
            await respond(c)

    server = await serve(script)
    notes = Notes()
    with notes.request_options.applied():
        await ask(connect(server.url, retries=THREE_TIMES))
    assert len({r.headers["idempotency-key"] for r in server.requests}) == 1
    assert (server.connections, len(notes.slept)) == (3, 2)
    assert all(isinstance(p.error, ConnectionFailedError) for p in notes.delays)


async def test_an_idle_connection_that_closes_during_the_request(
    serve: Serve, connect: MakeClient
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await respond(c)
        await c.request()  # and closes: its keep-alive time was up as this came in

    server = await serve(script)
    client = connect(server.url, retries=THREE_TIMES)
    notes = Notes()
    with notes.request_options.applied():
        await as_json(client)
        await as_stream(client)
    keys = [r.headers["idempotency-key"] for r in server.requests]
    assert (len(keys), keys[1]) == (3, keys[2])
    assert keys[0] != keys[1], "another call is another request"
    assert server.connections == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "https://host.invalid"])
async def test_no_server(connect: MakeClient, url: str) -> None:
    notes = Notes()
    client = connect(url.format(port=unused_port()), retries=THREE_TIMES)
    error = await notes.error_of(as_stream(client))
    assert isinstance(error, ConnectionFailedError)
    assert (notes.sent, len(notes.slept)) == (3, 2)


async def test_a_server_that_starts_between_attempts(serve: Serve, connect: MakeClient) -> None:
    """With pauses as they are: nothing listens at first."""
    port = unused_port()
    client = connect(f"http://127.0.0.1:{port}", retries=THREE_TIMES)
    delayed = asyncio.Event()
    with RequestOptions(on_retry=lambda delay: delayed.set()).applied():
        asking = asyncio.ensure_future(as_json(client))
    await asyncio.wait_for(delayed.wait(), 10)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", port):
        await asyncio.wait_for(asking, 30)


async def test_an_untrusted_certificate_is_not_retried(serve: Serve, connect: MakeClient) -> None:
    server = await serve(nothing, tls=with_tls())
    notes = Notes()
    error = await notes.error_of(as_json(connect(server.url, retries=THREE_TIMES)))
    assert isinstance(error, ConnectionFailedError)
    assert error.lasting
    assert (notes.sent, server.requests) == (1, [])


async def test_a_server_without_http_is_not_retried(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    server = await serve(script)
    notes = Notes()
    error = await notes.error_of(as_json(connect(server.url, retries=THREE_TIMES)))
    assert isinstance(error, ConnectionFailedError)
    assert (notes.sent, notes.slept) == (1, [])


async def test_a_passed_deadline_is_not_retried(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.gone()

    server = await serve(script)
    notes = Notes()
    client = connect(server.url, retries=THREE_TIMES, deadlines=Deadlines(first_event=0.1))
    assert isinstance(await notes.error_of(as_stream(client)), DeadlineError)
    assert (len(server.requests), notes.slept) == (1, [])


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nContent-Type: "


@pytest.mark.parametrize("head", [b"application/json", b"text/event-stream"])
@pytest.mark.parametrize("ask", REQUESTS)
async def test_no_retry_after_the_head(
    serve: Serve, connect: MakeClient, ask: SendRequest, head: bytes
) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(CUT + head + b"\r\n\r\n")

    server = await serve(script)
    notes = Notes()
    error = await notes.error_of(ask(connect(server.url, retries=THREE_TIMES)))
    assert isinstance(error, StreamCutError | ContentTypeError)
    assert (len(server.requests), notes.slept) == (1, [])


async def test_safe_methods_have_no_idempotency_key_and_given_keys_are_kept(
    serve: Serve, connect: MakeClient
) -> None:
    server = await serve(failing(0, status=""))
    client = connect(server.url)
    own = {"Idempotency-KEY": "mine"}
    await client.request("GET", "/")
    await client.request("POST", "/", headers=own)
    await connect(server.url, headers=own).request("POST", "/")
    await client.request("DELETE", "/")
    sent = [r.headers.get("idempotency-key") for r in server.requests]
    assert sent[:3] == [None, "mine", "mine"]
    assert sent[3]


async def test_delays_grow_to_eight_seconds(serve: Serve, connect: MakeClient) -> None:
    server = await serve(failing(99, status="500 No"))
    notes = Notes()
    await notes.error_of(as_json(connect(server.url, retries=Retries(requests=9))))
    assert len(server.requests) == 10
    for number, seconds in enumerate(notes.slept):
        most = min(0.5 * 2**number, 8.0)
        assert most / 2 <= seconds <= most
    assert len(set(notes.slept)) == 9, "they differ, so that many clients do not come back at once"


async def test_no_retries_with_zero_requests(serve: Serve, connect: MakeClient) -> None:
    server = await serve(failing(99, status="503 No"))
    client = connect(server.url, retries=Retries(requests=0))
    with pytest.raises(ServerError):
        await as_json(client)
    with RequestOptions(retries=Retries(requests=0)).applied(), pytest.raises(ServerError):
        await as_stream(connect(server.url, retries=THREE_TIMES))
    assert len(server.requests) == 2


async def test_cancelling_ends_a_delay_at_once(serve: Serve, connect: MakeClient) -> None:
    server = await serve(failing(99, status="429 No", headers="Retry-After: 100"))
    delayed = asyncio.Event()
    with RequestOptions(on_retry=lambda delay: delayed.set()).applied():
        asking = asyncio.ensure_future(as_stream(connect(server.url, retries=THREE_TIMES)))
    await asyncio.wait_for(delayed.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asking, 10)
    assert len(server.requests) == 1


async def test_no_delay_beyond_the_total(serve: Serve, connect: MakeClient) -> None:
    server = await serve(failing(99, status="429 No", headers="Retry-After: 100"))
    client = connect(server.url, retries=THREE_TIMES, deadlines=Deadlines(total=50))
    notes = Notes()
    assert isinstance(await notes.error_of(as_json(client)), RateLimitError)
    assert (len(server.requests), notes.slept) == (1, [])


async def test_every_attempt_sends_its_own_head_and_body(serve: Serve, connect: MakeClient) -> None:
    server = await serve(failing(1, status="503 No"))
    headers = {"Authorization": SecretStr("Bearer canary-7f3a9c"), "X-Team": "a"}
    client = connect(server.url, retries=THREE_TIMES, headers=headers)
    notes = Notes()
    with notes.request_options.applied():
        await client.request("POST", "/", json=[1], params={"a": 1}, headers={"X-One": "b"})
    first, second = server.requests
    assert first.headers == second.headers
    assert (first.target, first.body) == (second.target, second.body) == ("/?a=1", b"[1]")
