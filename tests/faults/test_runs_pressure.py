"""A fast server and a slow consumer: the rest is not fetched, and no loop is held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from agentnb import _loop
from agentnb.event.types import RunFinished, TextDelta
from agentnb.platforms.base import RunRequest
from agentnb.run.run import Run
from tests.faults.numbered import STARTED, asked, finish, reply, serving, tell
from tests.faults.rawserver import Connection, Received
from tests.played import LONG, Batches, PlayedPlatform, player

MANY: Final = 100_000


class Turns:
    """The most events that came between two turns of a loop; ``count`` tells how many there are."""

    def __init__(self, count: Callable[[], int]) -> None:
        self.most = 0
        self.turns = 0
        self._count = count
        self._over = threading.Event()

    async def watch(self) -> None:
        last = self._count()
        while not self._over.is_set():
            await asyncio.sleep(0)
            self.turns += 1
            self.most = max(self.most, self._count() - last)
            last = self._count()

    def stop(self) -> None:
        self._over.set()


async def at_rest(look: Callable[[], object]) -> None:
    """Wait until nothing moves any more, though agentnb's own loop goes round and round.

    ``look`` returns what could move, and None where it is not meant to rest yet.
    """
    last: object = None
    same = 0
    async with asyncio.timeout(60):
        while same < 20:
            await asyncio.wrap_future(_loop.submit(asyncio.sleep(0.02)))
            now = look()
            same = same + 1 if now is not None and now == last else 0
            last = now


def test_what_nobody_takes_is_not_fetched() -> None:
    sent = 0
    word = TextDelta("x" * 1_000)
    flooding: list[Connection] = []

    async def flood(c: Connection, request: Received) -> None:
        nonlocal sent
        if request.method == "DELETE":
            await reply(c, {})
            return
        flooding.append(c)
        await c.stream_head()
        await tell(c, STARTED)
        while sent < MANY:
            await tell(c, *[word] * 100)
            sent += 100
        await finish(c)

    async def take_one(run: Run) -> int:
        events = run.iterate()
        await anext(events)
        # The server waits, and in this process nothing is added.
        await at_rest(lambda: (sent, len(run.events)) if flooding[0].is_held_back else None)
        return sent

    with serving(flood) as server, asked(server) as agent:
        run = agent.start("flood")
        assert 0 < asyncio.run(take_one(run)) < MANY / 2
        run.cancel()
        run.wait(LONG, check=False)


def test_the_queue_is_bounded() -> None:
    """However large the batches are that a platform brings."""

    async def flood(request: RunRequest) -> Batches:
        yield [STARTED]
        await asyncio.to_thread(waits.wait, LONG)
        yield [TextDelta("x")] * MANY
        yield [RunFinished()]

    async def take(run: Run) -> int:
        events = run.iterate()
        await anext(events)
        waits.set()
        await at_rest(lambda: len(run.events) if len(run.events) > 1 else None)
        have = len(run.events)
        rest = [event async for event in events]
        assert len(rest) == MANY + 1
        return have

    waits = threading.Event()
    run = player(PlayedPlatform(flood)).start("hi")
    assert asyncio.run(take(run)) < 4_000
    assert len(run.text) == MANY


def test_no_loop_is_held_up() -> None:
    """Neither agentnb's own, which takes the events in, nor the one that consumes them."""

    async def flood(c: Connection, request: Received) -> None:
        await c.stream_head()
        await tell(c, STARTED)
        for _ in range(MANY // 1_000):
            await tell(c, *[TextDelta("x ")] * 1_000)
        await tell(c, RunFinished())
        await finish(c)

    taken = recorded = 0

    def count() -> None:
        nonlocal recorded
        recorded += len(run.events_since(recorded)[0])

    async def take(run: Run) -> Turns:
        nonlocal taken
        turns = Turns(lambda: taken)
        watching = asyncio.create_task(turns.watch())
        async for _ in run.iterate():
            taken += 1
        turns.stop()
        await watching
        return turns

    with serving(flood) as server, asked(server) as agent:
        run = agent.prepare("flood")
        run.subscribe(count)
        inside = Turns(lambda: recorded)
        watching = _loop.submit(inside.watch())
        outside = asyncio.run(take(run.start()))
        inside.stop()
        watching.result(LONG)
    assert taken == MANY + 2
    assert run.text == "x " * MANY
    # An event takes microseconds: these are far below what takes 50 ms.
    assert 0 < outside.most < MANY / 10
    assert 0 < inside.most < MANY / 10


def test_a_run_that_is_over_holds_nobody_up_either() -> None:
    async def flood(request: RunRequest) -> Batches:
        yield [STARTED]
        for _ in range(5):
            yield [TextDelta("x")] * MANY
        yield [RunFinished()]

    taken = 0

    async def take(run: Run) -> Turns:
        nonlocal taken
        turns = Turns(lambda: taken)
        watching = asyncio.create_task(turns.watch())
        async for _ in run.iterate():
            taken += 1
        turns.stop()
        await watching
        return turns

    turns = asyncio.run(take(player(PlayedPlatform(flood)).run("hi")))
    assert taken == 5 * MANY + 2
    # A fast machine takes most of `MANY` in the time that one turn may last.
    assert 0 < turns.most < 3 * MANY
