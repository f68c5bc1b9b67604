"""The client against a real HTTP server: what is sent, and what errors become."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import agentnb
from agentnb.errors import (
    AuthenticationError,
    ConfigError,
    ContentTypeError,
    PlatformError,
    RateLimitError,
    RequestError,
    ServerError,
    UnsupportedError,
)
from agentnb.event import Event, RunFailed, RunFinished, RunStarted, TextDelta
from agentnb.platforms.agui import AGUIPlatform
from agentnb.plugin import Media, PlatformSettings, RunRequest
from tests.platforms.scripted import ONCE, Reply, ScriptedServer, stream, until_broken

pytestmark = pytest.mark.anyio

KEY = "sk-canary-1234567890"
CALL = "POST /"
STARTED = {"type": "RUN_STARTED", "threadId": "s1", "runId": "r1"}
TEXT = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": "Hi"}
ANSWER = stream(STARTED, TEXT, {"type": "RUN_FINISHED", "threadId": "s1", "runId": "r1"})


@asynccontextmanager
async def platform_at(
    url: str, *, key: str | None = KEY, **options: Any
) -> AsyncGenerator[AGUIPlatform, None]:
    secret = None if key is None else SecretStr(key)
    settings = PlatformSettings(
        platform="agui", base_url=url, api_key=secret, retries=ONCE, options=options
    )
    platform = AGUIPlatform(settings)
    yield platform
    await platform.aclose()


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncGenerator[AGUIPlatform, None]:
    async with platform_at(server.url) as platform:
        yield platform


async def collected(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]


def ask(**fields: Any) -> RunRequest:
    return RunRequest(agent="m", prompt=fields.pop("prompt", "tea?"), session_id="s1", **fields)


# --- what is sent -------------------------------------------------------------------------------


async def test_the_whole_conversation_is_sent(server: ScriptedServer, client: AGUIPlatform) -> None:
    server.on(CALL, ANSWER)
    history = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    assert await collected(client.stream(ask())) == [
        RunStarted(run_id="r1", session_id="s1"),
        TextDelta("Hi", "m1"),
        RunFinished(),
    ]
    await collected(client.stream(ask(history=history)))
    first, second = (seen.json for seen in server.requests)
    ids = [message.pop("id") for message in second["messages"]]
    assert len(set(ids)) == 3
    assert first["runId"] != second.pop("runId")
    assert second == {
        "threadId": "s1",
        "protocolVersion": "1.0",
        "messages": [*history, {"role": "user", "content": "tea?"}],
        "state": {},
        "tools": [],
        "context": [],
        "forwardedProps": {},
    }
    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept"] == "text/event-stream"
    assert KEY.encode() not in server.requests[0].raw


async def test_a_message_has_the_same_id_in_each_turn(
    server: ScriptedServer, client: AGUIPlatform
) -> None:
    server.on(CALL, ANSWER)
    await collected(client.stream(ask()))
    history = [{"role": "user", "content": "tea?"}, {"role": "assistant", "content": "Hi"}]
    await collected(client.stream(ask(history=history, prompt="\ud800")))
    await collected(client.stream(RunRequest(agent="m", prompt="tea?", session_id="s2")))
    first, second, other = (seen.json["messages"] for seen in server.requests)
    assert second[0] == first[0]
    assert other[0]["id"] != first[0]["id"]


async def test_a_new_thread_has_an_id(server: ScriptedServer, client: AGUIPlatform) -> None:
    server.on(CALL, ANSWER)
    for _ in range(2):
        await collected(client.stream(RunRequest(agent="m", prompt="tea?")))
    first, second = (seen.json["threadId"] for seen in server.requests)
    assert first
    assert first != second


@pytest.mark.parametrize("spelling", ["forwarded_props", "forwardedProps"])
async def test_parameters(server: ScriptedServer, client: AGUIPlatform, spelling: str) -> None:
    server.on(CALL, ANSWER)
    params = {
        "state": {"n": None},
        "context": [{"description": "d", "value": "v"}],
        "tools": [{"name": "t", "description": "d"}],
        spelling: {"x": 1},
    }
    await collected(client.stream(ask(params=params)))
    sent = server.only(CALL).json
    assert (sent["state"], sent["forwardedProps"]) == ({"n": None}, {"x": 1})
    assert (sent["context"], sent["tools"]) == (params["context"], params["tools"])


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"contexts": []}, "Did you mean 'context'"),
        ({"tools": "add"}, "tools must be"),
        ({"context": [1]}, "context"),
        ({"threadId": "t"}, "no parameter 'threadId'"),
        ({"state": object()}, "no JSON form"),
    ],
    ids=["contexts", "tools", "context", "threadId", "state"],
)
async def test_wrong_parameters_are_refused_before_anything_is_sent(
    server: ScriptedServer, client: AGUIPlatform, params: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RequestError, match=reason):
        await collected(client.stream(ask(params=params)))
    assert server.calls == []


async def test_options(server: ScriptedServer) -> None:
    server.on("POST /agents/m%2Fn/run", ANSWER)
    options = {"path": "/agents/{agent}/run", "protocol_version": ""}
    async with platform_at(server.url, key=None, **options) as platform:
        await collected(platform.stream(RunRequest(agent="m/n", prompt="tea?")))
    (seen,) = server.requests
    assert "protocolVersion" not in seen.json
    assert "authorization" not in seen.headers


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="agui has no address"):
        agentnb.agent("agui:m")
    with pytest.raises(ConfigError, match="no parameter 'paht'"):
        agentnb.agent("agui:m", base_url="http://127.0.0.1", options={"paht": "/"})


async def test_attachments(server: ScriptedServer, client: AGUIPlatform, tmp_path: Path) -> None:
    server.on(CALL, ANSWER)
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF")
    media = [
        Media(data=b"\x89PNG", mime_type="image/png"),
        Media(path=path),
        Media(url="https://example.com/tea.mp4"),
        Media(url="https://example.com/tea"),
        Media(url="DATA:audio/wav;base64,UklGRg==", name="tea.wav"),
        Media(url="data:text/plain;charset=utf-8,gr%C3%BCn"),
    ]
    await collected(client.stream(ask(media=media, prompt="")))
    (message,) = server.only(CALL).json["messages"]

    def data(value: str, kind: str) -> dict[str, str]:
        return {"type": "data", "value": value, "mimeType": kind}

    url = "https://example.com/tea"
    assert message["content"] == [
        {"type": "image", "source": data("iVBORw==", "image/png")},
        {
            "type": "document",
            "source": data("JVBERg==", "application/pdf"),
            "metadata": {"filename": "a.pdf"},
        },
        {
            "type": "video",
            "source": {"type": "url", "value": f"{url}.mp4", "mimeType": "video/mp4"},
        },
        {"type": "document", "source": {"type": "url", "value": url}},
        {
            "type": "audio",
            "source": data("UklGRg==", "audio/wav"),
            "metadata": {"filename": "tea.wav"},
        },
        {"type": "document", "source": data("Z3LDvG4=", "text/plain")},
    ]


async def test_an_attachment_that_cannot_be_read(
    server: ScriptedServer, client: AGUIPlatform, tmp_path: Path
) -> None:
    for item in (Media(path=tmp_path / "none.png"), Media(data=b"x")):
        with pytest.raises(RequestError):
            await collected(client.stream(ask(media=[item])))
    assert server.calls == []


# --- answers ------------------------------------------------------------------------------------


async def test_an_answer_need_not_be_streamed(server: ScriptedServer, client: AGUIPlatform) -> None:
    server.on(CALL, ANSWER)
    assert (await client.invoke(ask()))[-1] == RunFinished()


async def test_json_is_no_answer(server: ScriptedServer, client: AGUIPlatform) -> None:
    server.on(CALL, Reply({"text": "Hi"}))
    with pytest.raises(ContentTypeError):
        await collected(client.stream(ask()))


async def test_a_cut_stream_does_not_end_the_run(
    server: ScriptedServer, client: AGUIPlatform
) -> None:
    server.on(CALL, stream(STARTED, TEXT, cut=True))
    assert isinstance((await until_broken(client.stream(ask())))[-1], TextDelta)


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "clean"])
async def test_a_stream_without_an_end_is_truncated(server: ScriptedServer, cut: bool) -> None:
    server.on(CALL, stream(STARTED, TEXT, cut=cut))
    run = await agentnb.agent("agui:m", base_url=server.url).arun("tea?", check=False)
    assert (run.status, run.text) == ("truncated", "Hi")
    assert server.calls == [CALL]


async def test_closing_a_stream_closes_the_connection(
    server: ScriptedServer, client: AGUIPlatform
) -> None:
    server.on(CALL, stream(STARTED, TEXT, hang=True))
    async with aclosing(client.stream(ask())) as batches:
        assert await anext(batches)
    await server.left.wait()


async def test_an_error_in_the_stream(server: ScriptedServer, client: AGUIPlatform) -> None:
    error = {"type": "RUN_ERROR", "message": "It broke.", "code": "E1"}
    server.on(CALL, stream(STARTED, TEXT, error))
    assert (await collected(client.stream(ask())))[-1] == RunFailed(message="It broke.", code="E1")


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        pytest.param(
            Reply({"detail": "No key."}, status=401), AuthenticationError, "No key", id="401"
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
                b'data: {"type": "RUN_ERROR", "message": "It broke."}\n\n',
                status=500,
                headers={"content-type": "text/event-stream"},
            ),
            *(ServerError, "It broke"),
            id="500 as a stream",
        ),
        pytest.param(
            Reply([{"loc": ["messages"], "msg": "Field required", "type": "missing"}], status=422),
            *(PlatformError, "messages.*Field required"),
            id="422 of a validator",
        ),
    ],
)
async def test_errors_before_the_stream(
    server: ScriptedServer,
    client: AGUIPlatform,
    reply: Reply,
    kind: type[PlatformError],
    message: str,
) -> None:
    server.on(CALL, reply)
    with pytest.raises(kind, match=message) as caught:
        await collected(client.stream(ask()))
    assert caught.value.retry_after == (7 if kind is RateLimitError else None)
    assert KEY not in str(caught.value)


async def test_what_the_protocol_lacks_is_refused(client: AGUIPlatform) -> None:
    found = client.capabilities
    assert (found.remembers, found.history, found.output_schema) == (False, True, False)
    assert (found.attach, found.cancel, found.list_runs, found.approvals) == (False,) * 4
    with pytest.raises(UnsupportedError, match="JSON schema"):
        await collected(client.stream(ask(output_schema={"type": "object"})))
    for call in (client.cancel("r1"), client.agents(), client.decide("r1", "i1", approved=True)):
        with pytest.raises(UnsupportedError):
            await call
    with pytest.raises(UnsupportedError):
        client.attach("r1")
