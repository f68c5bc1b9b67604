"""The client against a real HTTP server: which API is called, with what, and what errors become."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from agentnb.errors import (
    AuthenticationError,
    ConfigError,
    ContentTypeError,
    NotFoundError,
    PlatformError,
    RateLimitError,
    RequestError,
    ServerError,
    UnsupportedError,
)
from agentnb.event import Event, RunFailed, RunFinished, RunStarted, TextDelta
from agentnb.platforms.openai import OpenAIPlatform
from agentnb.platforms.openai.wire import Api
from agentnb.plugin import AgentInfo, Media, PlatformSettings, RunRequest
from tests.platforms.scripted import ONCE, Reply, ScriptedServer, stream, until_broken

pytestmark = pytest.mark.anyio

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


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncGenerator[OpenAIPlatform, None]:
    platform = platform_at(server.url)
    yield platform
    await platform.aclose()


@pytest.fixture(params=["responses", "chat"])
def api(request: pytest.FixtureRequest) -> Api:
    return request.param


@pytest.fixture
async def one(server: ScriptedServer, api: Api) -> AsyncGenerator[OpenAIPlatform, None]:
    """A client of one of the APIs."""
    platform = platform_at(server.url, api=api)
    yield platform
    await platform.aclose()


async def collected(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]


def ask(**fields: Any) -> RunRequest:
    return RunRequest(agent="m", prompt=fields.pop("prompt", "tea?"), session_id="s1", **fields)


# --- which API ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_without_responses_gets_chat_and_is_remembered(
    server: ScriptedServer, client: OpenAIPlatform, status: int
) -> None:
    server.on(RESPONSES, Reply({"detail": "no"}, status=status))
    server.on(CHAT, STREAMS["chat"])
    for _ in range(2):
        assert (await collected(client.stream(ASK)))[-1] == RunFinished()
    assert server.calls == [RESPONSES, CHAT, CHAT]


async def test_a_server_with_responses_is_remembered(
    server: ScriptedServer, client: OpenAIPlatform
) -> None:
    server.on(RESPONSES, STREAMS["responses"], ABSENT)
    assert (await collected(client.stream(ASK)))[-1] == RunFinished()
    with pytest.raises(NotFoundError):
        await collected(client.stream(ASK))
    assert server.calls == [RESPONSES, RESPONSES]


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500, 503])
async def test_other_errors_are_those_of_the_request(
    server: ScriptedServer, client: OpenAIPlatform, status: int
) -> None:
    server.on(RESPONSES, Reply({"error": {"message": "no"}}, status=status))
    with pytest.raises(PlatformError):
        await collected(client.stream(ASK))
    assert server.calls == [RESPONSES]


async def test_an_unknown_model_is_no_missing_path(
    server: ScriptedServer, client: OpenAIPlatform
) -> None:
    error = {"message": "The model does not exist.", "code": "model_not_found"}
    server.on(RESPONSES, Reply({"error": error}, status=404))
    with pytest.raises(NotFoundError, match="does not exist"):
        await collected(client.stream(ASK))
    assert server.calls == [RESPONSES]


async def test_a_server_that_has_neither_is_tried_anew(
    server: ScriptedServer, client: OpenAIPlatform
) -> None:
    server.on(RESPONSES, ABSENT, STREAMS["responses"])
    server.on(CHAT, Reply({"error": {"message": "model 'm' not found"}}, status=404))
    with pytest.raises(NotFoundError, match="model 'm' not found"):
        await collected(client.stream(ASK))
    assert (await collected(client.stream(ASK)))[-1] == RunFinished()


async def test_the_api_is_an_option(server: ScriptedServer, one: OpenAIPlatform, api: Api) -> None:
    with pytest.raises(NotFoundError):
        await collected(one.stream(ASK))
    assert server.calls == [CALLS[api]]


def test_another_api_is_refused() -> None:
    with pytest.raises(ConfigError, match="api"):
        platform_at("http://127.0.0.1", api="grpc")


# --- what is sent -------------------------------------------------------------------------------


async def test_the_whole_conversation_is_sent(
    server: ScriptedServer, one: OpenAIPlatform, api: Api
) -> None:
    server.on(CALLS[api], STREAMS[api])
    history = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"})
    got = await collected(one.stream(ask(history=history)))
    assert isinstance(got[0], RunStarted)
    assert next(event for event in got if isinstance(event, TextDelta)).text == "Hi"
    messages = [*history, {"role": "user", "content": "tea?"}]
    seen = server.only(CALLS[api])
    more = {"stream_options": {"include_usage": True}}
    assert seen.json == (
        {"model": "m", "input": messages, "stream": True}
        if api == "responses"
        else {"model": "m", "messages": messages, "stream": True, **more}
    )
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert KEY.encode() not in seen.raw


async def test_without_a_key_no_header_is_sent(server: ScriptedServer) -> None:
    server.on(RESPONSES, STREAMS["responses"])
    platform = platform_at(server.url, key=None)
    await collected(platform.stream(ASK))
    assert "authorization" not in server.only(RESPONSES).headers
    await platform.aclose()


async def test_usage_in_streams_is_an_option(server: ScriptedServer) -> None:
    server.on(CHAT, STREAMS["chat"])
    platform = platform_at(server.url, api="chat", stream_usage=False)
    await collected(platform.stream(ASK))
    assert "stream_options" not in server.only(CHAT).json
    await platform.aclose()


async def test_parameters_have_the_names_of_the_api(
    server: ScriptedServer, one: OpenAIPlatform, api: Api
) -> None:
    server.on(CALLS[api], STREAMS[api])
    params = {
        "instructions": "Be brief.",
        "max_tokens": 5,
        "temperature": 0.5,
        "reasoning_effort": "low",
        "tools": [{"type": "web_search"}],
        "strict": True,
        "extra_body": {"top_k": 3, "store": None},
    }
    await collected(one.stream(ask(params=params, output_schema=SCHEMA)))
    sent = server.only(CALLS[api]).json
    assert sent["input" if api == "responses" else "messages"][0] == {
        "role": "system",
        "content": "Be brief.",
    }
    named = {"name": "answer", "schema": SCHEMA, "strict": True}
    own = (
        {
            "max_output_tokens": 5,
            "reasoning": {"effort": "low"},
            "text": {"format": {"type": "json_schema", **named}},
        }
        if api == "responses"
        else {
            "max_tokens": 5,
            "reasoning_effort": "low",
            "response_format": {"type": "json_schema", "json_schema": named},
        }
    )
    common = {"temperature": 0.5, "tools": [{"type": "web_search"}], "top_k": 3, "store": None}
    for name, value in {**own, **common}.items():
        assert sent[name] == value
    assert not {"instructions", "strict", "extra_body"} & set(sent)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"max_token": 5}, "no parameter 'max_token'"),
        ({"max_tokens": 0}, "max_tokens must be"),
        ({"temperature": True}, "temperature must be"),
        ({"extra_body": {"model": "x", "stream": False}}, "cannot have model, stream"),
    ],
    ids=str,
)
async def test_wrong_parameters_are_refused_before_anything_is_sent(
    server: ScriptedServer, client: OpenAIPlatform, params: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RequestError, match=reason):
        await collected(client.stream(ask(params=params)))
    assert server.calls == []


async def test_attachments(
    server: ScriptedServer, one: OpenAIPlatform, api: Api, tmp_path: Path
) -> None:
    server.on(CALLS[api], STREAMS[api])
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF")
    media = [
        Media(data=b"\x89PNG", mime_type="image/png"),
        Media(url="https://example.com/a.png"),
        Media(path=path),
    ]
    await collected(one.stream(ask(media=media, prompt="")))
    sent = server.only(CALLS[api]).json
    png, pdf = "data:image/png;base64,iVBORw==", "data:application/pdf;base64,JVBERg=="
    assert sent["input" if api == "responses" else "messages"][-1]["content"] == (
        [
            {"type": "input_image", "image_url": png},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            {"type": "input_file", "filename": "a.pdf", "file_data": pdf},
        ]
        if api == "responses"
        else [
            {"type": "image_url", "image_url": {"url": png}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
        ]
    )


async def test_the_address_of_a_file(server: ScriptedServer, one: OpenAIPlatform, api: Api) -> None:
    server.on(CALLS[api], STREAMS[api])
    request = ask(media=[Media(url="https://example.com/a.pdf")])
    if api == "chat":
        with pytest.raises(RequestError, match="no addresses of files"):
            await collected(one.stream(request))
        return
    await collected(one.stream(request))
    assert server.only(RESPONSES).json["input"][-1]["content"] == [
        {"type": "input_text", "text": "tea?"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
    ]


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
