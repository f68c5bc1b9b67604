"""A Python function behind the interface of a platform."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from agentnb.errors import UnsupportedError
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RunCancelled, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Platform, RunRequest
from agentnb.platforms.local import FunctionContext, FunctionPlatform
from tests.platforms.local.asked import async_generator, sync_function, sync_generator

pytestmark = pytest.mark.anyio


def ask(prompt: str, session_id: str | None = None, **fields: Any) -> RunRequest:
    return RunRequest(agent="mine", prompt=prompt, session_id=session_id, **fields)


async def run(platform: Platform, request: RunRequest) -> list[Event]:
    return [event async for batch in platform.stream(request) for event in batch]


async def test_a_stream_begins_with_its_ids_and_ends_with_its_end() -> None:
    platform = FunctionPlatform(sync_generator)
    started, *rest = await run(platform, ask("hello"))
    assert isinstance(started, RunStarted)
    assert started.agent == "mine"
    assert started.run_id
    assert started.session_id
    assert rest == [TextDelta("("), TextDelta("hello"), TextDelta(")"), RunFinished()]
    assert platform.name == "local"
    assert fold(await platform.invoke(ask("hello"))).text == "(hello)"


async def test_the_request_reaches_the_function() -> None:
    seen: list[FunctionContext] = []

    def looks(prompt: str, context: FunctionContext) -> str:
        seen.append(context)
        return "ok"

    schema = {"type": "object"}
    await run(FunctionPlatform(looks), ask("x", "s1", params={"n": 1}, output_schema=schema))
    (context,) = seen
    assert (context.agent, context.session_id) == ("mine", "s1")
    assert (context.params, context.output_schema) == ({"n": 1}, schema)
    assert context.history == []


async def test_a_session_is_remembered_and_others_are_not_mixed_in() -> None:
    def remembers(prompt: str, context: FunctionContext) -> str:
        return "+".join(m["content"] for m in context.history) or "nothing"

    platform = FunctionPlatform(remembers)
    assert fold(await run(platform, ask("a", "one"))).text == "nothing"
    assert fold(await run(platform, ask("b", "one"))).text == "a+nothing"
    assert fold(await run(platform, ask("c", "two"))).text == "nothing"
    assert fold(await run(platform, ask("d", "one"))).text == "a+nothing+b+a+nothing"
    new = await run(platform, ask("e"))
    assert fold(new).text == "nothing"


async def test_a_turn_that_failed_without_a_word_is_forgotten() -> None:
    def picky(prompt: str, context: FunctionContext) -> Iterator[str]:
        if prompt == "fail":
            raise ValueError
        yield ",".join(m["content"] for m in context.history)
        if prompt == "fail late":
            raise ValueError

    platform = FunctionPlatform(picky)
    await run(platform, ask("first", "s"))
    await run(platform, ask("fail", "s"))
    await run(platform, ask("fail late", "s"))
    assert fold(await run(platform, ask("last", "s"))).text == "first,,fail late,first,"


async def test_a_failure_raises_nothing() -> None:
    def breaks(prompt: str) -> str:
        raise ValueError("broken")

    transcript = fold(await run(FunctionPlatform(breaks), ask("x")))
    assert transcript.status == "failed"
    assert transcript.failure is not None
    assert transcript.failure.message == "ValueError: broken"
    assert "traceback" in transcript.failure.details


@pytest.mark.parametrize("by", ["run", "session"])
async def test_cancel_stops_a_run_that_waits(by: str) -> None:
    cancelled = asyncio.Event()

    async def waits(prompt: str) -> AsyncIterator[str]:
        yield "on"
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    platform = FunctionPlatform(waits)
    events: list[Event] = []
    async for batch in platform.stream(ask("x", "s")):
        events += batch
        if events[-1] == TextDelta("on"):
            started = events[0]
            assert isinstance(started, RunStarted)
            run_id = started.run_id if by == "run" else None
            await platform.cancel("run_other")
            await platform.cancel(None, session_id="other")
            await platform.cancel(run_id, session_id="s")
    assert isinstance(events[-1], RunCancelled)
    assert cancelled.is_set()
    assert fold(events).text == "on"


async def test_cancelling_what_is_over_does_nothing() -> None:
    platform = FunctionPlatform(sync_function)
    started, *_ = await run(platform, ask("x"))
    assert isinstance(started, RunStarted)
    await platform.cancel(started.run_id)


async def test_closing_the_stream_stops_the_function() -> None:
    stopped = asyncio.Event()

    async def waits(prompt: str) -> AsyncIterator[str]:
        try:
            yield "on"
            await asyncio.sleep(60)
        finally:
            stopped.set()

    platform = FunctionPlatform(waits)
    async with aclosing(platform.stream(ask("x"))) as batches:
        async for batch in batches:
            if TextDelta("on") in batch:
                break
    assert stopped.is_set()


async def test_a_function_that_refuses_to_stop_does_not_hold_up_its_consumer() -> None:
    release = asyncio.Event()

    async def stubborn(prompt: str) -> AsyncIterator[str]:
        yield "on"
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    platform = FunctionPlatform(stubborn)
    begin = time.monotonic()
    async with aclosing(platform.stream(ask("x"))) as batches:
        async for batch in batches:
            if TextDelta("on") in batch:
                break
    assert time.monotonic() - begin < 10
    release.set()
    await asyncio.sleep(0.01)


async def test_closing_the_platform_stops_everything() -> None:
    async def waits(prompt: str) -> None:
        await asyncio.sleep(60)

    platform = FunctionPlatform(waits)
    batches = platform.stream(ask("x"))
    assert isinstance((await anext(batches))[0], RunStarted)
    await platform.aclose()
    await platform.aclose()
    rest = [event async for batch in batches for event in batch]
    assert [type(event) for event in rest] == [RunCancelled]


async def test_an_abandoned_stream_leaves_nothing_behind() -> None:
    platform = FunctionPlatform(async_generator)
    before = len(asyncio.all_tasks())
    for _ in range(20):
        async with aclosing(platform.stream(ask("x"))) as batches:
            await anext(batches)
    await asyncio.sleep(0)
    gc.collect()
    assert len(asyncio.all_tasks()) == before


async def test_it_lists_its_one_agent_and_refuses_what_it_has_not() -> None:
    def documented(prompt: str) -> str:
        """Say it again.

        At length.
        """
        return prompt

    platform = FunctionPlatform(documented)
    (agent,) = await platform.agents()
    assert (agent.id, agent.description) == ("documented", "Say it again.")
    (named,) = await FunctionPlatform(documented, agent="other", description="d").agents()
    assert (named.id, named.description) == ("other", "d")
    capabilities = platform.capabilities
    assert (capabilities.cancel, capabilities.list_agents) == (True, True)
    assert not capabilities.attach
    assert not capabilities.list_runs
    assert not capabilities.run_status
    assert capabilities.history
    assert capabilities.approvals
    with pytest.raises(UnsupportedError):
        platform.runs()
    with pytest.raises(UnsupportedError):
        await platform.status(["run"])


def test_an_agent_must_be_callable() -> None:
    with pytest.raises(TypeError, match="An agent is a function, not str"):
        FunctionPlatform("finance_agent")  # pyright: ignore[reportArgumentType]
