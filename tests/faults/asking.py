"""Requests that may fail, and what was made of it: for tests of further attempts."""

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


ASKING = [as_json, as_stream]
Ask = Callable[[HttpClient], Awaitable[None]]


async def answer_well(c: Connection) -> None:
    if "event-stream" in c.server.requests[-1].headers["accept"]:
        await c.answer(b"data: 1\n\n", headers="Content-Type: text/event-stream")
    else:
        await c.answer(b"1", headers=JSON)


def failing(times: int, *, status: str, headers: str = "", body: bytes = b"") -> Script:
    """Answer with ``status`` so many times, then well."""

    async def script(c: Connection) -> None:
        while True:
            if (await c.request()).attempt <= times:
                await c.answer(body, status=status, headers=headers)
            else:
                await answer_well(c)

    return script


class Notes:
    """What a call did, with pauses that take no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.told: list[RetryDelay] = []
        self.sent = 0
        self.request_options = RequestOptions(
            sleep=self._sleep, on_retry=self.told.append, on_request=self._send
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _send(self) -> None:
        self.sent += 1

    async def error_of(self, asked: Awaitable[object]) -> AgentnbError:
        with self.request_options.applied(), pytest.raises(AgentnbError) as caught:
            await asked
        return caught.value
