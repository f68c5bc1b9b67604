"""What the platform of these tests does with a request."""

from __future__ import annotations

import asyncio

from agentnb import _loop
from agentnb.event.types import ApprovalRequested, RunFinished, TextDelta
from agentnb.platforms.base import Platform, RunRequest
from agentnb.run.run import Run
from tests.played import STARTED, Batches


async def answer(request: RunRequest) -> Batches:
    yield [STARTED]
    yield [TextDelta("Hello"), RunFinished()]


def unsent(platform: Platform) -> Run:
    """A run that nobody has started yet."""
    request = RunRequest(agent="player", prompt="hi", session_id="session_0")
    return Run(lambda: platform.stream(request), platform=platform, request=request, title="player")


def settle() -> None:
    """Let the background loop do what it has before it."""
    _loop.wait(asyncio.sleep(0.02))


async def pausing(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("May I"), ApprovalRequested(approval_id="a1", message="May I?")]
