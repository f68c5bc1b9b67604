"""``echo``: says what it is told, in as many pieces, as fast and as badly as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BaseModel, Field

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    ReasoningDelta,
    RunFailed,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.sandbox.agents.tokens import count_tokens, pieces

if TYPE_CHECKING:
    from agentnb.platforms.local import FunctionContext

__all__ = ["EchoParams", "echo"]

_Count = Annotated[int, Field(ge=0, le=10_000_000)]


class EchoParams(BaseModel):
    """What `echo` can be told; numbers may come as text, since some platforms carry nothing else.

    - ``text``: what to say instead of the prompt; in words, or in pieces of ``size`` characters.
    - ``deltas``, ``size``: say that many numbered pieces of that many characters instead.
    - ``empty``: say nothing.
    - ``delay_ms``: wait before each piece.
    - ``reasoning``: think first, the text given or that many numbered pieces.
    - ``tools``: call a tool that often; ``tool_error``: the last call fails.
    - ``approval``: ask for one, with this message, before the answer.
    - ``usage``: report it, on unless told otherwise; ``followups``: suggest that many.
    - ``error_after``: fail after that many pieces, with ``error``, ``error_code`` and
      ``retry_after``; ``crash``: by an exception.
    """

    text: str | None = None
    deltas: _Count | None = None
    size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    empty: bool = False
    delay_ms: Annotated[float, Field(ge=0, le=600_000)] = 0
    reasoning: _Count | str = 0
    tools: _Count = 0
    tool_error: bool = False
    approval: str | None = None
    usage: bool = True
    followups: _Count = 0
    error_after: _Count | None = None
    error: str = "The echo was told to fail."
    error_code: str | None = "ECHO_ERROR"
    retry_after: float | None = None
    crash: bool = False


async def echo(prompt: str, context: FunctionContext) -> AsyncGenerator[Event, None]:
    """Repeat the prompt, or do what the parameters say: for tests and benchmarks.

    They come as the request's own parameters, or as a prompt that is a JSON object.
    """
    told = _told(prompt)
    params = EchoParams.model_validate({**context.params, **(told or {})})
    delay = params.delay_ms / 1000
    for piece in _thoughts(params):
        yield ReasoningDelta(piece)
    for number in range(1, params.tools + 1):
        call_id = f"call_{number}"
        yield ToolCallStarted(
            call_id=call_id, name="echo_tool", arguments=json.dumps({"number": number})
        )
        if params.tool_error and number == params.tools:
            yield ToolCallFinished(call_id=call_id, error="The tool was told to fail.")
        else:
            result = json.dumps({"number": number, "square": number * number})
            yield ToolCallFinished(call_id=call_id, result=result)
    if params.approval is not None:
        yield ApprovalRequested(
            approval_id=f"approval_{context.run_id}",
            message=params.approval,
            tool="echo_tool",
            arguments="{}",
        )
    said = 0
    for count, piece in enumerate(_answer(params, prompt)):
        if count == params.error_after:
            break
        if delay:
            await asyncio.sleep(delay)
        said += len(piece)
        yield TextDelta(piece)
    if params.error_after is not None:
        if params.crash:
            raise RuntimeError(params.error)
        yield RunFailed(
            message=params.error, code=params.error_code, retry_after=params.retry_after
        )
        return
    if params.usage:
        sent = count_tokens(prompt)
        received = count_tokens("x" * said)
        yield UsageReported(
            usage=Usage(input_tokens=sent, output_tokens=received, total_tokens=sent + received),
            model="sandbox-echo-1",
        )
    if params.followups:
        suggested = tuple(f"Say it {n} times more" for n in range(1, params.followups + 1))
        yield FollowupsSuggested(followups=suggested)


def _told(prompt: str) -> dict[str, Any] | None:
    if not prompt.lstrip().startswith("{"):
        return None
    try:
        told = json.loads(prompt)
    except ValueError:
        return None
    return cast("dict[str, Any]", told) if isinstance(told, dict) else None


def _thoughts(params: EchoParams) -> Iterator[str]:
    thoughts = params.reasoning
    if isinstance(thoughts, str) and not thoughts.isdecimal():
        yield from pieces(thoughts)
        return
    for number in range(int(thoughts)):
        yield f"thought {number} "


def _answer(params: EchoParams, prompt: str) -> Iterator[str]:
    if params.empty:
        return
    text = params.text
    if text is None and params.deltas is not None:
        size = params.size or 5
        for number in range(params.deltas):
            # Numbered, so that a piece that is lost, doubled or out of order shows.
            yield f"{number:0{size - 1}d}"[1 - size :] + " " if size > 1 else str(number % 10)
        return
    text = prompt if text is None else text
    if params.size is None:
        yield from pieces(text)
        return
    for at in range(0, len(text), params.size):
        yield text[at : at + params.size]
