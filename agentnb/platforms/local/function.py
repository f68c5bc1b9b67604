"""Run a function of any kind and yield events."""

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
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, Final, cast, get_args

from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    TextDelta,
)
from agentnb.event.validation import EventField, json_document
from agentnb.platforms.base import Media, Message
from agentnb.platforms.local.worker import Worker

AgentFunction = Callable[..., Any]
"""``f(prompt)`` or ``f(prompt, context)``: a function, a coroutine function, or a generator of
either kind, giving text or events."""

_EVENT_CLASSES: Final[tuple[type[Any], ...]] = get_args(Event)
_PACKAGE_DIR: Final = Path(__file__).parent
# An asynchronous generator that never waits would starve everything else on its loop.
_YIELD_INTERVAL: Final = 64


@dataclass(slots=True, kw_only=True)
class FunctionContext:
    """What a function may know besides the prompt: its second parameter.

    ``history`` holds the turns before this one, oldest first.  ``params`` are the request's own
    free-form parameters.  ``output_schema`` is the JSON schema that the answer should follow.
    ``decisions`` maps the id of each requested approval to ``APPROVED`` or ``REJECTED``
    once somebody decided: a function that yields `ApprovalRequested` goes on after that.  In the
    sandbox a rejected run is cancelled there; as an agent of this process the function goes on in
    both cases, and reads here what was decided.  ``payloads`` maps the id to the answer that the
    decision carried, such as `Run.approve(payload=...)`; one without has no entry.
    """

    agent: str
    session_id: str
    run_id: str
    history: list[Message] = field(default_factory=list[Message])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    output_schema: Mapping[str, Any] | None = None
    media: Sequence[Media] = ()
    decisions: dict[str, str] = field(default_factory=dict[str, str])
    payloads: dict[str, Any] = field(default_factory=dict[str, Any])


