"""Events that nobody takes any more: their runs end, and nothing of them stays behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from agentnb import _loop, history
from agentnb.agents import Agent
from agentnb.run.run import Run
from tests.faults.numbered import ANSWER, asked, lines, reply, serving, tell
from tests.faults.rawserver import Connection, RawServer, Received
from tests.played import LONG, until

MANY: Final = 50
OPEN: Final = Path("/proc/self/fd")


async def endless(c: Connection, request: Received) -> None:
    if request.method == "DELETE":
        await reply(c, {})
        return
    await c.stream_head()
    await tell(c, *ANSWER[:2])
    await c.gone()


@pytest.fixture
def server() -> Generator[RawServer, None, None]:
    with serving(endless) as server:
        yield server


@pytest.fixture
def agent(server: RawServer) -> Generator[Agent, None, None]:
    with asked(server) as agent:
        # Whatever is made once, the loop and a first connection, is there from here on.
        run = agent.start("count")
        until(lambda: run.text)
        run.cancel()
        run.wait(LONG, check=False)
        until(lambda: len(server.requests) == 2)
        yield agent


async def take_one(agent: Agent) -> None:
    events = agent.stream("count")
    await anext(events)


async def break_out(agent: Agent) -> None:
    async for _ in agent.stream("count"):
        break


async def be_cancelled(agent: Agent) -> None:
    async def take() -> None:
        async for _ in agent.stream("count"):
            first.set()

    first = asyncio.Event()
    task = asyncio.create_task(take())
    await first.wait()
    task.cancel()
    await asyncio.wait({task})


async def be_too_slow(agent: Agent) -> None:
    events = agent.stream("count")
    await anext(events)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            async for _ in events:
                pass


async def fail(agent: Agent) -> None:
    with suppress(ZeroDivisionError):
        async for _ in agent.stream("count"):
            raise ZeroDivisionError


def in_one_loop(leave: Callable[[Agent], Awaitable[None]]) -> Callable[[Agent], None]:
    def leave_many(agent: Agent) -> None:
        async def all_at_once() -> None:
            await asyncio.gather(*(leave(agent) for _ in range(MANY)))

        asyncio.run(all_at_once())

    return leave_many


def on_loops_that_are_closed(agent: Agent) -> None:
    for _ in range(MANY):
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(anext(agent.stream("count")))
        finally:
            loop.close()


def on_a_loop_that_only_stands_still(agent: Agent) -> None:
    loop = asyncio.new_event_loop()
    try:
        for _ in range(MANY):
            events = agent.stream("count")
            loop.run_until_complete(anext(events))
            del events
        # It is not run again: what was left must not wait for that.
        until(lambda: all(run.done for run in recent()))
    finally:
        loop.close()


def in_a_circle(agent: Agent) -> None:
    """Found by the garbage collector alone."""

    async def take() -> None:
        for _ in range(MANY):
            events = agent.stream("count")
            await anext(events)
            circle: list[object] = [events]
            circle.append(circle)

    asyncio.run(take())
    gc.collect()


WAYS: dict[str, Callable[[Agent], None]] = {
    "dropped": in_one_loop(take_one),
    "broken out of": in_one_loop(break_out),
    "cancelled": in_one_loop(be_cancelled),
    "timed out": in_one_loop(be_too_slow),
    "failed": in_one_loop(fail),
    "on loops that are closed": on_loops_that_are_closed,
    "on a loop that stands still": on_a_loop_that_only_stands_still,
    "in a circle": in_a_circle,
}


def recent() -> list[Run]:
    return [run for run in history.recent_runs()[-MANY:] if isinstance(run, Run)]


def sockets() -> int:
    count = 0
    for entry in OPEN.iterdir():
        with suppress(OSError):  # the one that this listing itself had open
            count += str(entry.readlink()).startswith("socket:")
    return count


def tasks() -> int:
    async def count() -> int:
        return len(asyncio.all_tasks()) - 1

    return _loop.wait(count())


@pytest.mark.skipif(not OPEN.is_dir(), reason="counts sockets by /proc")
@pytest.mark.parametrize("way", WAYS)
def test_nothing_stays(way: str, agent: Agent, server: RawServer) -> None:
    gc.collect()
    before = sockets(), tasks(), threading.active_count()
    asked_before = len(server.requests)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WAYS[way](agent)
        gc.collect()
        until(lambda: all(run.done for run in recent()))
    assert {run.status for run in recent()} == {"cancelled"}
    made = lines(server)[asked_before:]
    begun = made.count("POST /runs")
    assert begun == MANY
    until(lambda: lines(server)[asked_before:].count("DELETE /runs/r1") == begun)
    until(lambda: tasks() <= before[1])
    # The pool may keep some connections, of which none has a stream.
    _loop.wait(agent.platform.aclose())
    server.until_all_gone()
    until(lambda: sockets() <= before[0])
    until(lambda: threading.active_count() <= before[2])


def test_a_run_that_is_only_watched_goes_on(agent: Agent, server: RawServer) -> None:
    async def watch(run: Run) -> None:
        for _ in range(MANY):
            events = run.iterate()
            await anext(events)

    run = agent.start("count")
    asyncio.run(watch(run))
    gc.collect()
    assert not run.done
    run.cancel()
    assert run.wait(LONG, check=False).status == "cancelled"
