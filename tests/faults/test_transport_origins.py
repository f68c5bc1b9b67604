"""Requests go to the configured origin only; data of the server never becomes a header."""

from __future__ import annotations

import logging
import ssl
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from agentnb._http import HttpClient
from agentnb._http.timeout import Deadlines
from agentnb.errors import (
    ConnectionFailedError,
    PlatformError,
    RequestError,
    UnencryptedWarning,
)
from tests.faults.rawserver import CERTIFICATE, Connection, RawServer, unused_port, with_tls
from tests.http.conftest import BOTH, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

CANARY = "canary-7f3a9c"
HEADERS = {"Authorization": SecretStr(f"Bearer {CANARY}")}


async def say_one(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b"1")


def pointing(status: int, location: Callable[[RawServer], str]) -> Any:
    async def script(c: Connection) -> None:
        while True:
            await c.request()
            lines = f"Location: {location(c.server)}\nSet-Cookie: a=b"
            await c.answer(b"", status=f"{status} Elsewhere", headers=lines)

    return script


async def follow(client: HttpClient, path: str = "/v1/runs") -> None:
    async with client.stream("POST", path, json={"prompt": "secret"}) as stream:
        async for _ in stream.batches():
            pass


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_another_origin_gets_nothing(serve: Serve, connect: MakeClient, status: int) -> None:
    elsewhere = await serve(say_one)
    here = await serve(pointing(status, lambda _: f"{elsewhere.url}/v1/runs?token={CANARY}"))
    client = connect(here.url, headers=HEADERS)
    for ask in (follow(client), client.request("GET", "/"), client.request("POST", "/", json=1)):
        with pytest.raises(PlatformError) as caught:
            await ask
        assert caught.value.status == status
        assert f"That is a redirect to {elsewhere.url}, and redirects" in str(caught.value)
        assert CANARY not in str(caught.value)
    assert (elsewhere.connections, len(here.requests)) == (0, 3)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/login?next=/v1/runs", "a redirect to another path of the same server, and"),
        ("//other.example/x", "a redirect to https://other.example, and"),
        ("http://localhost:1/v1/runs", "a redirect to http://localhost:1, which is not encrypted,"),
        (f"https://{CANARY}.example/", "a redirect to https://***.example, and"),
        (f"https://user:{CANARY}@other.example/", "a redirect to https://other.example, and"),
        ("https://[::1]:8/", "a redirect to https://[::1]:8, and"),
        ("https://" + "x" * 5_000 + ".example/", "a redirect to https://xxxx"),
        ("https://[", "That is a redirect, and"),
        ("https://h:port/", "That is a redirect, and"),
        ("", "That is a redirect, and"),
        ("javascript:alert(1)", "That is a redirect, and"),
    ],
    ids=lambda value: value[:20],
)
async def test_the_error_of_a_redirect_names_its_target(
    serve: Serve,
    connect: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    location: str,
    expected: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    server = await serve(pointing(307, lambda _: location), tls=with_tls())
    with pytest.raises(PlatformError) as caught:
        await follow(connect(server.url, headers=HEADERS))
    assert expected in str(caught.value)
    assert CANARY not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "path", ["@{there}/", ".evil.example/", ":80/", "{there}/x", "//{there}/x", "/\\{there}/x"]
)
async def test_no_path_leads_to_another_host(serve: Serve, connect: MakeClient, path: str) -> None:
    elsewhere = await serve(say_one)
    here = await serve(say_one)
    there = elsewhere.url.removeprefix("http://")
    client = connect(here.url, headers=HEADERS)
    if path.startswith("/"):
        await client.request("GET", path.format(there=there))
        assert len(here.requests) == 1
    else:
        with pytest.raises(RequestError):
            await client.request("GET", path.format(there=there))
    assert elsewhere.connections == 0


