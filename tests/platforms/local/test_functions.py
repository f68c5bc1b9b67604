"""Functions of every kind: what they give becomes events, and so does how they fail."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from agentnb.event.types import (
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
from agentnb.platforms.local import FunctionContext, iterate_function
from tests.platforms.local.asked import (
    async_generator,
    events_of,
    new_context,
    sync_function,
    sync_generator,
    wait_until,
)

pytestmark = pytest.mark.anyio


async def failure_of(function: Callable[..., Any]) -> RunFailed:
    failed = (await events_of(function))[-1]
    assert isinstance(failed, RunFailed)
    return failed


async def async_function(prompt: str) -> str:
    await asyncio.sleep(0)
    return f"({prompt})"


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
    assert "agentnb/platforms/local" not in trace.replace("\\", "/")
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
