"""Cancellation just as a connection opens, before anything is sent on it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentnb._http import HttpClient
from agentnb._http.network import NetworkBackend
from tests.faults.rawserver import Connection
from tests.http.conftest import MakeClient, Serve
from tests.played import eventually

pytestmark = pytest.mark.anyio

MANY = 5


async def respond(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b"1")


async def ask(client: HttpClient) -> object:
    return (await client.request("GET", "/")).data


async def test_the_connection_of_an_unused_stream_is_closed(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(respond)
    client = connect(server.url)
    connect_tcp = NetworkBackend.connect_tcp

    async def connect_and_leave(self: NetworkBackend, *args: Any, **options: Any) -> object:
        stream = await connect_tcp(self, *args, **options)
        if (task := asyncio.current_task()) is not None:
            task.cancel()
        # What opens a connection lets others have their turn, once more.
        await asyncio.sleep(0)
        return stream

    with monkeypatch.context() as patched:
        patched.setattr(NetworkBackend, "connect_tcp", connect_and_leave)
        for _ in range(MANY):
            results = await asyncio.gather(asyncio.create_task(ask(client)), return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
    await eventually(lambda: server.connections == MANY)
    await server.all_gone()
    assert server.requests == []
    # Of a request that was sent the connection stays for the next one.
    assert [await ask(client) for _ in range(3)] == [1, 1, 1]
    assert (server.connections, server.gone) == (MANY + 1, MANY)
