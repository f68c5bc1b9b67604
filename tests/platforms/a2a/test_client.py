"""The client against a scripted server: endpoints, versions, errors and resumed streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from agentnb.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PlatformError,
    RateLimitError,
    RequestError,
    ServerError,
    UnsupportedError,
)
from agentnb.event import Event, RunFailed, RunFinished, RunStarted, TextDelta
from agentnb.platforms.a2a import A2APlatform
from agentnb.plugin import PlatformSettings, RunRequest
from tests.platforms.scripted import ONCE, Reply, ScriptedServer, stream, until_broken

pytestmark = pytest.mark.anyio

KEY = "sk-canary-1234567890"
CARD = "GET /agents/.well-known/agent-card.json"
ASK = RunRequest(agent="m", prompt="tea?", session_id="c1")
IDS = {"taskId": "t1", "contextId": "c1"}
TEXT = {"artifactUpdate": {**IDS, "artifact": {"artifactId": "a1", "parts": [{"text": "Hi"}]}}}
DONE = {"statusUpdate": {**IDS, "status": {"state": "TASK_STATE_COMPLETED"}}}
EVENTS = [RunStarted(run_id="t1", session_id="c1"), TextDelta("Hi", "a1"), RunFinished()]


def reply(*results: Any, cut: bool = False) -> Reply:
    return stream(*({"jsonrpc": "2.0", "result": each} for each in results), cut=cut)


def refused(code: int) -> Reply:
    return Reply({"jsonrpc": "2.0", "error": {"code": code, "message": "No."}})


def card(url: str, **fields: Any) -> Reply:
    interface = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    return Reply(
        {
            "name": "m",
            "supportedInterfaces": [{**interface, **fields}],
            "capabilities": {"streaming": True},
        }
    )


@asynccontextmanager
async def platform_at(url: str, **options: Any) -> AsyncGenerator[A2APlatform, None]:
    platform = A2APlatform(
        PlatformSettings(
            platform="a2a",
            base_url=f"{url}/agents",
            api_key=SecretStr(KEY),
            retries=ONCE,
            options=options,
        )
    )
    yield platform
    await platform.aclose()


async def collected(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]


async def test_the_endpoint_of_the_card(server: ScriptedServer) -> None:
    server.on(CARD, card(f"{server.url}/rpc", tenant="x"))
    server.on("POST /rpc", reply(TEXT, DONE))
    async with platform_at(server.url) as client:
        assert await collected(client.stream(ASK)) == EVENTS
    seen = server.only("POST /rpc")
    assert seen.headers["a2a-version"] == "1.0"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert (seen.json["method"], seen.json["params"]["tenant"]) == ("SendStreamingMessage", "x")
    message = seen.json["params"]["message"]
    assert (message["role"], message["contextId"]) == ("ROLE_USER", "c1")
    assert message["parts"] == [{"text": "tea?"}]


async def test_an_endpoint_elsewhere_is_not_called(server: ScriptedServer) -> None:
    server.on(CARD, card("https://elsewhere.example/rpc"))
    server.on("POST /agents", reply(TEXT, DONE))
    async with platform_at(server.url) as client:
        assert await collected(client.stream(ASK)) == EVENTS


async def test_an_agent_without_json_rpc_is_refused(server: ScriptedServer) -> None:
    server.on(CARD, card(server.url, protocolBinding="GRPC"))
    async with platform_at(server.url) as client:
        with pytest.raises(UnsupportedError, match="JSON-RPC"):
            await collected(client.stream(ASK))


async def test_without_a_card_the_other_version_is_tried_once(server: ScriptedServer) -> None:
    server.on("POST /agents", refused(-32601), reply(TEXT, DONE))
    async with platform_at(server.url) as client:
        assert await client.agents() == []
        for _ in range(2):
            assert await collected(client.stream(ASK)) == EVENTS
    methods = [seen.json["method"] for seen in server.requests if seen.method == "POST"]
    assert methods == ["SendStreamingMessage", "message/stream", "message/stream"]
    assert server.requests[-1].json["params"]["message"]["parts"][0]["kind"] == "text"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply({"error": {"message": "no"}}, status=401), AuthenticationError),
        (Reply({"detail": "no"}, status=429, headers={"retry-after": "7"}), RateLimitError),
        (Reply({"detail": "no"}, status=500), ServerError),
        (refused(-32602), InvalidRequestError),
        (refused(-32001), NotFoundError),
        (refused(-32603), ServerError),
    ],
)
async def test_errors(server: ScriptedServer, answer: Reply, error: type[PlatformError]) -> None:
    server.on("POST /agents", answer)
    async with platform_at(server.url) as client:
        with pytest.raises(error) as raised:
            await collected(client.stream(ASK))
        if error is RateLimitError:
            assert raised.value.retry_after == 7
        assert KEY not in str(raised.value)


async def test_an_error_in_the_stream(server: ScriptedServer) -> None:
    error = {"jsonrpc": "2.0", "error": {"code": -32603, "message": "No."}}
    server.on("POST /agents", stream({"jsonrpc": "2.0", "result": TEXT}, error))
    async with platform_at(server.url) as client:
        assert (await collected(client.stream(ASK)))[-1] == RunFailed(message="No.", code="-32603")


async def test_a_cut_stream_has_no_end_and_is_resumed(server: ScriptedServer) -> None:
    artifact = {"artifactId": "a1", "parts": [{"text": "Hi"}, {"text": " you"}]}
    whole = {
        "id": "t1",
        "contextId": "c1",
        "artifacts": [artifact],
        "status": {"state": "TASK_STATE_COMPLETED"},
    }
    server.on("POST /agents", reply(TEXT, cut=True), refused(-32004), Reply({"result": whole}))
    async with platform_at(server.url) as client:
        got = await until_broken(client.stream(ASK))
        assert got == EVENTS[:2]
        rest = client.resume(ASK, run_id="t1", session_id="c1", delivered=got)
        assert await collected(rest) == [TextDelta(" you", "a1"), RunFinished()]
        with pytest.raises(RequestError, match="before the task had an id"):
            client.resume(ASK, run_id=None, session_id=None, delivered=())


async def test_unknown_parameters_are_refused(server: ScriptedServer) -> None:
    async with platform_at(server.url) as client:
        with pytest.raises(RequestError, match="no parameter 'task'"):
            await collected(client.stream(RunRequest(agent="m", prompt="q", params={"task": 1})))
    assert server.calls == []
