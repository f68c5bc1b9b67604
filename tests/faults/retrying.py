"""Requests that fail a number of times, for tests of retries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from agentnb._http import HttpClient, RequestOptions, RetryDelay
from agentnb._http.retry import Retries
from agentnb.errors import AgentnbError
from tests.faults.rawserver import Connection, Script

JSON = "Content-Type: application/json"
THREE_TIMES = Retries(requests=2)


async def as_json(client: HttpClient) -> None:
    assert (await client.request("POST", "/runs", json={"q": "é"})).data == 1


async def as_stream(client: HttpClient) -> None:
    async with client.stream("POST", "/runs", json={"q": "é"}) as stream:
        assert [e.data async for batch in stream.batches() for e in batch] == ["1"]


REQUESTS = [as_json, as_stream]
SendRequest = Callable[[HttpClient], Awaitable[None]]


async def respond(c: Connection) -> None:
    if "event-stream" in c.server.requests[-1].headers["accept"]:
        await c.answer(b"data: 1\n\n", headers="Content-Type: text/event-stream")
    else:
        await c.answer(b"1", headers=JSON)


def failing(times: int, *, status: str, headers: str = "", body: bytes = b"") -> Script:
    """Respond with ``status`` so many times, then successfully."""

    async def script(c: Connection) -> None:
        while True:
            if (await c.request()).attempt <= times:
                await c.answer(body, status=status, headers=headers)
            else:
                await respond(c)

    return script


class Notes:
    """Records the delays and requests of a call; its delays take no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.delays: list[RetryDelay] = []
        self.sent = 0
        self.request_options = RequestOptions(
            sleep=self._sleep, on_retry=self.delays.append, on_request=self._send
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _send(self) -> None:
        self.sent += 1

    async def error_of(self, request: Awaitable[object]) -> AgentnbError:
        with self.request_options.applied(), pytest.raises(AgentnbError) as caught:
            await request
        return caught.value
