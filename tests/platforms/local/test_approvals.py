"""Functions that ask for an approval: suspended, decided, joined again, given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from agentnb.errors import RequestError
from agentnb.event.transcript import fold
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms.base import Message, RunRequest
from agentnb.platforms.local import FunctionContext, FunctionPlatform
from tests.played import eventually

pytestmark = pytest.mark.anyio

Said = str | Event


async def in_loop(prompt: str, context: FunctionContext) -> AsyncIterator[Said]:
    yield "a"
    yield "b"
    yield ApprovalRequested(message="May I?")
    yield "".join(context.decisions.values())


def in_thread(prompt: str, context: FunctionContext) -> Iterator[Said]:
    yield "a"
    yield "b"
    yield ApprovalRequested(message="May I?")
    yield "".join(context.decisions.values())


both = pytest.mark.parametrize("function", [in_loop, in_thread])


def ask(prompt: str = "go", **fields: Any) -> RunRequest:
    return RunRequest(agent="mine", prompt=prompt, **fields)


async def all_of(batches: Any) -> list[Event]:
    async with aclosing(batches) as found:
        return [event async for batch in found for event in batch]


async def paused(platform: FunctionPlatform, **fields: Any) -> tuple[str, list[Event]]:
    events = await all_of(platform.stream(ask(**fields)))
    assert isinstance(events[0], RunStarted)
    assert events[0].run_id is not None
    assert fold(events).status == "paused"
    return events[0].run_id, events


@both
async def test_the_stream_ends_where_it_asks(function: Callable[..., Any]) -> None:
    platform = FunctionPlatform(function)
    _, events = await paused(platform)
    asked = events[-1]
    assert isinstance(asked, ApprovalRequested)
    assert asked.approval_id
    assert fold(events).text == "ab"
    await platform.aclose()


@both
@pytest.mark.parametrize(("approved", "word"), [(True, "APPROVED"), (False, "REJECTED")])
async def test_it_goes_on_with_what_was_decided(
    function: Callable[..., Any], approved: bool, word: str
) -> None:
    platform = FunctionPlatform(function)
    run_id, events = await paused(platform)
    await platform.decide(run_id, None, approved=approved)
    again = await all_of(platform.attach(run_id))
    started, said, asked, *rest = again
    assert (started, asked) == (events[0], events[-1])
    assert said == TextDelta("ab")
    assert rest == [TextDelta(word), RunFinished()]
    with pytest.raises(RequestError, match="waits to be joined"):
        await all_of(platform.attach(run_id))


async def test_nothing_runs_until_somebody_decides() -> None:
    went_on = threading.Event()

    def waits(prompt: str) -> Iterator[Said]:
        yield ApprovalRequested()
        went_on.set()

    platform = FunctionPlatform(waits)
    run_id, _ = await paused(platform)
    # Joined before the decision, it tells the same and waits on.
    assert fold(await all_of(platform.attach(run_id))).status == "paused"
    assert not went_on.is_set()
    await platform.decide(run_id, None, approved=True)
    assert fold(await all_of(platform.attach(run_id))).status == "completed"
    assert went_on.is_set()


async def test_a_decision_while_the_stream_is_read_lets_it_go_on() -> None:
    platform = FunctionPlatform(in_loop)
    events: list[Event] = []
    async with aclosing(platform.stream(ask())) as batches:
        async for batch in batches:
            events += batch
            if isinstance(batch[-1], ApprovalRequested):
                started = events[0]
                assert isinstance(started, RunStarted)
                await platform.decide(str(started.run_id), batch[-1].approval_id, approved=True)
    assert fold(events).text == "abAPPROVED"


async def test_what_was_told_is_told_again_in_order() -> None:
    async def works(prompt: str) -> AsyncIterator[Said]:
        for text in ("think ", "more"):
            yield ReasoningDelta(text)
        yield ToolCallStarted(call_id="c", name="tool")
        yield ToolCallFinished(call_id="c", result="1")
        for text in ("a", "b"):
            yield TextDelta(text)
        yield TextDelta("x", part_id="other")
        yield ApprovalRequested(approval_id="1")

    platform = FunctionPlatform(works)
    run_id, events = await paused(platform)
    again = await all_of(platform.attach(run_id))
    assert again[1:] == [
        ReasoningDelta("think more"),
        ToolCallStarted(call_id="c", name="tool"),
        ToolCallFinished(call_id="c", result="1"),
        TextDelta("ab"),
        TextDelta("x", part_id="other"),
        ApprovalRequested(approval_id="1"),
    ]
    assert fold(again).to_dict() == fold(events).to_dict()
    await platform.aclose()


@pytest.mark.parametrize("approval_id", ["other", ""])
async def test_a_decision_that_it_does_not_wait_for(approval_id: str) -> None:
    platform = FunctionPlatform(in_loop)
    run_id, _ = await paused(platform)
    with pytest.raises(RequestError, match="does not wait for"):
        await platform.decide(run_id, approval_id, approved=True)
    with pytest.raises(RequestError, match="does not wait for"):
        await platform.decide("run_other", None, approved=True)
    await platform.decide(run_id, None, approved=True)
    with pytest.raises(RequestError, match="does not wait for"):
        await platform.decide(run_id, None, approved=True)
    await platform.aclose()


@both
@pytest.mark.parametrize("how", ["run", "session", "platform"])
async def test_giving_up_closes_the_function(function: Callable[..., Any], how: str) -> None:
    closed = threading.Event()

    def waits(prompt: str, context: FunctionContext) -> Iterator[Said]:
        try:
            yield "so far"
            yield ApprovalRequested()
        finally:
            closed.set()

    async def waits_in_loop(prompt: str, context: FunctionContext) -> AsyncIterator[Said]:
        try:
            yield "so far"
            yield ApprovalRequested()
        finally:
            closed.set()

    platform = FunctionPlatform(waits if function is in_thread else waits_in_loop)
    run_id, _ = await paused(platform, session_id="s")
    await platform.cancel("run_other")
    await platform.cancel(None, session_id="other")
    assert not closed.is_set()
    match how:
        case "run":
            await platform.cancel(run_id)
        case "session":
            await platform.cancel(None, session_id="s")
        case _:
            await platform.aclose()
    await eventually(closed.is_set)
    with pytest.raises(RequestError):
        await platform.decide(run_id, None, approved=True)


async def test_only_so_many_runs_wait() -> None:
    closed: list[str] = []

    async def waits(prompt: str) -> AsyncIterator[Said]:
        try:
            yield ApprovalRequested()
        finally:
            closed.append(prompt)

    platform = FunctionPlatform(waits)
    first, *_, last = [(await paused(platform, prompt=str(n)))[0] for n in range(101)]
    assert closed == ["0"]
    with pytest.raises(RequestError):
        await platform.decide(first, None, approved=True)
    await platform.decide(last, None, approved=True)
    assert fold(await all_of(platform.attach(last))).status == "completed"
    await platform.aclose()
    assert len(closed) == 101


async def test_leaving_a_run_that_goes_on_after_its_decision_stops_it() -> None:
    stopped = asyncio.Event()

    async def works(prompt: str) -> AsyncIterator[Said]:
        try:
            yield ApprovalRequested()
            yield "on"
            await asyncio.sleep(60)
        finally:
            stopped.set()

    platform = FunctionPlatform(works)
    run_id, _ = await paused(platform)
    await platform.decide(run_id, None, approved=True)
    async with aclosing(platform.attach(run_id)) as batches:
        async for batch in batches:
            if TextDelta("on") in batch:
                break
    assert stopped.is_set()


async def test_the_whole_answer_is_remembered_once() -> None:
    async def asks_first(prompt: str, context: FunctionContext) -> AsyncIterator[Said]:
        if prompt == "go":
            yield "before "
            yield ApprovalRequested()
            yield "after"
        else:
            yield "|".join(m["content"] for m in context.history)

    platform = FunctionPlatform(asks_first)
    run_id, _ = await paused(platform, session_id="s")
    await platform.decide(run_id, None, approved=True)
    await all_of(platform.attach(run_id))
    events = await platform.invoke(ask("what was said?", session_id="s"))
    assert fold(events).text == "go|before after"


# --- earlier messages ---


async def test_a_session_begins_with_earlier_messages() -> None:
    earlier: list[Message] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]

    def recalls(prompt: str, context: FunctionContext) -> str:
        # What a function does with its list is its own.
        context.history.append({"role": "user", "content": "mine"})
        return "+".join(m["content"] for m in context.history)

    platform = FunctionPlatform(recalls)
    first = fold(await platform.invoke(ask("c", history=earlier)))
    assert first.text == "a+b+mine"
    second = fold(await platform.invoke(ask("d", session_id=first.session_id)))
    assert second.text == "a+b+c+a+b+mine+mine"
    assert len(earlier) == 2
    with pytest.raises(RequestError, match="has its own"):
        await platform.invoke(ask("e", session_id="s", history=earlier))
