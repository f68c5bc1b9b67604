"""A server that answers the main way: one streamed run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from agentnb.event.types import Event
from agentnb.platforms.base import RunRequest

STREAM = "POST /api/agents/finance_agent/runs/stream"
ASK = RunRequest(agent="finance_agent", prompt="What is the current NVDA stock price?")


def frame(kind: str, data: object) -> bytes:
    text = json.dumps({"event": kind, "data": data, "timestamp": 1746518400000})
    return f"data:{text}\n\n".encode()


async def collected(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]
