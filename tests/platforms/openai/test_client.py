"""The client against a real HTTP server: which API is called, and with what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentnb.errors import (
    ConfigError,
    NotFoundError,
    PlatformError,
    RequestError,
)
from agentnb.event import RunFinished, RunStarted, TextDelta
from agentnb.platforms.openai import OpenAIPlatform
from agentnb.platforms.openai.wire import Api
from agentnb.plugin import Media
from tests.platforms.openai.bodies import (
    ABSENT,
    ASK,
    CALLS,
    CHAT,
    KEY,
    RESPONSES,
    SCHEMA,
    STREAMS,
    ask,
    collected,
    platform_at,
)
from tests.platforms.scripted import Reply, ScriptedServer

pytestmark = pytest.mark.anyio


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
