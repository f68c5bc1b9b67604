"""``echo``, on which other tests and the benchmarks rely."""

from __future__ import annotations

import json
import time

import pytest

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallFinished,
    UsageReported,
)
from agentnb.platforms.local import FunctionContext, iterate_function
from agentnb.sandbox.echo import echo

pytestmark = pytest.mark.anyio


async def say(prompt: str, **params: object) -> list[Event]:
    context = FunctionContext(agent="echo", session_id="s", run_id="r", params=params)
    return [event async for event in iterate_function(echo, prompt, context)]


def texts(events: list[Event]) -> list[str]:
    return [e.text for e in events if isinstance(e, TextDelta)]


async def test_it_repeats_the_prompt_in_words() -> None:
    events = await say("Hello  big\nworld ")
    assert texts(events) == ["Hello  ", "big\n", "world "]
    assert isinstance(events[-1], RunFinished)


async def test_parameters_may_be_the_prompt_or_beside_it_and_the_prompt_wins() -> None:
    assert texts(await say('{"text": "from the prompt"}', text="beside")) == [
        "from ",
        "the ",
        "prompt",
    ]
    assert texts(await say("prompt", text="beside")) == ["beside"]
    assert texts(await say("{no json}")) == ["{no ", "json}"]
    assert texts(await say("[1]")) == ["[1]"]


async def test_numbers_may_come_as_text() -> None:
    assert texts(await say("x", deltas="3", size="4")) == ["000 ", "001 ", "002 "]
    thoughts = [e for e in await say("x", reasoning="2") if isinstance(e, ReasoningDelta)]
    assert [t.text for t in thoughts] == ["thought 0 ", "thought 1 "]


@pytest.mark.parametrize("size", [1, 2, 5, 40])
async def test_pieces_have_the_size_asked_for(size: int) -> None:
    pieces = texts(await say("x", deltas=1200, size=size))
    assert len(pieces) == 1200
    assert {len(p) for p in pieces} == {size}


async def test_numbered_pieces_tell_their_place() -> None:
    assert texts(await say("x", deltas=12, size=2)) == [f"{n % 10} " for n in range(12)]


async def test_text_can_be_cut_by_characters() -> None:
    assert texts(await say("abcdefgh", size=3)) == ["abc", "def", "gh"]


async def test_it_can_say_nothing() -> None:
    events = await say("x", empty=True)
    assert texts(events) == []
    assert isinstance(events[-1], RunFinished)


async def test_it_reports_usage_unless_told_otherwise() -> None:
    (usage,) = [e for e in await say("eight ch") if isinstance(e, UsageReported)]
    assert (usage.usage.input_tokens, usage.usage.output_tokens) == (2, 2)
    assert not [e for e in await say("x", usage=False) if isinstance(e, UsageReported)]


async def test_tools_are_called_and_the_last_may_fail() -> None:
    calls = [e for e in await say("x", tools=2, tool_error=True) if isinstance(e, ToolCallFinished)]
    assert json.loads(calls[0].result or "") == {"number": 1, "square": 1}
    assert calls[1].error == "The tool was set to fail."


async def test_it_asks_for_an_approval() -> None:
    (asked,) = [e for e in await say("x", approval="May I?") if isinstance(e, ApprovalRequested)]
    assert asked.message == "May I?"


async def test_it_fails_where_it_is_told_to() -> None:
    events = await say("a b c", error_after=2, error="Full", error_code="FULL", retry_after=3)
    assert texts(events) == ["a ", "b "]
    assert events[-1] == RunFailed(message="Full", code="FULL", retry_after=3)
    events = await say("a b c", error_after=9)
    assert texts(events) == ["a ", "b ", "c"]
    assert isinstance(events[-1], RunFailed)


async def test_it_crashes_where_it_is_told_to() -> None:
    failed = (await say("a b", error_after=1, crash=True, error="Broken"))[-1]
    assert isinstance(failed, RunFailed)
    assert (failed.message, failed.error_type) == ("RuntimeError: Broken", "RuntimeError")


async def test_it_waits_before_each_piece() -> None:
    begin = time.monotonic()
    await say("a b c", delay_ms=20)
    assert time.monotonic() - begin >= 0.06


async def test_a_parameter_that_makes_no_sense_fails_the_run() -> None:
    failed = (await say("x", deltas=-1))[-1]
    assert isinstance(failed, RunFailed)
    assert failed.error_type == "ValidationError"
    assert "deltas" in failed.message
