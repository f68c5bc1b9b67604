from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from agentnb.config import PlatformSettings
from agentnb.errors import (
    ConfigError,
    ContentTypeError,
    InvalidRequestError,
    RateLimitError,
    RequestError,
    ServerError,
    StreamCutError,
    UnsupportedError,
)
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RunFinished, RunStarted, TextDelta, Usage, UsageReported
from agentnb.platforms.base import Media, RunRequest
from agentnb.platforms.runagent import DEFAULT_BASE_URL, RunAgentPlatform
from tests.platforms.recorded import FIXTURES
from tests.platforms.scripted import ONCE, Reply, ScriptedServer, recorded, stream

pytestmark = pytest.mark.anyio

STREAM = "POST /v1/agents/agent-123/stream"
INVOKE = "POST /v1/agents/agent-123/invoke"
START = 'event: start\ndata: {"message": "Stream started", "session_id": "abc123"}\n\n'
DONE = 'event: done\ndata: {"message": "Stream complete"}\n\n'


def chunk(content: str, index: int) -> str:
    return f'event: chunk\ndata: {{"content": "{content}", "index": {index}}}\n\n'


@pytest.fixture
async def platform(server: ScriptedServer) -> AsyncGenerator[RunAgentPlatform, None]:
    server.routes[STREAM] = recorded(FIXTURES / "runagent" / "stream.sse")
    settings = PlatformSettings(
        retries=ONCE, platform="runagent", base_url=server.url, api_key=SecretStr("key-123456789")
    )
    made = RunAgentPlatform(settings)
    yield made
    await made.aclose()


def ask(**changes: Any) -> RunRequest:
    fields: dict[str, Any] = {
        "agent": "agent-123",
        "prompt": "Explain quantum computing",
        **changes,
    }
    return RunRequest(**fields)


async def events_of(batches: AsyncGenerator[list[Event], None]) -> list[Event]:
    return [event async for batch in batches for event in batch]


