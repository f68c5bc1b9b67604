"""``echo``: repeats its prompt, or streams and fails as its parameters say."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

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

if TYPE_CHECKING:
    from agentnb.platforms.local import FunctionContext

_Count = Annotated[int, Field(ge=0, le=10_000_000)]


class EchoParams(BaseModel):
    """Parameters of `echo`; numbers may come as text, since some platforms carry nothing else.

    - ``text``: answer this instead of the prompt; in words, or in pieces of ``size`` characters.
    - ``deltas``, ``size``: answer that many numbered pieces of that many characters instead.
    - ``empty``: answer nothing.
    - ``delay_ms``: wait before each piece.
    - ``reasoning``: reason first, with this text or that many numbered pieces.
    - ``tools``: call a tool that often; ``tool_error``: the last call fails.
    - ``approval``: request one, with this message, before the answer.
    - ``usage``: report it, on by default; ``followups``: suggest that many.
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
    error: str = "The echo was set to fail."
    error_code: str | None = "ECHO_ERROR"
    retry_after: float | None = None
    crash: bool = False


async def echo(prompt: str, context: FunctionContext) -> AsyncGenerator[Event, None]:
    """Repeat the prompt, or do what the parameters say: for tests and benchmarks.

    They come as the request's own parameters, or as a prompt that is a JSON object.
    """
    params = EchoParams.model_validate({**context.params, **_parse_params(prompt)})
    delay = params.delay_ms / 1000
    for piece in _reasoning(params):
        yield ReasoningDelta(piece)
    for number in range(1, params.tools + 1):
        call_id = f"call_{number}"
        yield ToolCallStarted(
            call_id=call_id, name="echo_tool", arguments=json.dumps({"number": number})
        )
        if params.tool_error and number == params.tools:
            yield ToolCallFinished(call_id=call_id, error="The tool was set to fail.")
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
    length = 0
    for count, piece in enumerate(_answer(params, prompt)):
        if count == params.error_after:
            break
        if delay:
            await asyncio.sleep(delay)
        length += len(piece)
        yield TextDelta(piece)
    if params.error_after is not None:
        if params.crash:
            raise RuntimeError(params.error)
        yield RunFailed(
            message=params.error, code=params.error_code, retry_after=params.retry_after
        )
        return
    if params.usage:
        read, written = count_tokens(len(prompt)), count_tokens(length)
        yield UsageReported(
            usage=Usage(input_tokens=read, output_tokens=written, total_tokens=read + written),
            model="sandbox-echo-1",
        )
    if params.followups:
        suggested = tuple(f"Say it {n} times more" for n in range(1, params.followups + 1))
        yield FollowupsSuggested(followups=suggested)


def _parse_params(prompt: str) -> dict[str, Any]:
    try:
        value = json.loads(prompt) if prompt.lstrip().startswith("{") else None
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _reasoning(params: EchoParams) -> Iterator[str]:
    reasoning = params.reasoning
    if isinstance(reasoning, str) and not reasoning.isdecimal():
        yield from pieces(reasoning)
        return
    for number in range(int(reasoning)):
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


_WORD: Final = re.compile(r"\S+\s*|\s+")
_CHARACTERS_PER_TOKEN: Final = 4


def pieces(text: str) -> list[str]:
    """Return ``text`` cut into words, each with the white space that follows it."""
    return _WORD.findall(text)


def count_tokens(characters: int) -> int:
    """Return the estimated tokens of a text of so many characters, rounded up."""
    return -(-characters // _CHARACTERS_PER_TOKEN)
