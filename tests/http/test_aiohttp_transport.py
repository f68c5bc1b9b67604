"""Choice of the transport, and behaviour of the one on aiohttp.

That it keeps every other promise is for the tests of both to show.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from agentnb._http import HttpClient
from agentnb._http.options import TRANSPORT_VARIABLE, chosen_transport
from agentnb.config import PlatformSettings, load_config
from agentnb.config.resolution import Config
from agentnb.errors import ConfigError
from tests.http.conftest import BOTH, Connection, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

AT_ONCE = 300


async def say_one(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b"1", headers="Set-Cookie: a=b; Path=/")


async def ask(client: HttpClient) -> object:
    return (await client.request("GET", "/")).data


async def test_requests_are_independent(serve: Serve, connect: MakeClient) -> None:
    server = await serve(say_one)
    client = connect(server.url)
    for _ in range(2):
        assert await ask(client) == 1
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]
    assert server.connections == 1


async def test_concurrent_requests_and_reuse_of_their_connections(
    serve: Serve, connect: MakeClient
) -> None:
    """A stream holds its connection, so that a bound of these would be one of streams."""
    all_there = asyncio.Event()
    streams = 0

    async def script(c: Connection) -> None:
        nonlocal streams
        while True:
            await c.request()
            await c.stream_head()
            streams += 1
            if streams == AT_ONCE:
                all_there.set()
            await asyncio.wait_for(all_there.wait(), 60)
            await c.chunk(b"data: 1\n\n")
            await c.chunk(b"")

    async def follow(client: HttpClient) -> int:
        async with client.stream("GET", "/") as stream:
            return sum([len(batch) async for batch in stream.batches()])

    server = await serve(script)
    client = connect(server.url)
    assert sum(await asyncio.gather(*(follow(client) for _ in range(AT_ONCE)))) == AT_ONCE
    assert server.connections == AT_ONCE
    # As many as a map asks at once are kept.
    assert sum(await asyncio.gather(*(follow(client) for _ in range(200)))) == 200
    assert server.connections == AT_ONCE


async def test_chunks_of_one_read_are_joined(serve: Serve) -> None:
    count = 500

    async def script(c: Connection) -> None:
        await c.request()
        await c.stream_head()
        await c.chunk(b"data: 0\n\n")
        await asyncio.wait_for(begun.wait(), 60)
        await c.send(b"9\r\ndata: 1\n\n\r\n" * count)
        await c.chunk(b"")

    begun = asyncio.Event()
    server = await serve(script)
    sizes: list[int] = []
    async with (
        aclosing(HttpClient(server.url, name="tested", transport="aiohttp")) as client,
        client.stream("GET", "/") as stream,
    ):
        async for batch in stream.batches():
            sizes.append(len(batch))
            begun.set()
    assert sum(sizes) == 1 + count
    assert len(sizes) < count / 10


@pytest.mark.parametrize("scheme", ["socks5", "socks4"])
async def test_a_proxy_that_aiohttp_does_not_support(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("all_proxy", f"{scheme}://user:canary@127.0.0.1:1")
    client = HttpClient("http://127.0.0.1:1", name="tested", transport="aiohttp")
    with pytest.raises(ConfigError, match="names a proxy that cannot be used") as caught:
        await ask(client)
    assert "canary" not in str(caught.value)
    assert "httpx[socks]" not in str(caught.value)


async def test_aiohttp_is_chosen_but_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agentnb._http.aiohttp_transport", None)
    client = HttpClient("http://127.0.0.1:1", name="tested", transport="aiohttp")
    with pytest.raises(ConfigError, match="aiohttp is chosen") as caught:
        await ask(client)
    assert "pip install 'jupyter-agentnb[fast]'" in (caught.value.hint or "")


def test_the_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRANSPORT_VARIABLE, raising=False)
    assert chosen_transport() == "httpx"
    assert chosen_transport("aiohttp") == "aiohttp"
    monkeypatch.setenv(TRANSPORT_VARIABLE, " AIOHTTP ")
    assert chosen_transport("httpx") == "aiohttp"
    monkeypatch.setenv(TRANSPORT_VARIABLE, "canary")
    with pytest.raises(ConfigError, match=TRANSPORT_VARIABLE) as caught:
        chosen_transport()
    assert "canary" not in str(caught.value)


def test_the_file_applies_to_every_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def settings() -> PlatformSettings:
        file, paths = load_config(tmp_path)
        config = Config(file=file, paths=paths)
        return config.settings("seekr", base_url="http://127.0.0.1:1", api_key="a key of the test")

    path = tmp_path / "agentnb.toml"
    monkeypatch.delenv(TRANSPORT_VARIABLE, raising=False)
    path.write_text("", encoding="utf-8")
    assert settings().transport == "httpx"
    path.write_text('transport = "aiohttp"', encoding="utf-8")
    assert settings().transport == "aiohttp"
    monkeypatch.setenv(TRANSPORT_VARIABLE, "httpx")
    assert settings().transport == "httpx"
    path.write_text('transport = "pigeon"', encoding="utf-8")
    with pytest.raises(ConfigError, match="transport"):
        settings()
