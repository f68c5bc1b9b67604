"""The client against a scripted server: what it sends, and answers of other servers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from agentnb.errors import (
    AuthenticationError,
    ConfigError,
    NotFoundError,
    PlatformError,
    RateLimitError,
    RequestError,
    ServerError,
    UnsupportedError,
)
from agentnb.event import Event, RunFailed, RunFinished, RunStarted, TextDelta
from agentnb.platforms.langgraph import LangGraphPlatform
from agentnb.plugin import Media, PlatformSettings, RunRequest
from tests.platforms.scripted import ONCE, Reply, ScriptedServer, stream, until_broken

pytestmark = pytest.mark.anyio

KEY = "lsv2-canary-1234567890"
ASK = RunRequest(agent="helper", prompt="tea?", session_id="t1")
START = "POST /threads/t1/runs/stream"
RUN = "GET /threads/t1/runs/r1"
JOIN = "GET /threads/t1/runs/r1/stream"
STATE = "POST /threads/t1/history"
WHERE = {"content-location": "/threads/t1/runs/r1"}
EVENTS = [RunStarted(run_id="r1", session_id="t1"), TextDelta("Hi", "m1"), RunFinished()]
TOO_LONG = "The run took longer than the server allows."
SUCCESS = Reply({"run_id": "r1", "status": "success"})


def frame(name: str, data: Any, number: int) -> str:
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\nid: {number}-0\r\n\r\n"


TEXT = frame("messages", [{"type": "AIMessageChunk", "id": "m1", "content": "Hi"}, {}], 2)


@asynccontextmanager
async def platform_at(url: str, **options: Any) -> AsyncGenerator[LangGraphPlatform, None]:
    key = SecretStr(KEY)
    platform = LangGraphPlatform(
        PlatformSettings(
            platform="langgraph", base_url=url, api_key=key, retries=ONCE, options=options
        )
    )
    yield platform
    await platform.aclose()


async def collected(batches: AsyncGenerator[list[Event], None]) -> list[Event]:
    return [event async for batch in batches for event in batch]


async def test_what_is_sent(server: ScriptedServer) -> None:
    server.on(START, stream(TEXT, headers=WHERE))
    server.on(RUN, SUCCESS)
    params = {
        "input": {"lang": "en"},
        "context": {"tone": "dry"},
        "config": {"recursion_limit": 9},
        "stream_mode": ["custom"],
        "stream_subgraphs": True,
        "interrupt_before": "*",
        "multitask_strategy": "reject",
    }
    media = [Media(data=b"PNG", mime_type="image/png"), Media(data=b"a", mime_type="audio/wav")]
    request = RunRequest(agent="helper", prompt="tea?", session_id="t1", params=params, media=media)
    async with platform_at(server.url) as client:
        assert await collected(client.stream(request)) == EVENTS
    seen = server.only(START)
    assert seen.headers["x-api-key"] == KEY
    content = [
        {"type": "text", "text": "tea?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}},
        {"type": "audio", "mime_type": "audio/wav", "base64": "YQ=="},
    ]
    assert seen.json == {
        **params,
        "assistant_id": "helper",
        "input": {"lang": "en", "messages": [{"role": "user", "content": content}]},
        "stream_mode": ["messages-tuple", "updates", "custom"],
        "stream_resumable": True,
        "on_disconnect": "continue",
        "if_not_exists": "reject",
    }


async def test_a_new_thread_begins_with_the_history(server: ScriptedServer) -> None:
    history = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    request = RunRequest(agent="helper", prompt="c", history=history)  # type: ignore[arg-type]
    async with platform_at(server.url) as client:
        with pytest.raises(NotFoundError):
            await collected(client.stream(request))
    (seen,) = server.requests
    assert seen.json["if_not_exists"] == "create"
    assert [each["content"] for each in seen.json["input"]["messages"]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply({"detail": "no"}, status=403), AuthenticationError),
        (Reply({"detail": "no"}, status=429, headers={"retry-after": "7"}), RateLimitError),
        (Reply({"detail": "no"}, status=500), ServerError),
        (Reply({"detail": "Thread or assistant not found."}, status=404), NotFoundError),
    ],
)
async def test_errors(server: ScriptedServer, answer: Reply, error: type[PlatformError]) -> None:
    server.on(START, answer)
    async with platform_at(server.url) as client:
        with pytest.raises(error) as raised:
            await collected(client.stream(ASK))
        assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "state", "end"),
    [
        ("timeout", {}, RunFailed(message=TOO_LONG, code="timeout")),
        ("success", {"values": {"a": 1}}, RunFinished(output='{"a": 1}')),
        ("success", {"values": {"messages": [{"type": "human"}]}}, RunFinished()),
        ("success", None, RunFinished()),
    ],
)
async def test_ends(server: ScriptedServer, status: str, state: Any, end: Event) -> None:
    server.on(START, stream(frame("metadata", {"run_id": "r1"}, 1), headers=WHERE))
    server.on(RUN, Reply({"status": status}))
    server.on(STATE, Reply([] if state is None else [state]))
    async with platform_at(server.url) as client:
        assert await collected(client.stream(ASK)) == [EVENTS[0], end]


async def test_a_server_that_does_not_name_the_run_in_its_headers(server: ScriptedServer) -> None:
    server.on(START, stream(frame("metadata", {"run_id": "r1"}, 1), TEXT))
    server.on(RUN, SUCCESS)
    async with platform_at(server.url) as client:
        assert await collected(client.stream(ASK)) == EVENTS


async def test_a_cut_stream_is_joined_before_its_last_event(server: ScriptedServer) -> None:
    more = frame("messages", [{"type": "AIMessageChunk", "id": "m1", "content": " you"}, {}], 3)
    server.on(START, stream(frame("metadata", {"run_id": "r1"}, 1), TEXT, cut=True, headers=WHERE))
    server.on(JOIN, stream(TEXT, more))
    server.on(RUN, SUCCESS)
    async with platform_at(server.url) as client:
        got = await until_broken(client.stream(ASK))
        assert got == EVENTS[:2]
        rest = client.resume(ASK, run_id="r1", session_id="t1", delivered=got)
        assert await collected(rest) == [TextDelta(" you", "m1"), RunFinished()]
        with pytest.raises(RequestError, match="before the run had an id"):
            client.resume(ASK, run_id=None, session_id=None, delivered=())
    assert server.only(JOIN).headers["last-event-id"] == "1-0"


async def test_a_stream_that_ends_before_the_run_has_no_end(server: ScriptedServer) -> None:
    server.on(START, stream(TEXT, headers=WHERE))
    server.on(RUN, Reply({"status": "running"}))
    async with platform_at(server.url) as client:
        assert await collected(client.stream(ASK)) == EVENTS[:2]


async def test_a_start_that_the_server_no_longer_has(server: ScriptedServer) -> None:
    server.on(JOIN, stream(TEXT))
    async with platform_at(server.url) as client:
        lost = [EVENTS[0], TextDelta("Ho", "m0"), TextDelta("Hi", "m1")]
        with pytest.raises(RequestError, match="no longer has the start"):
            await collected(client.resume(ASK, run_id="r1", session_id="t1", delivered=lost))


async def test_a_decision_waits_for_a_busy_thread(server: ScriptedServer) -> None:
    value: Any = [{"action_request": {"action": "buy", "args": {}}, "description": "Buy?"}]
    waiting: Any = {"status": "interrupted", "interrupts": {"x": [{"id": "i1", "value": value}]}}
    server.on("GET /threads/t1", Reply({"status": "busy"}), Reply(waiting))
    server.on(RUN, Reply({"assistant_id": "a1", "kwargs": {"context": {"tone": "dry"}}}))
    server.on("POST /threads/t1/runs", Reply({"run_id": "r2"}))
    async with platform_at(server.url) as client:
        await client.decide("r1", "i1", approved=True, session_id="t1")
    sent = server.only("POST /threads/t1/runs").json
    assert sent["command"] == {"resume": {"i1": [{"type": "accept", "args": None}]}}
    assert (sent["assistant_id"], sent["context"]) == ("a1", {"tone": "dry"})


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"stream_modes": []}, "Did you mean 'stream_mode'"),
        ({"stream_mode": ["messages"]}, "stream_mode"),
        ({"input": 1}, "input"),
    ],
)
async def test_parameters_are_validated(
    server: ScriptedServer, params: dict[str, Any], reason: str
) -> None:
    async with platform_at(server.url) as client:
        with pytest.raises(RequestError) as raised:
            await collected(client.stream(RunRequest(agent="m", prompt="q", params=params)))
    assert reason in f"{raised.value} {raised.value.hint}"
    assert server.calls == []


async def test_what_cannot_be_sent(server: ScriptedServer) -> None:
    async with platform_at(server.url, prompt_field="question") as client:
        assert client.capabilities.media is None
        image = [Media(data=b"PNG", mime_type="image/png")]
        with pytest.raises(UnsupportedError, match="no attachments"):
            await collected(client.stream(RunRequest(agent="m", prompt="q", media=image)))
        with pytest.raises(RequestError, match="thread of the run r1 is unknown"):
            await client.cancel("r1")
    with pytest.raises(ConfigError, match="prompt_fields"):
        LangGraphPlatform(
            PlatformSettings(
                platform="langgraph", base_url=server.url, options={"prompt_fields": "x"}
            )
        )


async def test_assistants_on_several_pages(server: ScriptedServer) -> None:
    graph = {"assistant_id": "x", "graph_id": "helper", "metadata": {"created_by": "system"}}
    own = {"assistant_id": "a1", "graph_id": "helper", "name": "Mine", "description": "Helps."}
    server.on("POST /assistants/search", Reply([graph] * 100), Reply([own]))
    async with platform_at(server.url) as client:
        found = await client.agents()
    assert len(found) == 101
    assert (found[0].id, found[-1].id, found[-1].name) == ("helper", "a1", "Mine")
    assert [seen.json["offset"] for seen in server.requests] == [0, 100]