async def test_stream_on_the_wire(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    found = fold(await events_of(platform.stream(ask())))
    assert found.text == "Hello, The weather in San Francisco is **mild** 🌤."
    assert (found.status, found.session_id) == ("completed", "abc123")
    seen = server.only(STREAM)
    assert seen.json == {"query": "Explain quantum computing"}
    assert seen.headers["authorization"] == "Bearer key-123456789"
    assert seen.headers["accept"] == "text/event-stream"
    assert seen.headers["content-type"] == "application/json"


async def test_the_whole_request(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    parameters = {"tone": "calm", "nested": {"a": [1, None]}, "nothing": None}
    params = {"stream_delay_ms": "100", "chunk_size": 10, "parameters": parameters}
    await events_of(platform.stream(ask(session_id="abc123", params=params)))
    assert server.only(STREAM).json == {
        "query": "Explain quantum computing",
        "parameters": {**parameters, "stream_delay_ms": 100, "chunk_size": 10},
        "session_id": "abc123",
    }


async def test_resume_on_the_wire(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    params = {"parameters": {"resume_from_index": 150}}
    await events_of(
        platform.stream(ask(prompt="Continue the story", session_id="abc123", params=params))
    )
    assert server.only(STREAM).json == {
        "query": "Continue the story",
        "parameters": {"resume_from_index": 150},
        "session_id": "abc123",
    }


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"stream_delay_ms": -1}, "stream_delay_ms must be an integer of 0 or more, not -1"),
        ({"chunk_size": 0}, "chunk_size must be an integer of 1 or more, not 0"),
        ({"chunk_size": 2.5}, "chunk_size must be an integer"),
        ({"resume_from_index": True}, "resume_from_index must be an integer of 0 or more"),
        ({"parameters": {"chunk_size": -1}}, "parameters.chunk_size must be an integer of 1"),
        ({"parameters": "x"}, "parameters"),
        ({"chunk_sise": 1}, "no parameter 'chunk_sise'. Did you mean 'chunk_size'?"),
        ({"chunk_size": 1, "parameters": {"chunk_size": 2}}, "chunk_size is given twice"),
        ({"parameters": {"x": object()}}, "no JSON form"),
    ],
)
async def test_wrong_parameters_are_refused_before_anything_is_sent(
    params: dict[str, Any], words: str, server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    with pytest.raises(RequestError) as caught:
        await events_of(platform.stream(ask(params=params)))
    assert words in str(caught.value)
    with pytest.raises(RequestError):
        await platform.invoke(ask(params=params))
    assert server.requests == []


async def test_what_it_cannot_take(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    for request in (ask(media=[Media(data=b"x")]), ask(output_schema={})):
        with pytest.raises(UnsupportedError):
            await events_of(platform.stream(request))
    assert server.requests == []


async def test_invoke(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    server.routes[INVOKE] = Reply(
        {"result": "42", "usage": {"total_tokens": 7}, "metadata": {"execution_time": 2.5}}
    )
    events = await platform.invoke(ask(session_id="abc123", params={"chunk_size": 1}))
    assert events == [
        RunStarted(session_id="abc123"),
        TextDelta("42"),
        UsageReported(usage=Usage(total_tokens=7)),
        RunFinished(duration=2.5),
    ]
    seen = server.only(INVOKE)
    assert seen.json == {
        "query": "Explain quantum computing",
        "parameters": {"chunk_size": 1},
        "session_id": "abc123",
    }
    assert seen.headers["accept"] == "application/json"


async def test_json_where_a_stream_was_asked_for(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.routes[STREAM] = Reply({"result": "42", "usage": None, "metadata": None})
    assert fold(await events_of(platform.stream(ask()))).text == "42"
    server.routes[STREAM] = Reply("text", headers={"content-type": "text/html"})
    with pytest.raises(ContentTypeError):
        await events_of(platform.stream(ask()))


@pytest.mark.parametrize(
    ("status", "kind"), [(422, InvalidRequestError), (429, RateLimitError), (503, ServerError)]
)
async def test_errors(
    status: int, kind: type[Exception], server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    error = {
        "code": "CAPACITY_ERROR",
        "message": "Model overloaded",
        "details": {"queue": 3},
        "status": status,
        "retry_after": 30,
    }
    server.routes[STREAM] = server.routes[INVOKE] = Reply({"error": error}, status=status)
    for call in (events_of(platform.stream(ask())), platform.invoke(ask())):
        with pytest.raises(kind) as caught:
            await call
        assert getattr(caught.value, "code", None) == "CAPACITY_ERROR"
        assert getattr(caught.value, "retry_after", None) == 30.0
        assert "Model overloaded" in str(caught.value)


async def test_attach_goes_on_where_the_stream_was_cut(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.routes[STREAM] = [
        stream(START, chunk("a", 0), chunk("b", 1), cut=True),
        stream(chunk("b", 1), chunk("c", 2), DONE),
    ]
    before: list[Event] = []

    async def consume() -> None:
        async for batch in platform.stream(ask()):
            before.extend(batch)

    with pytest.raises(StreamCutError):
        await consume()
    after = await events_of(platform.attach("abc123"))
    assert fold([*before, *after]).status == "completed"
    assert server.requests[1].json == {
        "query": "Explain quantum computing",
        "parameters": {"resume_from_index": 2},
        "session_id": "abc123",
    }


async def test_attach_to_what_is_not_being_read_is_refused(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    with pytest.raises(RequestError, match="no unfinished stream of session 'abc123'"):
        await events_of(platform.attach("abc123", agent="agent-123"))
    assert server.requests == []
    await events_of(platform.stream(ask()))
    with pytest.raises(RequestError):
        await events_of(platform.attach("abc123", agent="agent-123"))
    assert len(server.requests) == 1


async def test_a_stream_from_a_chunk_on(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    request = ask(agent="agent-123", prompt="Why?", session_id="abc123")
    await events_of(platform.stream(replace(request, params={"resume_from_index": 7})))
    assert server.requests[0].json == {
        "query": "Why?",
        "parameters": {"resume_from_index": 7},
        "session_id": "abc123",
    }
    with pytest.raises(RequestError, match="resume_from_index must be an integer of 0 or more"):
        await events_of(platform.stream(replace(request, params={"resume_from_index": -1})))


async def test_ids_are_percent_encoded(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    server.routes["POST /v1/agents/a%2Fb%20%C3%A9/stream"] = server.routes[STREAM]
    await events_of(platform.stream(ask(agent="a/b é")))
    assert server.calls == ["POST /v1/agents/a%2Fb%20%C3%A9/stream"]


async def test_clean_end_without_a_word_invents_nothing(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.routes[STREAM] = recorded(FIXTURES / "runagent" / "no_end.sse")
    found = fold(await events_of(platform.stream(ask())))
    assert (found.text, found.is_final) == ("Hello, later", False)


async def test_closing_the_generator_closes_the_connection(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.routes[STREAM] = stream(START, hang=True)
    batches = platform.stream(ask())
    await anext(batches)
    await batches.aclose()
    async with asyncio.timeout(5):
        await server.left.wait()


async def test_what_it_does_not_have(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    can = platform.capabilities
    assert (can.sessions, can.invoke, can.attach) == (True, True, True)
    assert (can.cancel, can.list_agents, can.list_runs, can.run_status) == (False,) * 4
    with pytest.raises(UnsupportedError, match="closing its stream stops it"):
        await platform.cancel("x")
    with pytest.raises(UnsupportedError):
        await platform.agents()
    with pytest.raises(UnsupportedError):
        [r async for r in platform.runs()]
    with pytest.raises(UnsupportedError):
        await platform.status(["x"])
    # It might have been the other API.
    assert {request.path for request in server.requests} == {"/api/v1"}


async def test_default_address_and_settings() -> None:
    assert DEFAULT_BASE_URL == "https://api.run-agent.ai"
    platform = RunAgentPlatform(PlatformSettings(platform="mine"))
    assert platform.name == "mine"
    await platform.aclose()
    await platform.aclose()
    with pytest.raises(ConfigError, match="no parameter 'region'"):
        RunAgentPlatform(PlatformSettings(platform="mine", options={"region": "eu"}))
