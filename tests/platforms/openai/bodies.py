"""Bodies of both APIs, and clients of a server that sends them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pydantic import SecretStr

from agentnb.event import Event
from agentnb.platforms.openai import OpenAIPlatform
from agentnb.platforms.openai.wire import Api
from agentnb.plugin import PlatformSettings, RunRequest
from tests.platforms.scripted import ONCE, Reply, stream

RESPONSES = "POST /v1/responses"
CHAT = "POST /v1/chat/completions"
CALLS: dict[Api, str] = {"responses": RESPONSES, "chat": CHAT}
ASK = RunRequest(agent="m", prompt="tea?", session_id="s1")
KEY = "sk-canary-1234567890"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}

WHOLE_RESPONSE = {
    "object": "response",
    "id": "r1",
    "model": "m",
    "status": "completed",
    "output": [{"type": "message", "id": "m1", "content": [{"type": "output_text", "text": "Hi"}]}],
}
WHOLE_COMPLETION = {
    "id": "c1",
    "model": "m",
    "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
}
STREAMS = {
    "responses": stream(
        {"type": "response.created", "response": {"id": "r1", "model": "m"}},
        {"type": "response.output_text.delta", "item_id": "m1", "delta": "Hi"},
        {"type": "response.completed", "response": {}},
    ),
    "chat": stream(
        {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"}}]},
        {"id": "c1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop"}]},
        b"data: [DONE]\n\n",
    ),
}
HALVES = {
    "responses": {"type": "response.output_text.delta", "item_id": "m1", "delta": "Hi"},
    "chat": {"id": "c1", "choices": [{"index": 0, "delta": {"content": "Hi"}}]},
}
ABSENT = Reply({"detail": "Not Found"}, status=404)


def platform_at(url: str, *, key: str | None = KEY, **options: Any) -> OpenAIPlatform:
    secret = None if key is None else SecretStr(key)
    return OpenAIPlatform(
        PlatformSettings(
            platform="openai",
            base_url=f"{url}/v1",
            api_key=secret,
            retries=ONCE,
            options=options,
        )
    )


async def collected(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]


def ask(**fields: Any) -> RunRequest:
    return RunRequest(agent="m", prompt=fields.pop("prompt", "tea?"), session_id="s1", **fields)