async def iterate_function(
    function: AgentFunction, prompt: str, context: FunctionContext
) -> AsyncGenerator[Event, None]:
    """Run ``function`` and yield its events; the last one is always a terminal event.

    Text becomes `TextDelta`, events pass as they are, None and "" are left out.  A terminal event
    from the function ends it.  An exception becomes `RunFailed` with its type and message, and the
    traceback under ``details["traceback"]``.  Where ``context`` has an ``output_schema``, data that
    the function returns or yields (a pydantic model, a dataclass, a dict, a list, a number) are its
    structured output, of which the last counts: they become the answer as JSON.

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
    # The latest structured output, which is the answer unless another one follows.
    data: _Data | None = None
    has_text = False
    try:
        async with aclosing(_items(function, prompt, context)) as items:
            async for batch in items:
                events = []
                for item in batch:
                    if item is None:
                        continue
                    if isinstance(item, _Data):
                        data = item
                        continue
                    if isinstance(item, TERMINAL_EVENTS):
                        events += _final_events(data, item, has_text=has_text)
                        break
                    has_text = has_text or isinstance(item, TextDelta)
                    events.append(item)
                if events:
                    yield events
                    if isinstance(events[-1], TERMINAL_EVENTS):
                        return
                    events = []
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # This task was not cancelled: the function raised it itself.
        yield [*events, RunCancelled(reason="The function cancelled itself.")]
        return
    except GeneratorExit:
        raise
    except BaseException as error:
        # BaseException, because `sys.exit()` in a user's function must not end the event loop.
        yield [*events, _failure(error)]
        return
    yield _final_events(data, RunFinished(), has_text=has_text)


@dataclass(frozen=True, slots=True)
class _Data:
    """Structured output of a function, as JSON."""

    text: str


def _final_events(data: _Data | None, end: Event, *, has_text: bool) -> list[Event]:
    """Return the last events of a run, with the structured output as its answer."""
    if data is None:
        return [end]
    if isinstance(end, RunFinished) and end.output is None:
        end = replace(end, output=data.text)
    # After other text it is a passage of its own.
    return [TextDelta(data.text, "output" if has_text else None), end]


async def _items(
    function: AgentFunction, prompt: str, context: FunctionContext
) -> AsyncGenerator[list[Event | _Data | None], None]:
    """Yield what the function gives, converted, in batches of what arrived together."""
    convert = _as_data_or_event if context.output_schema is not None else _as_event
    arguments, keywords = _arguments(function, prompt, context)
    returned: Any = None
    if _runs_on_loop(function):
        outcome = function(*arguments, **keywords)
    else:
        worker = Worker(lambda: function(*arguments, **keywords), convert=convert)
        async with aclosing(worker.batches()) as batches:
            async for batch in batches:
                yield batch
        outcome, returned = worker.outcome, worker.returned
    if isinstance(outcome, Awaitable):
        outcome = await cast("Awaitable[Any]", outcome)
    if isinstance(outcome, AsyncIterator):
        source = cast("AsyncIterator[Any]", outcome)
        try:
            count = 0
            async for item in source:
                try:
                    converted = convert(item)
                except TypeError as error:
                    if isinstance(source, AsyncGenerator):
                        await source.athrow(error.with_traceback(None))
                    raise
                yield [converted]
                count += 1
                if count % _YIELD_INTERVAL == 0:
                    await asyncio.sleep(0)
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
    elif isinstance(outcome, Iterator):
        worker = Worker(lambda: cast("Any", outcome), convert=convert)
        async with aclosing(worker.batches()) as batches:
            async for batch in batches:
                yield batch
        returned = worker.returned
    else:
        try:
            yield [convert(outcome)]
        except TypeError as error:
            _note_origin(error, function)
            raise
    if returned is not None and context.output_schema is not None:
        # What a generator returns beside its text is the structured output, too.
        converted = convert(returned)
        if isinstance(converted, _Data):
            yield [converted]


def _as_event(item: object) -> Event | None:
    if isinstance(item, str):
        return TextDelta(item) if item else None
    if item is None:
        return None
    if type(item) in _EVENT_CLASSES:
        return cast("Event", item)
    for cls in _EVENT_CLASSES:
        if isinstance(item, cls):
            # Fields that a subclass adds would reach neither the page nor the history.
            return cls(**{f.name: getattr(item, f.name) for f in fields(cls)})
    hint = ""
    if not isinstance(item, bytes | BaseException | type) and not callable(item):
        hint = "; data are taken where output_type asks for them"
    raise TypeError(
        "An agent's function gives text or events of agentnb.event, "
        f"not {type(item).__name__}{hint}."
    )


def _as_data_or_event(item: object) -> Event | _Data | None:
    is_text = isinstance(item, str) and not isinstance(item, Enum)
    if is_text or item is None or isinstance(item, _EVENT_CLASSES):
        return _as_event(item)
    if isinstance(item, bytes | BaseException | type) or callable(item):
        return _as_event(item)
    try:
        return _Data(json_document(item, EventField("answer", "data")))
    except (TypeError, ValueError) as error:
        raise TypeError(
            "An agent's function gives text, events of agentnb.event or, where output_type asks "
            f"for it, data that have a JSON form, which this {type(item).__name__} has not: {error}"
        ) from error


def _note_origin(error: Exception, function: AgentFunction) -> None:
    """Say in the traceback which function returned what was refused."""
    call = type(function).__call__
    code = getattr(inspect.unwrap(function), "__code__", None) or getattr(call, "__code__", None)
    if code is not None:
        place = f'File "{code.co_filename}", line {code.co_firstlineno}, in {code.co_name}'
        error.add_note(f"Returned by {place}")


def _failure(error: BaseException) -> RunFailed:
    name = type(error).__name__
    message = str(error)
    frames = error.__traceback__
    # The frames down to the function's own tell its author nothing.
    while frames is not None and Path(frames.tb_frame.f_code.co_filename).parent == _PACKAGE_DIR:
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
    """Return how to call ``function``: with the context only if it takes one.

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
