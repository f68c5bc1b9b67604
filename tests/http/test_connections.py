"""Connections that fail, by their cause."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from pathlib import Path

import pytest

from agentnb._http import HttpClient
from agentnb._http.timeout import Deadlines
from agentnb.errors import AgentnbError, ConfigError, ConnectionFailedError
from tests.faults.rawserver import CERTIFICATE, with_tls
from tests.http.conftest import BOTH, Connection, MakeClient, Serve
from tests.ports import bound

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH


async def say_one(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b"1")


async def follow(client: HttpClient, path: str) -> None:
    async with client.stream("GET", path) as stream:
        async for _ in stream.batches():
            pass


async def test_refused(connect: MakeClient) -> None:
    with bound() as unused:
        client = connect(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(ConnectionFailedError, match="Connection refused") as caught:
            await client.request("GET", "/")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert "http://127.0.0.1:" in str(caught.value)


async def test_no_such_host(connect: MakeClient) -> None:
    client = connect("https://host.invalid", deadlines=Deadlines(connect=60))
    with pytest.raises(ConnectionFailedError, match="No connection to tested at https://host") as e:
        await client.request("GET", "/")
    assert isinstance(e.value.__cause__, socket.gaierror)


async def test_an_untrusted_certificate(serve: Serve, connect: MakeClient) -> None:
    server = await serve(say_one, tls=with_tls())
    with pytest.raises(ConnectionFailedError, match="certificate is not trusted") as caught:
        await connect(server.url).request("GET", "/")
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert server.requests == []


async def test_a_certificate_that_the_user_trusts(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(say_one, tls=with_tls())
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert (await connect(server.url).request("GET", "/")).data == 1
    with pytest.raises(ConnectionFailedError, match="not trusted"):
        await connect(server.url, trust_env=False).request("GET", "/")
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ConnectionFailedError, match="not trusted"):
        await connect(server.url).request("GET", "/")


async def test_a_certificate_for_another_host(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(say_one, tls=with_tls())
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with pytest.raises(ConnectionFailedError, match="certificate is not trusted"):
        await connect(server.url.replace("localhost", "127.0.0.1")).request("GET", "/")


async def test_tls_to_a_server_without(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.reader.read(10)
        await c.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await serve(script)
    with pytest.raises(ConnectionFailedError, match="TLS failed"):
        await connect(server.url.replace("http:", "https:")).request("GET", "/")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the connection was closed"),
        (b"HTTP/1.1 200 OK\r\nContent-", "the connection was closed"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the response is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nA\0B: c\r\n\r\n", "the response is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000, "the response is not valid HTTP"),
    ],
    ids=["nothing", "half-a-head", "not-http", "bad-header", "endless-header"],
)
async def test_no_answer(serve: Serve, connect: MakeClient, answer: bytes, reason: str) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.send(answer)

    server = await serve(script)
    with pytest.raises(ConnectionFailedError, match=f"gave no answer: {reason}"):
        await connect(server.url).request("GET", "/")


async def test_a_reset_before_the_answer(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        c.reset()

    server = await serve(script)
    with pytest.raises(ConnectionFailedError, match="Connection reset by peer"):
        await connect(server.url).request("GET", "/")


async def test_missing_certificate_files(
    connect: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="cannot be loaded: No such file"):
        await connect("https://127.0.0.1:1").request("GET", "/")


async def test_closing_twice_and_reusing(serve: Serve, connect: MakeClient) -> None:
    server = await serve(say_one)
    client = connect(server.url)
    await client.aclose()
    for _ in range(2):
        assert (await client.request("GET", "/")).data == 1
        await client.aclose()
        await client.aclose()
    assert server.connections == 2


async def test_no_socket_leaks(serve: Serve) -> None:
    """Whatever way a request ends, closing the client closes every connection."""
    gone = 0

    async def script(c: Connection) -> None:
        nonlocal gone
        try:
            while True:
                kind = (await c.request()).target
                if kind == "/error":
                    await c.answer(b"no", status="500 X")
                elif kind == "/stream":
                    await c.stream_head()
                    await c.chunk(b"data: x\n\n")
        finally:
            gone += 1

    server = await serve(script)
    client = HttpClient(server.url, name="tested", deadlines=Deadlines(first_event=1, idle=0.1))
    for path in ("/error", "/stream", "/silent", "/error"):
        with pytest.raises(AgentnbError):
            await follow(client, path)
    await client.aclose()
    async with asyncio.timeout(5):
        while gone < server.connections:  # noqa: ASYNC110 - the last one is not known here
            await asyncio.sleep(0.01)
    # The error's connection served the stream too; the stream's and the silent one were closed.
    assert server.connections == 3
    gc.collect()  # A socket that is only collected warns, and a warning fails the test.
