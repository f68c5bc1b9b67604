"""Plans and sub-agents' text in a stream that breaks off anywhere, and is taken up again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.event.transcript import Transcript, fold
from agentnb.event.types import RunStarted
from agentnb.platforms.seekr import SeekrPlatform
from tests.platforms.scripted import Reply, ScriptedServer, stream, until_broken
from tests.platforms.seekr.records import ATTACH, MESSAGE, ONE, RUN, THREAD
from tests.platforms.seekr.streamed import STREAM, ask

pytestmark = pytest.mark.anyio

PLAN = json.dumps({"goal": "the price", "steps": ["look it up", "tell it"]})
ANSWER = '{"price": 42, "currency": "USD"}'
SUB = {"messageMetadata": {"metadata": {"agent_id": "a2", "parent_agent_id": "a1"}}}
IDS = {"messageMetadata": {"run_id": "run_1", "thread_id": "thread_1"}}


def part(number: str, *pieces: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "text-start", "id": number, **more},
        *({"type": "text-delta", "id": number, "delta": piece} for piece in pieces),
        {"type": "text-end", "id": number},
    ]


FRAMES: list[dict[str, Any]] = [
    {"type": "start", **IDS},
    *part("0", *(PLAN[at : at + 9] for at in range(0, len(PLAN), 9))),
    {"type": "text-start", "id": "1", **SUB},
    {"type": "text-delta", "id": "1", "delta": "I looked "},
    {"type": "text-start", "id": "2"},
    {"type": "text-delta", "id": "2", "delta": ANSWER[:10]},
    {"type": "text-delta", "id": "1", "delta": "it up."},
    {"type": "text-delta", "id": "2", "delta": ANSWER[10:20]},
    {"type": "text-delta", "id": "2", "delta": ANSWER[20:]},
    {"type": "text-end", "id": "2"},
    {"type": "finish"},
]
CUTS = range(1, len(FRAMES))
PARTS: list[Any] = [
    {"type": "text", "text": PLAN},
    {"type": "text", "text": "I looked it up.", **SUB},
    {"type": "output_text", "text": ANSWER, "annotations": []},
]
REPLY: dict[str, Any] = {"id": "m2", "role": "assistant", "run_id": "run_1", "content": PARTS}


@pytest.fixture(autouse=True)
def answering(server: ScriptedServer) -> None:
    server.routes |= {
        "POST /v1/threads": Reply(THREAD),
        "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_1"}),
        "POST /v1/threads/thread_1/messages": Reply(MESSAGE),
        "GET /v1/threads/thread_1/messages": Reply([REPLY, MESSAGE]),
        ONE: Reply(RUN),
    }


async def followed(server: ScriptedServer, platform: SeekrPlatform, cut: int) -> Transcript:
    """Stream up to a frame, and take the run up again."""
    server.routes[f"{STREAM}/vercel"] = stream(*FRAMES[:cut], cut=True)
    request = ask(params={"dialect": "vercel"})
    before = await until_broken(platform.stream(request))
    again = platform.resume(request, run_id="run_1", session_id="thread_1", delivered=tuple(before))
    after = [event async for batch in again for event in batch]
    return fold([RunStarted(run_id="run_1"), *before, *after])


@pytest.mark.parametrize("cut", CUTS)
async def test_the_whole_stream_again(
    server: ScriptedServer, platform: SeekrPlatform, cut: int
) -> None:
    server.routes[ATTACH] = stream(*FRAMES)
    found = await followed(server, platform, cut)
    assert (found.text, found.status) == (ANSWER, "completed")
    assert found.reasoning == f"{PLAN}\n\nI looked it up."


@pytest.mark.parametrize("cut", CUTS)
async def test_the_rest_from_the_messages(
    server: ScriptedServer, platform: SeekrPlatform, cut: int
) -> None:
    server.routes[ATTACH] = Reply({"detail": "over"}, status=404)
    found = await followed(server, platform, cut)
    assert (found.text, found.status) == (ANSWER, "completed")
    assert "".join(found.reasoning.split()) == "".join(f"{PLAN}I looked it up.".split())


@pytest.mark.parametrize("cut", CUTS)
async def test_messages_that_have_the_reasoning_in_another_order(
    server: ScriptedServer, platform: SeekrPlatform, cut: int
) -> None:
    server.routes[ATTACH] = Reply({"detail": "over"}, status=404)
    parts = [PARTS[1], PARTS[0], PARTS[2]]
    server.routes["GET /v1/threads/thread_1/messages"] = Reply(
        [{**REPLY, "content": parts}, MESSAGE]
    )
    found = await followed(server, platform, cut)
    assert (found.text, found.status) == (ANSWER, "completed")


async def test_a_run_that_is_attached(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.routes[ATTACH] = stream(*FRAMES)
    batches = platform.attach("run_1", session_id="thread_1")
    found = fold([event async for batch in batches for event in batch])
    assert (found.text, found.status) == (ANSWER, "completed")
    assert found.reasoning == f"{PLAN}\n\nI looked it up."
