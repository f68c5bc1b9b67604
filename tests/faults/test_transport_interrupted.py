"""Requests that are cancelled at any point leak no connection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import aclosing
from itertools import chain
from types import coroutine
from typing import Any

import pytest

from agentnb._http import HttpClient
from tests.faults.rawserver import Connection, Script
from tests.http.conftest import BOTH, MakeClient, Serve
from tests.played import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TRANSPORTS = BOTH

# A second cancellation meets what the first one has begun to close.
SECOND = (0, 1, 3)


async def whole(c: Connection) -> None:
    while True:
        await c.request()
        await c.stream_head()
        await c.chunk(b"data: 1\n\n")
        await asyncio.sleep(0.002)
        await c.chunk(b"data: 2\n\n")
        await c.chunk(b"")


async def endless(c: Connection) -> None:
    await c.request()
    await c.stream_head()
    await c.chunk(b"data: 1\n\n")
    await c.gone()


async def refused(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b'{"detail": "no"}', status="400 No")


async def take(client: HttpClient, *, most: int) -> None:
    """Take events, at most so many, and leave the stream."""
    async with client.stream("GET", "/") as stream, aclosing(stream.batches()) as batches:
        taken = 0
        async for batch in batches:
            taken += len(batch)
            if taken >= most:
                break


class Interrupted:
    """Runs a coroutine in its task, which is cancelled at the waits that ``at`` numbers.

    ``waits`` counts them.  The cancellation comes as from a timer: the next thing on the loop.
    """

    def __init__(self, work: Coroutine[Any, Any, None], at: set[int]) -> None:
        self.waits = 0
        self._work = work
        self._at = at

    async def run(self) -> None:
        await self._run()

    @coroutine
    def _run(self) -> Generator[Any, None, None]:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        thrown: BaseException | None = None
        while True:
            try:
                awaited: Any
                awaited = self._work.send(None) if thrown is None else self._work.throw(thrown)
            except StopIteration:
                return
            thrown = None
            if self.waits in self._at:
                loop.call_soon(task.cancel)
            self.waits += 1
            if asyncio.isfuture(awaited):
                # What `await` sets and who passed it on has taken back.
                awaited._asyncio_future_blocking = True
            try:
                yield awaited
            except BaseException as error:
                thrown = error


async def cancelled_at(client: HttpClient, *at: int, most: int) -> int:
    """Take events, cancelled at these waits; return how many waits there were."""
    interrupted = Interrupted(take(client, most=most), set(at))
    # It ends by a cancellation, by a refusal, or whole where it was over before.
    await asyncio.gather(asyncio.create_task(interrupted.run()), return_exceptions=True)
    return interrupted.waits


@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize(("script", "most"), [(whole, 9), (whole, 1), (endless, 1), (refused, 9)])
async def test_interrupted_requests_leak_no_connection(
    serve: Serve, connect: MakeClient, script: Script, most: int, is_used: bool
) -> None:
    server = await serve(script)

    async def client() -> HttpClient:
        made = connect(server.url)
        if is_used:
            await cancelled_at(made, most=most)
        return made

    counting = await client()
    waits = await cancelled_at(counting, most=most)
    assert waits
    await counting.aclose()
    once = [(wait,) for wait in range(waits)]
    twice = [(wait, wait + 1 + more) for wait in range(waits) for more in SECOND]
    for at in chain(once, twice):
        made = await client()
        await cancelled_at(made, *at, most=most)
        # The next request may reuse a connection, so there is one, or none.
        await cancelled_at(made, most=most if script is endless else 9)
        await eventually(lambda: server.connections - server.gone <= (script is not endless))
        await made.aclose()
        await server.all_gone()
    assert server.problems == []
