"""Python functions as agents: every kind of function, every way it can end."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from agentnb.errors import UnsupportedError
from agentnb.events import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    event_to_dict,
)
from agentnb.platforms.base import Platform, RunRequest
from agentnb.platforms.local import FunctionContext, FunctionPlatform, iterate_function
from agentnb.transcript import fold

pytestmark = pytest.mark.anyio


def new_context(**fields: Any) -> FunctionContext:
    return FunctionContext(agent="a", session_id="s", run_id="r", **fields)


async def events_of(function: Callable[..., Any], prompt: str = "hello") -> list[Event]:
    return [event async for event in iterate_function(function, prompt, new_context())]


async def failure_of(function: Callable[..., Any]) -> RunFailed:
    failed = (await events_of(function))[-1]
    assert isinstance(failed, RunFailed)
    return failed


async def wait_until(happened: threading.Event) -> None:
    assert await asyncio.to_thread(happened.wait, 10), "it never happened"


# --- every kind of function ---


def sync_function(prompt: str) -> str:
    return f"({prompt})"


async def async_function(prompt: str) -> str:
    await asyncio.sleep(0)
    return f"({prompt})"


def sync_generator(prompt: str) -> Iterator[str]:
    yield "("
    yield prompt
    yield ")"


async def async_generator(prompt: str) -> AsyncIterator[str]:
    yield "("
    await asyncio.sleep(0)
    yield prompt
    yield ")"


async def async_that_returns_a_generator(prompt: str) -> Iterator[str]:
    return sync_generator(prompt)


def sync_that_returns_a_coroutine(prompt: str) -> Awaitable[str]:
    return async_function(prompt)


def sync_that_returns_an_async_generator(prompt: str) -> AsyncIterator[str]:
    return async_generator(prompt)


class AsyncCallable:
    async def __call__(self, prompt: str) -> str:
        return f"({prompt})"


class SyncCallable:
    def __call__(self, prompt: str) -> str:
        return f"({prompt})"

    def method(self, prompt: str, context: FunctionContext) -> str:
        return f"({prompt})"


def with_suffix(prompt: str, context: FunctionContext, *, suffix: str) -> str:
    return f"({prompt}{suffix}"


@pytest.mark.parametrize(
    "function",
    [
        sync_function,
        async_function,
        sync_generator,
        async_generator,
        async_that_returns_a_generator,
        sync_that_returns_a_coroutine,
        sync_that_returns_an_async_generator,
        AsyncCallable(),
        SyncCallable(),
        SyncCallable().method,
        functools.partial(with_suffix, suffix=")"),
        pytest.param(functools.lru_cache(sync_function), id="lru_cache"),
    ],
    ids=lambda f: getattr(f, "__name__", type(f).__name__),
)
async def test_text_of_any_function_becomes_deltas(function: Callable[..., Any]) -> None:
    *deltas, end = await events_of(function)
    assert all(isinstance(d, TextDelta) for d in deltas)
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == "(hello)"
    assert end == RunFinished()


async def test_a_generator_gives_each_piece_by_itself() -> None:
    for function in (sync_generator, async_generator):
        assert (await events_of(function))[:-1] == [
            TextDelta("("),
            TextDelta("hello"),
            TextDelta(")"),
        ]


async def test_events_pass_as_they_are_and_nothing_is_left_out() -> None:
    told: list[Event] = [
        RunStarted(model="mine"),
        ReasoningDelta("hm"),
        ToolCallStarted(call_id="c", name="t", arguments="{}"),
        ToolCallFinished(call_id="c", result="1"),
    ]

    def function(prompt: str) -> Iterator[Event | str | None]:
        yield from told
        yield None
        yield ""
        yield "text"

    assert await events_of(function) == [*told, TextDelta("text"), RunFinished()]


async def test_a_function_that_says_nothing_has_finished() -> None:
    def silent(prompt: str) -> None:
        return

    assert await events_of(silent) == [RunFinished()]


@pytest.mark.parametrize(
    "end",
    [RunFinished(duration=1.0), RunFailed(message="no"), RunCancelled()],
    ids=lambda e: e.type,
)
async def test_a_terminal_event_of_the_functions_own_is_the_end(end: Event) -> None:
    closed = threading.Event()

    def sync(prompt: str) -> Iterator[Event | str]:
        try:
            yield "before"
            yield end
            yield "after"
        finally:
            closed.set()

    async def asynchronous(prompt: str) -> AsyncIterator[Event | str]:
        yield "before"
        yield end
        yield "after"

    assert await events_of(sync) == [TextDelta("before"), end]
    await wait_until(closed)
    assert await events_of(asynchronous) == [TextDelta("before"), end]


# --- the second parameter ---


async def test_the_context_is_given_where_it_is_asked_for() -> None:
    context = new_context(
        history=[{"role": "user", "content": "before"}], params={"n": 1}, output_schema={}
    )
    seen: list[Any] = []

    def second(prompt: str, ctx: FunctionContext) -> None:
        seen.append(ctx)

    def keyword_only(prompt: str, *, context: FunctionContext) -> None:
        seen.append(context)

    def by_name(prompt: str, context: FunctionContext | None = None) -> None:
        seen.append(context)

    async def asynchronous(prompt: str, context: FunctionContext) -> None:
        seen.append(context)

    for function in (second, keyword_only, by_name, asynchronous):
        assert [e async for e in iterate_function(function, "x", context)] == [RunFinished()]
    assert len(seen) == 4
    assert all(c is context for c in seen)


async def test_parameters_of_the_functions_own_are_left_alone() -> None:
    def function(prompt: str, style: str = "plain", *rest: str, **more: str) -> str:
        return f"{style}{rest}{more}"

    assert (await events_of(function))[0] == TextDelta("plain(){}")
    assert (await events_of(str.upper))[0] == TextDelta("HELLO")


# --- failures ---


async def test_an_exception_becomes_a_failure_with_its_traceback() -> None:
    def breaks(prompt: str) -> Iterator[str]:
        yield "before"
        raise LookupError("nothing there")

    events = await events_of(breaks)
    assert events[0] == TextDelta("before")
    failed = events[-1]
    assert isinstance(failed, RunFailed)
    assert failed.message == "LookupError: nothing there"
    assert failed.error_type == "LookupError"
    assert failed.status == "failed"
    trace = failed.details["traceback"]
    assert 'raise LookupError("nothing there")' in trace
    # The function's author reads of the function, not of what runs it.
    assert "platforms/local" not in trace.replace("\\", "/")
    assert event_to_dict(failed)["details"] == failed.details


async def test_every_kind_of_function_may_fail() -> None:
    def sync(prompt: str) -> str:
        raise ValueError

    async def asynchronous(prompt: str) -> str:
        raise ValueError

    async def generator(prompt: str) -> AsyncIterator[str]:
        yield "x"
        raise ValueError

    for function in (sync, asynchronous, generator):
        failed = await failure_of(function)
        assert (failed.message, failed.error_type) == ("ValueError", "ValueError")


async def test_leaving_the_interpreter_leaves_only_the_run() -> None:
    async def asynchronous(prompt: str) -> str:
        sys.exit(3)

    def sync(prompt: str) -> str:
        raise KeyboardInterrupt

    assert (await failure_of(asynchronous)).message == "SystemExit: 3"
    assert (await failure_of(sync)).error_type == "KeyboardInterrupt"


async def test_a_wrong_signature_is_a_failure() -> None:
    def takes_nothing() -> str:
        return "x"

    assert "takes 0 positional arguments" in (await failure_of(takes_nothing)).message


@pytest.mark.parametrize("thing", [7, b"bytes", {"text": "x"}, ["x"]], ids=repr)
async def test_what_is_neither_text_nor_event_is_a_failure(thing: object) -> None:
    def function(prompt: str) -> Iterator[object]:
        yield "before"
        yield thing
        yield "after"

    events = await events_of(function)
    assert events[0] == TextDelta("before")
    assert len(events) == 2
    failed = events[1]
    assert isinstance(failed, RunFailed)
    assert f"not {type(thing).__name__}" in failed.message


async def test_a_function_that_cancels_itself_is_cancelled() -> None:
    async def gives_up(prompt: str) -> AsyncIterator[str]:
        yield "before"
        raise asyncio.CancelledError

    events = await events_of(gives_up)
    assert events[0] == TextDelta("before")
    assert isinstance(events[-1], RunCancelled)


# --- stopping ---


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


# --- the platform ---


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
    with pytest.raises(UnsupportedError):
        platform.attach("run")
    with pytest.raises(UnsupportedError):
        platform.runs()
    with pytest.raises(UnsupportedError):
        await platform.status(["run"])


def test_an_agent_must_be_callable() -> None:
    with pytest.raises(TypeError, match="An agent is a function, not str"):
        FunctionPlatform("finance_agent")  # pyright: ignore[reportArgumentType]
