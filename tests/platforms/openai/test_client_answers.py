"""The client against a real HTTP server: what answers, errors and lists become."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from agentnb.errors import (
    AuthenticationError,
    ContentTypeError,
    PlatformError,
    RateLimitError,
    ServerError,
    UnsupportedError,
)
from agentnb.event import RunFailed, RunFinished, RunStarted, TextDelta
from agentnb.platforms.openai import OpenAIPlatform
from agentnb.platforms.openai.wire import Api
from agentnb.plugin import AgentInfo
from tests.platforms.openai.bodies import (
    ABSENT,
    ASK,
    CALLS,
    HALVES,
    KEY,
    RESPONSES,
    WHOLE_COMPLETION,
    WHOLE_RESPONSE,
    collected,
)
from tests.platforms.scripted import Reply, ScriptedServer, stream, until_broken

pytestmark = pytest.mark.anyio


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False], ids=["requested", "not requested"])
async def test_json_is_the_whole_run(
    server: ScriptedServer, one: OpenAIPlatform, api: Api, streamed: bool
) -> None:
    server.on(CALLS[api], Reply(WHOLE_RESPONSE if api == "responses" else WHOLE_COMPLETION))
    got = await collected(one.stream(ASK)) if streamed else await one.invoke(ASK)
    assert [type(event) for event in got] == [RunStarted, TextDelta, RunFinished]
    assert server.only(CALLS[api]).json["stream"] is streamed


async def test_an_error_may_come_with_a_success(
    server: ScriptedServer, client: OpenAIPlatform
) -> None:
    server.on(RESPONSES, Reply({"error": "Unexpected endpoint"}))
    assert await client.invoke(ASK) == [RunFailed(message="Unexpected endpoint")]
    assert server.calls == [RESPONSES]


async def test_a_page_is_no_answer(server: ScriptedServer, one: OpenAIPlatform, api: Api) -> None:
    server.on(CALLS[api], Reply(b"<html>", headers={"content-type": "text/html"}))
    with pytest.raises(ContentTypeError):
        await collected(one.stream(ASK))


async def test_a_cut_stream_does_not_end_the_run(
    server: ScriptedServer, one: OpenAIPlatform, api: Api
) -> None:
    server.on(CALLS[api], stream(HALVES[api], cut=True))
    got = await until_broken(one.stream(ASK))
    assert isinstance(got[-1], TextDelta)


async def test_closing_a_stream_closes_the_connection(
    server: ScriptedServer, one: OpenAIPlatform, api: Api
) -> None:
    server.on(CALLS[api], stream(HALVES[api], hang=True))
    async with aclosing(one.stream(ASK)) as batches:
        assert isinstance((await anext(batches))[-1], TextDelta)
    await server.left.wait()


async def test_an_error_in_the_stream(
    server: ScriptedServer, one: OpenAIPlatform, api: Api
) -> None:
    error = {"error": {"message": "It broke.", "code": "server_error"}}
    server.on(CALLS[api], stream(HALVES[api], error, b"data: [DONE]\n\n"))
    got = await collected(one.stream(ASK))
    assert got[-1] == RunFailed(message="It broke.", code="server_error")
    assert not [event for event in got if isinstance(event, RunFinished)]


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        pytest.param(
            Reply({"error": {"message": "No key.", "code": "invalid_api_key"}}, status=401),
            *(AuthenticationError, "No key"),
            id="401",
        ),
        pytest.param(
            Reply({"error": {"message": "Slow down."}}, status=429, headers={"retry-after": "7"}),
            *(RateLimitError, "Slow down"),
            id="429",
        ),
        pytest.param(
            Reply(b"Internal Server Error", status=500, headers={"content-type": "text/plain"}),
            *(ServerError, "500"),
            id="500",
        ),
        pytest.param(
            Reply(
                b'data: {"error": "It broke."}\n\n',
                status=500,
                headers={"content-type": "text/event-stream"},
            ),
            *(ServerError, "It broke"),
            id="500 as a stream",
        ),
    ],
)
async def test_errors_before_the_stream(
    server: ScriptedServer,
    one: OpenAIPlatform,
    api: Api,
    reply: Reply,
    kind: type[PlatformError],
    message: str,
) -> None:
    server.on(CALLS[api], reply)
    with pytest.raises(kind, match=message) as caught:
        await collected(one.stream(ASK))
    assert caught.value.retry_after == (7 if kind is RateLimitError else None)
    assert KEY not in str(caught.value)


# --- lists --------------------------------------------------------------------------------------


async def test_models_are_agents(server: ScriptedServer, client: OpenAIPlatform) -> None:
    rows = [{"id": "a", "object": "model"}, {"id": "b", "description": "Brews."}, {"id": 3}, "c"]
    server.on("GET /v1/models", Reply({"object": "list", "data": rows}))
    assert await client.agents() == [
        AgentInfo(id="a", raw={"id": "a", "object": "model"}),
        AgentInfo(id="b", description="Brews.", raw={"id": "b", "description": "Brews."}),
    ]


async def test_a_server_may_list_nothing(server: ScriptedServer, client: OpenAIPlatform) -> None:
    server.on("GET /v1/models", ABSENT)
    server.on("GET /v1/agent/info", Reply({"name": "helper", "agent_api": "responses"}))
    (agent,) = await client.agents()
    assert (agent.id, agent.name) == ("helper", "helper")
    server.on("GET /v1/models", Reply({"error": "no"}, status=401))
    with pytest.raises(AuthenticationError):
        await client.agents()


async def test_what_the_protocol_lacks_is_refused(client: OpenAIPlatform) -> None:
    found = client.capabilities
    assert (found.remembers, found.history, found.output_schema) == (False, True, True)
    assert (found.attach, found.cancel, found.list_runs, found.approvals) == (False,) * 4
    for call in (client.cancel("r1"), client.status(["r1"])):
        with pytest.raises(UnsupportedError):
            await call
    with pytest.raises(UnsupportedError):
        client.attach("r1")
