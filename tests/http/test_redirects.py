"""The one redirect that is followed, and similar ones that are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from agentnb._http import HttpClient, RequestOptions
from agentnb._http.timeout import Deadlines
from agentnb.errors import DeadlineError, PlatformError
from tests.http.conftest import BOTH, Connection, MakeClient, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

KEY = "canary-7f3a9c"
HEADERS = {"Authorization": SecretStr(f"Bearer {KEY}"), "x-team-id": "blue"}


def redirecting(status: int, location: str, *, slash: bool = True) -> Any:
    """Redirect paths that end with a slash, or those that do not, and answer the others.

    ``location`` may name the server's ``{url}``, its ``{port}``, and the request's ``{path}`` and
    ``{query}``, a ``?`` included.
    """

    async def script(c: Connection) -> None:
        while True:
            request = await c.request()
            path, mark, query = request.target.partition("?")
            if path.endswith("/") is slash:
                await c.answer(json.dumps(request.target).encode())
                continue
            url = c.server.url
            to = location.format(
                url=url, port=url.rpartition(":")[2], path=path, query=mark + query
            )
            await c.answer(b"Moved.", status=f"{status} Moved", headers=f"Location: {to}")

    return script


async def streamed(client: HttpClient, method: str, path: str) -> str:
    async with client.stream(method, path, json={"prompt": "Hi"}) as stream:
        return await stream.json()


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "location", ["{path}/{query}", "{url}{path}/{query}", "//127.0.0.1:{port}{path}/{query}"]
)
async def test_adding_a_slash_keeps_method_body_and_headers(
    serve: Serve, connect: MakeClient, status: int, method: str, location: str
) -> None:
    server = await serve(redirecting(status, location))
    client = connect(server.url + "/api", headers=HEADERS)
    found = await client.request(method, "/v1/threads", json={"a": [1]}, params={"limit": 2})
    assert found.data == "/api/v1/threads/?limit=2"
    first, second = server.requests
    assert (first.target, second.target) == ("/api/v1/threads?limit=2", found.data)
    assert second.method == first.method == method
    assert second.body == first.body == b'{"a":[1]}'
    assert second.headers == first.headers
    assert second.headers["authorization"] == f"Bearer {KEY}"
    # The connection serves both.
    assert server.connections == 1


async def test_a_slash_is_removed(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        while True:
            request = await c.request()
            if request.target.endswith("/"):
                headers = f"Location: {request.target[:-1]}"
                await c.answer(b"", status="308 Moved", headers=headers)
            else:
                await c.answer(b"1")

    server = await serve(script)
    client = connect(server.url)
    assert (await client.request("GET", "/v2/flow/agents/")).data == 1
    assert (await client.request("POST", "/v1/threads/", json=1)).data == 1


async def test_a_stream_is_redirected_too(serve: Serve, connect: MakeClient) -> None:
    server = await serve(redirecting(307, "{path}/"))
    assert await streamed(connect(server.url), "POST", "/v1/run") == "/v1/run/"
    assert [r.method for r in server.requests] == ["POST", "POST"]


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_only_get_follows_redirects_that_change_the_method(
    serve: Serve, connect: MakeClient, status: int
) -> None:
    server = await serve(redirecting(status, "{path}/"))
    client = connect(server.url, headers=HEADERS)
    assert (await client.request("GET", "/v1/threads")).data == "/v1/threads/"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(PlatformError) as caught:
            await client.request(method, "/v1/threads", json=1)
        assert caught.value.status == status
    assert len(server.requests) == 2 + 4


@pytest.mark.parametrize(
    "location",
    [
        *("{path}/x", "/other{path}/", "{path}//", "/", "", ".", "{path}"),
        *("{path}/", "{path}/?limit=3", "{path}/{query}&to=x", "{path}/{query}#part"),
        *("http://localhost:{port}{path}/{query}", "https://127.0.0.1:{port}{path}/{query}"),
        *("http://127.0.0.1:1{path}/{query}", "//elsewhere.example{path}/{query}"),
        "http://user:pass@127.0.0.1:{port}{path}/{query}",
        "http://127.0.0.1:{port}@elsewhere.example{path}/{query}",
        "http://127.0.0.1:{port}.elsewhere.example{path}/{query}",
        *("/\\elsewhere.example{path}/{query}", "javascript:{path}/", "http://[{path}/"),
        *("http://127.0.0.1:port{path}/", "{path}%2F{query}", "{path};/{query}"),
    ],
)
@pytest.mark.parametrize("status", [307, 301])
async def test_other_redirects_are_not_followed(
    serve: Serve, connect: MakeClient, location: str, status: int
) -> None:
    server = await serve(redirecting(status, location))
    client = connect(server.url, headers=HEADERS)
    with pytest.raises(PlatformError) as caught:
        await client.request("GET", "/v1/threads", params={"limit": 2})
    assert caught.value.status == status
    assert "a redirect" in str(caught.value)
    assert len(server.requests) == 1
    assert KEY not in str(caught.value)


async def test_a_status_that_is_no_redirect_is_not_followed(
    serve: Serve, connect: MakeClient
) -> None:
    server = await serve(redirecting(300, "{path}/"))
    with pytest.raises(PlatformError, match="300"):
        await connect(server.url).request("GET", "/v1/threads")
    assert len(server.requests) == 1


async def test_a_loop_of_redirects_ends(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        while True:
            target = (await c.request()).target
            other = target[:-1] if target.endswith("/") else f"{target}/"
            await c.answer(b"", status="307 Moved", headers=f"Location: {other}")

    server = await serve(script)
    with pytest.raises(PlatformError, match="307"):
        await connect(server.url).request("POST", "/v1/threads", json=1)
    assert [r.target for r in server.requests] == ["/v1/threads", "/v1/threads/"]


async def test_the_root_has_no_other_path(serve: Serve, connect: MakeClient) -> None:
    server = await serve(redirecting(307, "/", slash=False))
    with pytest.raises(PlatformError, match="307"):
        await connect(server.url).request("GET", "/")
    assert len(server.requests) == 1


async def test_the_deadline_is_that_of_both_requests(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        request = await c.request()
        await c.answer(b"", status="307 Moved", headers=f"Location: {request.target}/")
        await c.request()
        await c.gone()

    server = await serve(script)
    client = connect(server.url, deadlines=Deadlines(total=0.3, first_event=None, idle=None))
    with pytest.raises(DeadlineError) as caught:
        await client.request("POST", "/v1/threads", json=1)
    assert caught.value.deadline == "total"
    assert len(server.requests) == 2


async def test_both_requests_are_reported(serve: Serve, connect: MakeClient) -> None:
    server = await serve(redirecting(307, "{path}/"))
    sent: list[int] = []
    with RequestOptions(on_request=lambda: sent.append(1)).applied():
        await connect(server.url).request("GET", "/v1/threads")
    assert len(sent) == len(server.requests) == 2
