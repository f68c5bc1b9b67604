"""Functions that are stopped, held back or run beside others."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from agentnb.event.transcript import fold
from agentnb.event.types import ApprovalRequested, Event, TextDelta
from agentnb.platforms.local import iterate_function
from tests.platforms.local.asked import events_of, new_context, wait_until

pytestmark = pytest.mark.anyio


async def test_closing_closes_an_asynchronous_generator_at_once() -> None:
    closed: list[bool] = []

    async def endless(prompt: str) -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async with aclosing(iterate_function(endless, "x", new_context())) as events:
        async for _ in events:
            break
    assert closed == [True]


async def test_closing_closes_a_synchronous_generator_at_its_next_yield() -> None:
    closed, produced = threading.Event(), 0

    def endless(prompt: str) -> Iterator[str]:
        nonlocal produced
        try:
            while True:
                produced += 1
                yield "x"
        finally:
            closed.set()

    async with aclosing(iterate_function(endless, "x", new_context())) as events:
        async for _ in events:
            break
    await wait_until(closed)
    # It ran ahead of its consumer, but not far.
    assert produced < 1000


async def test_a_slow_consumer_holds_a_synchronous_generator_back() -> None:
    produced = 0

    def fast(prompt: str) -> Iterator[str]:
        nonlocal produced
        for _ in range(5000):
            produced += 1
            yield "x"

    taken = 0
    async with aclosing(iterate_function(fast, "x", new_context())) as events:
        async for event in events:
            taken += isinstance(event, TextDelta)
            if taken == 1:
                await asyncio.sleep(0.05)
                assert produced < 1000
    assert taken == produced == 5000


async def test_cancelling_the_task_cancels_an_asynchronous_function() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def waits(prompt: str) -> str:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "never"

    task = asyncio.create_task(events_of(waits))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


async def test_nothing_after_an_approval_runs_before_the_next_event_is_asked_for() -> None:
    went_on = threading.Event()

    def careful(prompt: str) -> Iterator[Event | str]:
        yield "may I?"
        yield ApprovalRequested(approval_id="1")
        went_on.set()
        yield "I did"

    events = iterate_function(careful, "x", new_context())
    async with aclosing(events):
        assert await anext(events) == TextDelta("may I?")
        assert await anext(events) == ApprovalRequested(approval_id="1")
        await asyncio.sleep(0.05)
        assert not went_on.is_set()
        assert await anext(events) == TextDelta("I did")


async def test_a_synchronous_function_leaves_the_loop_free() -> None:
    release = threading.Event()

    def blocks(prompt: str) -> str:
        release.wait(10)
        return "done"

    task = asyncio.create_task(events_of(blocks))
    await asyncio.sleep(0.01)
    assert not task.done()
    release.set()
    assert (await task)[0] == TextDelta("done")


async def test_an_asynchronous_generator_that_never_waits_leaves_the_loop_free() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def busy(prompt: str) -> AsyncIterator[str]:
        for _ in range(2000):
            yield "x"

    ticking = asyncio.create_task(tick())
    await events_of(busy)
    ticking.cancel()
    assert ticks > 10


async def test_functions_see_the_callers_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("mine")

    def sync(prompt: str) -> str:
        return variable.get()

    async def asynchronous(prompt: str) -> str:
        return variable.get()

    for function in (sync, asynchronous):
        assert (await events_of(function))[0] == TextDelta("mine")


async def test_many_generators_at_once_do_not_mix() -> None:
    def counts(prompt: str) -> Iterator[str]:
        for number in range(300):
            yield f"{prompt}{number} "

    answers = await asyncio.gather(*(events_of(counts, f"p{n}.") for n in range(20)))
    for n, events in enumerate(answers):
        assert fold(events).text == "".join(f"p{n}.{i} " for i in range(300))
