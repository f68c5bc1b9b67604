"""Agents that a run is made with."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import agentnb
from agentnb.event.types import (
    Event,
    FollowupsSuggested,
    ReasoningDelta,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.run.run import Run
from tests.played import LONG, eventually


class Gate:
    """Lets a function agent go on when the test says so."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def agent(self) -> agentnb.Agent:
        def gated(prompt: str) -> Iterator[str]:
            yield "before "
            assert self._open.wait(LONG)
            yield "after"

        return agentnb.agent(gated)


async def until_text(run: Run) -> None:
    await eventually(lambda: run.text)


async def everything(prompt: str) -> AsyncIterator[Event]:
    yield ReasoningDelta("Let me see.")
    yield ToolCallStarted(call_id="c1", name="look", arguments='{"at": "it"}')
    yield ToolCallFinished(call_id="c1", result='{"found": 42}')
    yield TextDelta("The answer is **42**.")
    yield UsageReported(usage=Usage(input_tokens=3, output_tokens=5, total_tokens=8), model="m-1")
    yield FollowupsSuggested(followups=("Why?", "Really?"))
