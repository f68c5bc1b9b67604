"""Proxies from the environment."""

from __future__ import annotations

import asyncio
import traceback
from base64 import b64encode
from typing import Final

import pytest

from agentnb.errors import ConfigError, ConnectionFailedError
from tests.faults.rawserver import CERTIFICATE, with_tls
from tests.http.conftest import BOTH, Connection, MakeClient, Script, Serve
from tests.ports import bound

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

# The credentials as an address has them, and as they are meant.
WRITTEN: Final = "user:canary%3Aof%20the%20proxy"
CREDENTIALS: Final = "Basic " + b64encode(b"user:canary:of the proxy").decode()
KEY: Final = {"authorization": "Bearer canary of the platform"}


async def say_one(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b"1")


async def answer_for_it(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b'"proxied"')


async def tunnel(c: Connection) -> None:
    """Answer a CONNECT, and carry what follows."""
    host, _, port = (await c.request()).target.partition(":")
    theirs, ours = await asyncio.open_connection(host, int(port))
    await c.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    try:
        await asyncio.gather(_carry(c.reader, ours), _carry(theirs, c.writer))
    finally:
        ours.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.close()


def refuse(status: str) -> Script:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"no", status=status)

    return script


def use(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    monkeypatch.setenv("all_proxy", address)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


def with_credentials(url: str) -> str:
    return url.replace("//", f"//{WRITTEN}@")


async def test_requests_go_to_the_proxy(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = await serve(answer_for_it), await serve(say_one)
    use(monkeypatch, proxy.url)
    assert (await connect(server.url).request("GET", "/x", headers=KEY)).data == "proxied"
    (request,) = proxy.requests
    assert request.target == f"{server.url}/x"
    assert request.headers["host"] == server.url.removeprefix("http://")
    assert request.headers["authorization"] == KEY["authorization"]
    assert "proxy-authorization" not in request.headers
    assert (await connect(server.url, trust_env=False).request("GET", "/x")).data == 1


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "example.com, 127.0.0.1 ,::1"])
async def test_hosts_in_no_proxy_are_reached_directly(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    proxy, server = await serve(answer_for_it), await serve(say_one)
    use(monkeypatch, proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (await connect(server.url).request("GET", "/x")).data == 1
    if no_proxy != "*":
        assert (await connect("http://127.0.0.2:1").request("GET", "/x")).data == "proxied"


async def test_credentials_go_to_the_proxy(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await serve(answer_for_it)
    use(monkeypatch, with_credentials(proxy.url))
    client = connect("http://127.0.0.1:1")
    for _ in range(2):
        assert (await client.request("POST", "/x", json={}, headers=KEY)).data == "proxied"
    assert [r.headers["proxy-authorization"] for r in proxy.requests] == [CREDENTIALS] * 2
    assert [r.headers["authorization"] for r in proxy.requests] == [KEY["authorization"]] * 2
    assert proxy.connections == 1


async def test_a_tunnel_separates_the_headers_of_proxy_and_server(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = await serve(tunnel), await serve(say_one, tls=with_tls())
    use(monkeypatch, with_credentials(proxy.url))
    client = connect(server.url)
    for _ in range(2):
        assert (await client.request("GET", "/x", headers=KEY)).data == 1
    (opened,) = proxy.requests
    assert (opened.method, opened.target) == ("CONNECT", server.url.removeprefix("https://"))
    assert opened.headers["proxy-authorization"] == CREDENTIALS
    assert "authorization" not in opened.headers
    assert [r.target for r in server.requests] == ["/x"] * 2
    assert [r.headers["authorization"] for r in server.requests] == [KEY["authorization"]] * 2
    assert not any("proxy-authorization" in r.headers for r in server.requests)
    # A connection that is left open is carried until the proxy is stopped.
    await client.aclose()
    await proxy.all_gone()


async def test_a_stream_through_a_tunnel(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def three(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        for _ in range(3):
            await c.chunk(b"data: x\n\n")
        await c.chunk(b"")

    proxy, server = await serve(tunnel), await serve(three, tls=with_tls())
    use(monkeypatch, proxy.url)
    async with connect(server.url).stream("GET", "/") as stream:
        assert sum([len(batch) async for batch in stream.batches()]) == 3


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_refused_tunnel(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    proxy = await serve(refuse(status))
    use(monkeypatch, with_credentials(proxy.url))
    with pytest.raises(ConnectionFailedError, match="No connection to tested at") as caught:
        await connect("https://host.invalid").request("GET", "/x", headers=KEY)
    assert status[:3] in str(caught.value)
    printed = "".join(traceback.format_exception(caught.value))
    assert "canary" not in printed
    assert CREDENTIALS.split()[1] not in printed


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_unreachable_proxy(
    connect: MakeClient, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with bound() as unused:
        use(monkeypatch, with_credentials(f"http://127.0.0.1:{unused.getsockname()[1]}"))
        with pytest.raises(ConnectionFailedError, match="Connection refused") as caught:
            await connect(f"{scheme}://127.0.0.1:1").request("GET", "/x", headers=KEY)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("proxy", ["foo://user:canary@host:1", "http://user:canary@host:port"])
async def test_an_invalid_proxy_address(
    connect: MakeClient, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    use(monkeypatch, proxy)
    with pytest.raises(ConfigError, match="names a proxy that cannot be used") as caught:
        await connect("http://127.0.0.1:1").request("GET", "/")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
