"""A server that answers the main way: a thread, a message, a streamed run."""

from __future__ import annotations

from typing import Any

from agentnb.event.types import Event
from agentnb.platforms.base import RunRequest
from agentnb.platforms.seekr import SeekrPlatform
from tests.platforms.recorded import FIXTURES
from tests.platforms.scripted import Reply, ScriptedServer, recorded, stream
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.records import MESSAGE, RUN, THREAD

QUESTION = "What is the current NVDA stock price?"


STREAM = "POST /v1/threads/thread_1/runs/stream"


TEXT = {"type": "text_delta", "text": "875.40"}


END = {"type": "end_node", "final_output": "875.40"}


def answering(server: ScriptedServer, connect: Connect) -> SeekrPlatform:
    """Let the server answer, and return a client of it."""
    server.routes |= {
        "POST /v1/threads": Reply(THREAD),
        "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_1"}),
        "POST /v1/threads/thread_1/messages": Reply(MESSAGE),
        STREAM: stream(TEXT, END),
        f"{STREAM}/vercel": recorded(FIXTURES / "seekr" / "vercel.sse"),
        "GET /v1/threads/thread_1/runs": Reply([RUN]),
        "GET /v1/threads/thread_1/runs/run_1": Reply(RUN),
    }
    return connect()


def ask(**changes: Any) -> RunRequest:
    fields: dict[str, Any] = {"agent": "finance_agent", "prompt": QUESTION, **changes}
    return RunRequest(**fields)


async def events_of(platform: SeekrPlatform, request: RunRequest) -> list[Event]:
    return [event async for batch in platform.stream(request) for event in batch]