async def test_cookies_are_neither_kept_nor_sent(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        while True:
            await c.request()
            await c.answer(b"1", headers="Set-Cookie: a=b; Path=/\nSet-Cookie: c=d; Max-Age=99")

    server = await serve(script)
    client = connect(server.url)
    for _ in range(3):
        await client.request("GET", "/")
    assert [r.headers.get("cookie") for r in server.requests] == [None] * 3


@pytest.mark.parametrize(
    "last_id", ["a\0b", "a\r\nX-Forged: 1", "a\nb", "\x01", "\x1b[31m", "\x7f"]
)
async def test_a_server_s_id_injects_no_header(
    serve: Serve, connect: MakeClient, last_id: str
) -> None:
    server = await serve(say_one)
    with pytest.raises(RequestError, match="last-event-id holds a line break or another control"):
        await connect(server.url).request("GET", "/", headers={"Last-Event-ID": last_id})
    assert server.connections == 0


async def test_the_last_id_of_a_stream_is_sent_unchanged(serve: Serve, connect: MakeClient) -> None:
    """Whatever bytes a server calls an id, what is sent back is those, or nothing at all."""

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk("id: né-7 \u2028\U0001f600\ndata: 1\n\n".encode())
        await c.chunk(b"id: with\0nul\ndata: 2\n\nid: 8\rdata: 3\n\n")
        await c.chunk(b"")
        while True:
            await c.request()
            await c.answer(b"1")

    server = await serve(script)
    client = connect(server.url)
    ids: list[str] = []
    async with client.stream("GET", "/") as stream:
        async for batch in stream.batches():
            ids += [event.id for event in batch]
    assert ids == ["né-7 \u2028\U0001f600", "né-7 \u2028\U0001f600", "8"]
    for each in ids:
        await client.request("GET", "/", headers={"Last-Event-ID": each})
        sent = server.requests[-1].headers["last-event-id"]
        assert sent.encode("latin-1").decode() == each


async def test_a_refused_connection_fails_before_any_deadline(connect: MakeClient) -> None:
    client = connect(f"http://127.0.0.1:{unused_port()}", deadlines=Deadlines(connect=1_000))
    with pytest.raises(ConnectionFailedError, match="Connection refused"):
        await client.request("GET", "/")


async def test_no_setting_takes_an_untrusted_certificate(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that switch verification off elsewhere switch nothing here."""
    server = await serve(say_one, tls=with_tls())
    for name in ("PYTHONHTTPSVERIFY", "NODE_TLS_REJECT_UNAUTHORIZED", "SSL_VERIFY"):
        monkeypatch.setenv(name, "0")
    for name in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "")
    for trust_env in (True, False):
        client = connect(server.url, headers=HEADERS, trust_env=trust_env)
        with pytest.raises(ConnectionFailedError, match="its certificate is not trusted") as caught:
            await client.request("GET", "/")
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://far.example",
        "http://localhost:1",
        "http://api.localhost",
        "http://127.0.0.1",
        "http://127.9.9.9:80",
        "http://[::1]:1",
    ],
)
def test_no_warning_for_https_and_loopback(url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HttpClient(url, name="tested")


@pytest.mark.parametrize(
    "host", ["one.example", "10.0.0.7", "[2001:db8::1]", "127.evil.example", "localhost.example"]
)
def test_plain_http_to_another_machine_warns_once(host: str) -> None:
    with pytest.warns(UnencryptedWarning, match="anyone on the network path can read") as caught:
        HttpClient(f"http://{host}:8080/api", name="tested")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HttpClient(f"http://{host}/other", name="again")


@pytest.mark.httpx_only  # aiohttp's client has nothing to say
async def test_other_users_of_httpx_log_as_before(
    serve: Serve, connect: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Only keys are taken out of what the HTTP client logs; all else stays."""

    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"1", headers=f"X-Echo: {CANARY}\nX-Kept: as it is")

    server = await serve(script)
    with caplog.at_level(logging.DEBUG):
        await connect(server.url, headers=HEADERS).request("GET", "/")
    assert "as it is" in caplog.text
    assert "***" in caplog.text
    assert CANARY not in caplog.text
