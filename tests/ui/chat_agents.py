"""Agents to chat with in the cells of these tests; copied beside each notebook, as the others."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from notebook_agents import NOSY, REPORT, until  # pyright: ignore[reportMissingImports]

import agentnb
from agentnb.event.types import (
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
from agentnb.platforms.local import FunctionContext

FOLLOWUPS = ("And what else?", "Why is that so?")


async def guide(prompt: str, context: FunctionContext) -> AsyncIterator[Event]:
    """Say what it was asked and how many questions it knows; the first word says how.

    ``late``: wait before the first byte.  ``slowly``: wait in the middle.  ``fail``: fail there.
    """
    how = prompt.split()[0].strip(",")
    if how == "late":
        await until("late")
    asked = [message["content"] for message in context.history if message["role"] == "user"]
    yield TextDelta(f"Before this: {len(asked)} [{'; '.join(asked)}].")
    if how == "slowly":
        await until("middle")
        yield TextDelta(" The middle was reached.")
        await until("end")
    if how == "fail":
        yield RunFailed(message="The model is overloaded.", code="OVERLOADED")
        return
    yield TextDelta(f"\n\nYou asked: **{prompt}**")
    yield UsageReported(usage=Usage(input_tokens=10, output_tokens=5, total_tokens=15))
    yield FollowupsSuggested(followups=FOLLOWUPS)


def weigh(prompt: str, context: FunctionContext) -> str:
    """Tell what arrived of the attachments: name, type, size and a digest of each."""
    lines = [f"{prompt}: {len(context.media)}"]
    for item in context.media:
        data = item.data or b""
        digest = hashlib.sha256(data).hexdigest()
        lines.append(f"- `{item.name}` `{item.mime_type}` {len(data)} `{digest}`")
    return "\n\n".join(lines)


async def curious(prompt: str) -> AsyncIterator[Event]:
    """Say everywhere what would reach out."""
    yield ReasoningDelta(NOSY)
    yield ToolCallStarted(call_id="1", name="fetch", arguments='{"url": "https://tool.example/"}')
    yield ToolCallFinished(call_id="1", result=NOSY)
    yield TextDelta(NOSY)
    yield FollowupsSuggested(followups=(NOSY,))


async def scribe(prompt: str) -> AsyncIterator[Event]:
    """Write a long answer with everything in it."""
    yield ReasoningDelta("The figures have to be looked up.")
    yield ToolCallStarted(call_id="1", name="get_figures", arguments='{"quarter": "Q3"}')
    yield ToolCallFinished(call_id="1", result='{"services": 1204.5, "devices": 873.2}')
    yield TextDelta(REPORT)
    yield UsageReported(usage=Usage(input_tokens=1840, output_tokens=512, total_tokens=2352))
    yield FollowupsSuggested(followups=FOLLOWUPS)


Guide = agentnb.agent(guide)
Weigh = agentnb.agent(weigh)
Curious = agentnb.agent(curious)
Scribe = agentnb.agent(scribe)
