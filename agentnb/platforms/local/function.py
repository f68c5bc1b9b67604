"""Running a function of any kind and telling what it does as events."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast, get_args

from agentnb.event import (
    TERMINAL_EVENTS,
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    TextDelta,
)
from agentnb.platforms.base import Media, Message
from agentnb.platforms.local.worker import Worker

__all__ = ["AgentFunction", "FunctionContext", "iterate_batches", "iterate_function"]

AgentFunction = Callable[..., Any]
"""``f(prompt)`` or ``f(prompt, context)``: a function, a coroutine function, or a generator of
either kind, giving text or events."""

_EVENT_CLASSES: Final = get_args(Event)
_HERE: Final = Path(__file__).parent
# An asynchronous generator that never waits would starve everything else on its loop.
_BREATH: Final = 64


@dataclass(slots=True, kw_only=True)
class FunctionContext:
    """What a function may know besides the prompt: its second parameter.

    ``history`` holds the turns before this one, oldest first.  ``params`` are the request's own
    free-form parameters.  ``output_schema`` is the JSON schema that the answer is asked to follow.
    ``decisions`` maps the id of each approval that was asked for to ``APPROVED`` or ``REJECTED``
    once somebody decided: a function that yields `ApprovalRequested` goes on after that.  In the
    sandbox a rejected run is cancelled there; as an agent of this process the function goes on in
    both cases, and reads here what was decided.
    """

    agent: str
    session_id: str
    run_id: str
    history: list[Message] = field(default_factory=list[Message])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    output_schema: Mapping[str, Any] | None = None
    media: Sequence[Media] = ()
    decisions: dict[str, str] = field(default_factory=dict[str, str])


async def iterate_function(
    function: AgentFunction, prompt: str, context: FunctionContext
) -> AsyncGenerator[Event, None]:
    """Run ``function`` and yield its events; the last one is always a terminal event.

    Text becomes `TextDelta`, events pass as they are, None and "" are left out.  A terminal event
    from the function ends it.  An exception becomes `RunFailed` with its type and message, and the
    traceback under ``details["traceback"]``.

    Asynchronous functions run in the calling task, so cancelling it cancels them.  Synchronous
    ones run in a thread of their own; closing this generator closes a synchronous generator at its
    next ``yield``.  No code after a ``yield ApprovalRequested(...)`` runs before the consumer asks
    for the next event.
    """
    async with aclosing(iterate_batches(function, prompt, context)) as batches:
        async for batch in batches:
            for event in batch:
                yield event


async def iterate_batches(
    function: AgentFunction, prompt: str, context: FunctionContext
) -> AsyncGenerator[list[Event], None]:
    """Do as `iterate_function` does, in batches of what arrived together."""
    events: list[Event] = []
    try:
        async with aclosing(_items(function, prompt, context)) as items:
            async for batch in items:
                events = []
                for item in batch:
                    event = _as_event(item)
                    if event is None:
                        continue
                    events.append(event)
                    if isinstance(event, TERMINAL_EVENTS):
                        break
                if events:
                    yield events
                    if isinstance(events[-1], TERMINAL_EVENTS):
                        return
                    events = []
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled this task: the function itself gave up.
        yield [*events, RunCancelled(reason="The function cancelled itself.")]
        return
    except GeneratorExit:
        raise
    except BaseException as error:
        # BaseException, because `sys.exit()` in a user's function must not end the event loop.
        yield [*events, _failure(error)]
        return
    yield [RunFinished()]


async def _items(
    function: AgentFunction, prompt: str, context: FunctionContext
) -> AsyncGenerator[list[Any], None]:
    arguments, keywords = _arguments(function, prompt, context)
    if _runs_on_loop(function):
        outcome = function(*arguments, **keywords)
    else:
        worker = Worker(lambda: function(*arguments, **keywords))
        async with aclosing(worker.batches()) as batches:
            async for batch in batches:
                yield batch
        outcome = worker.outcome
    if isinstance(outcome, Awaitable):
        outcome = await cast("Awaitable[Any]", outcome)
    if isinstance(outcome, AsyncIterator):
        source = cast("AsyncIterator[Any]", outcome)
        try:
            count = 0
            async for item in source:
                yield [item]
                count += 1
                if count % _BREATH == 0:
                    await asyncio.sleep(0)
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
    elif isinstance(outcome, Iterator):
        worker = Worker(lambda: cast("Any", outcome))
        async with aclosing(worker.batches()) as batches:
            async for batch in batches:
                yield batch
    else:
        yield [outcome]


def _as_event(item: object) -> Event | None:
    if isinstance(item, str):
        return TextDelta(item) if item else None
    if item is None:
        return None
    if isinstance(item, _EVENT_CLASSES):
        return cast("Event", item)
    raise TypeError(
        f"An agent's function gives text or events of agentnb.event, not {type(item).__name__}."
    )


def _failure(error: BaseException) -> RunFailed:
    name = type(error).__name__
    message = str(error)
    frames = error.__traceback__
    # The frames down to the function's own tell its author nothing.
    while frames is not None and Path(frames.tb_frame.f_code.co_filename).parent == _HERE:
        frames = frames.tb_next
    lines = traceback.format_exception(type(error), error, frames)
    return RunFailed(
        message=f"{name}: {message}" if message else name,
        error_type=name,
        details={"traceback": "".join(lines)},
    )


def _runs_on_loop(function: AgentFunction) -> bool:
    call = getattr(function, "__call__", function)  # noqa: B004 - an object with an async __call__
    return any(
        inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (function, call)
    )


def _arguments(
    function: AgentFunction, prompt: str, context: FunctionContext
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return how to call ``function``: the context only where it is asked for.

    A second parameter with a default of its own is the function's business, unless it is called
    ``context``.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some callables written in C tell no signature
        return (prompt,), {}
    named = parameters.get("context")
    if named is not None and named.kind is named.KEYWORD_ONLY:
        return (prompt,), {"context": context}
    positional = [
        p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) > 1 and (
        positional[1].default is inspect.Parameter.empty or positional[1].name == "context"
    ):
        return (prompt, context), {}
    return (prompt,), {}
