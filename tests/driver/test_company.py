"""What a run shares the loop with: listeners, other runs, consumers."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time

import pytest

from agentnb.event.types import RunFailed, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import RunRequest
from agentnb.run.run import Run
from tests.driver.scripts import answer, settle, unsent
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player, until

where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


def test_listeners_that_raise_hurt_nobody(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    run = unsent(PlayedPlatform(answer))

    def raising() -> None:
        raise ValueError("a listener's own fault")

    def giving_up() -> None:
        raise asyncio.CancelledError

    run.subscribe(raising)
    run.subscribe(giving_up)
    run.subscribe(lambda: heard.append(run.status))
    with caplog.at_level(logging.ERROR, logger="agentnb.recording.recording"):
        run.start().wait(LONG)
        until(lambda: len(heard) == 3)
    assert heard == ["running", "completed", "completed"]
    assert "a listener's own fault" in caplog.text


def test_a_listener_leaves_once() -> None:
    heard: list[int] = []

    def listen() -> None:
        heard.append(1)

    run = unsent(PlayedPlatform(answer))
    leave = run.subscribe(listen)
    run.subscribe(listen)
    leave()
    leave()
    run.start().wait(LONG)
    until(lambda: len(heard) == 3)
    settle()
    assert len(heard) == 3


def test_the_last_notice_comes_when_the_run_is_done() -> None:
    seen: list[tuple[bool, bool]] = []
    run = unsent(PlayedPlatform(answer))
    run.subscribe(lambda: seen.append((run.done, run.duration is not None)))
    run.start().wait(LONG)
    until(lambda: len(seen) == 3)
    assert seen[-1] == (True, True)
    assert seen[0] == (False, False)


def test_a_run_starts_once() -> None:
    platform = PlayedPlatform(answer)
    run = unsent(platform)
    assert run.status == "queued"
    assert run.elapsed == 0
    run.start()
    run.start()
    run.wait(LONG)
    run.start()
    settle()
    assert len(platform.requests) == 1
    assert run.text == "Hello"


def test_a_run_sees_the_context_of_the_cell_that_sent_it() -> None:
    async def looking(request: RunRequest) -> Batches:
        await asyncio.sleep(0)
        yield [TextDelta(where.get()), RunFinished()]

    agent = player(PlayedPlatform(looking))

    def from_cell(name: str) -> Run:
        where.set(name)
        return agent.start("hi")

    runs = {name: contextvars.Context().run(from_cell, name) for name in ("cell 1", "cell 2")}
    assert {name: run.wait(LONG).text for name, run in runs.items()} == {
        "cell 1": "cell 1",
        "cell 2": "cell 2",
    }


def test_many_runs_at_once_do_not_mix() -> None:
    async def counting(request: RunRequest) -> Batches:
        yield [RunStarted(run_id=request.prompt, session_id=f"of {request.prompt}")]
        for n in range(20):
            await asyncio.sleep(0)
            yield [TextDelta(f"{request.prompt}.{n} ")]
        if int(request.prompt) % 3 == 0:
            yield [RunFailed(message=f"{request.prompt} fails")]
        yield [RunFinished()]

    agent = player(PlayedPlatform(counting))
    runs = [agent.start(str(n)) for n in range(50)]
    for n, run in enumerate(runs):
        run.wait(LONG, check=False)
        assert run.id == str(n)
        assert run.session_id == f"of {n}"
        assert run.text == "".join(f"{n}.{i} " for i in range(20))
        assert run.error == (f"{n} fails" if n % 3 == 0 else None)


def test_the_loop_takes_a_hundred_thousand_events() -> None:
    async def fast(request: RunRequest) -> Batches:
        yield [STARTED]
        for n in range(1000):
            yield [TextDelta(f"{n * 100 + i} ") for i in range(100)]
        yield [RunFinished()]

    run = player(PlayedPlatform(fast)).start("hi")
    beats: list[float] = []

    async def take() -> int:
        count = 0
        async for _ in run.iterate():
            count += 1
            if count % 1000 == 0:
                beats.append(time.monotonic())
                await asyncio.sleep(0)
        return count

    assert asyncio.run(take()) == 100_002
    run.wait(LONG)
    assert run.text.split() == [str(n) for n in range(100_000)]
    assert len(beats) == 100


def test_a_waiting_consumer_keeps_the_rest_from_being_fetched() -> None:
    """Back-pressure reaches the platform, and with it the socket."""
    made = 0

    async def fast(request: RunRequest) -> Batches:
        nonlocal made
        yield [STARTED]
        while made < 100_000:
            made += 10
            yield [TextDelta("x") for _ in range(10)]
        yield [RunFinished()]

    run = player(PlayedPlatform(fast)).start("hi")

    async def take_slowly() -> tuple[int, int]:
        events = run.iterate()
        await anext(events)
        held = -1
        while held != made:
            held = made
            await asyncio.sleep(0.1)
        return held, len([event async for event in events])

    # Whatever came before the consumer did is there already; from then on it is held up.
    held, rest = asyncio.run(take_slowly())
    assert held < 100_000
    assert rest == 100_001
    assert run.wait(LONG).status == "completed"
