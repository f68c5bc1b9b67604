"""What the servers of these tests say where a connection stays open that should not."""

from __future__ import annotations

import pytest

from tests.http.conftest import Connection, MakeClient, Serve

pytestmark = pytest.mark.anyio


async def test_those_that_stay_open_are_told_of(serve: Serve, connect: MakeClient) -> None:
    async def script(c: Connection) -> None:
        while True:
            await c.request()
            await c.answer(b"1")

    server = await serve(script)
    client = connect(server.url)
    await client.request("GET", "/first")
    await client.request("GET", "/second")
    said = "1 connections are open: connection 1, on which came GET /first, GET /second"
    with pytest.raises(AssertionError, match=said):
        await server.all_gone(seconds=0.05)
    await client.aclose()
    await server.all_gone()
