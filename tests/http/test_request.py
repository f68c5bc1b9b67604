"""Validation and encoding of requests."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import SecretStr

from agentnb._http import HttpClient, quote_segment
from agentnb.errors import ConfigError, RequestError
from tests.http.conftest import BOTH, Connection, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH


def test_httpx_is_imported_with_the_first_request() -> None:
    """It takes as long to import as everything else, and a notebook may never need it."""
    code = "import agentnb._http as h, sys; h.HttpClient('http://x', name='x'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "agentnb._http.client" in done.stdout.split()
    assert not {"httpx", "httpcore", "pydantic", "anyio"} & set(done.stdout.split())


@pytest.mark.parametrize("value", ["a\r\nX-Forged: 1", "a\nb", "a\rb", "a\0b", "\x7f", "\x1b[1m"])
@pytest.mark.parametrize("secret", [False, True])
async def test_a_header_cannot_inject_others(
    serve: Serve, connect: MakeClient, value: str, secret: bool
) -> None:
    async def script(c: Connection) -> None:
        await c.request()

    server = await serve(script)
    headers = {"X-Session": SecretStr(value) if secret else value}
    message = "The value of the header x-session holds a line break"
    with pytest.raises(RequestError, match=message) as caught:
        await connect(server.url, headers=headers).request("GET", "/")
    assert value not in str(caught.value)
    if not secret:
        with pytest.raises(RequestError, match=message):
            await connect(server.url).stream("GET", "/", headers={"X-Session": value}).__aenter__()
    assert server.connections == 0


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "X\r\nY", "É"])
async def test_header_names(connect: MakeClient, name: str) -> None:
    with pytest.raises(RequestError, match="is not a header name"):
        await connect("http://127.0.0.1:1").request("GET", "/", headers={name: "x"})


async def test_encoded_headers(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"null")

    server = await serve(script)
    client = connect(
        server.url,
        headers={"Authorization": SecretStr(" Bearer k "), "X-Team": "a", "Accept": "x/y"},
    )
    await client.request("GET", "/", headers={"x-team": "b", "Last-Event-ID": "…"})
    headers = server.requests[0].headers
    assert headers["authorization"] == "Bearer k"
    assert (headers["x-team"], headers["accept"]) == ("b", "x/y")
    assert headers["last-event-id"].encode("latin-1").decode() == "…"


@pytest.mark.parametrize(
    "value", [float("nan"), {1, 2}, "\ud800", b"bytes", {"a": float("inf")}], ids=repr
)
async def test_values_that_json_cannot_encode(connect: MakeClient, value: Any) -> None:
    with pytest.raises(RequestError, match="cannot be written as JSON"):
        await connect("http://127.0.0.1:1").request("POST", "/", json=value)


async def test_a_circular_reference_is_not_json(connect: MakeClient) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(RequestError, match="cannot be written as JSON"):
        await connect("http://127.0.0.1:1").request("POST", "/", json=circle)


@pytest.mark.parametrize(
    ("segment", "quoted"),
    [
        ("a-b_c.d~1", "a-b_c.d~1"),
        ("a/b", "a%2Fb"),
        ("a b?c#d%", "a%20b%3Fc%23d%25"),
        ("é", "%C3%A9"),
        ("..a", "..a"),
        ("\r\n", "%0D%0A"),
    ],
)
async def test_segments_are_quoted(
    serve: Serve, connect: MakeClient, segment: str, quoted: str
) -> None:
    await _check_quoted(serve, connect, segment, quoted)


# What need not be quoted there aiohttp sends as it is.
@pytest.mark.httpx_only
async def test_valid_characters_of_a_segment(serve: Serve, connect: MakeClient) -> None:
    await _check_quoted(serve, connect, ":@", "%3A%40")


async def _check_quoted(serve: Serve, connect: MakeClient, segment: str, quoted: str) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        await c.answer(b"null")

    assert quote_segment(segment) == quoted
    server = await serve(script)
    await connect(f"{server.url}/base/").request("GET", f"/v1/{quote_segment(segment)}/runs")
    assert server.requests[0].target == f"/base/v1/{quoted}/runs"


@pytest.mark.parametrize("segment", ["", ".", "..", "\ud800"])
def test_invalid_segments(segment: str) -> None:
    with pytest.raises(RequestError):
        quote_segment(segment)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.example.com",
        "ftp://example.com",
        "https://",
        "https://user:canary@example.com",
        "https://canary@example.com",
        "https://example.com?api_key=canary",
        "https://example.com/#canary",
        "https://example.com:99999",
        "https://[::1",
        "https://example.com/a b",
        "https://example.com\r\nX: y",
    ],
)
def test_invalid_base_urls(base_url: str) -> None:
    with pytest.raises(ConfigError, match="The base_url of p ") as caught:
        HttpClient(base_url, name="p")
    assert "canary" not in str(caught.value)


async def test_an_invalid_path(connect: MakeClient) -> None:
    with pytest.raises(RequestError, match="not valid"):
        await connect("http://127.0.0.1:1").request("GET", "/a\nb")
