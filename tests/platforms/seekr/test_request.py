"""What goes over the wire when a run is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from agentnb.errors import NotFoundError, RequestError
from agentnb.event.transcript import fold
from agentnb.platforms.base import Media
from agentnb.platforms.seekr import SeekrPlatform
from tests.platforms.scripted import ScriptedServer
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.streamed import QUESTION, STREAM, answering, ask, events_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def platform(server: ScriptedServer, connect: Connect) -> SeekrPlatform:
    return answering(server, connect)


async def test_a_new_conversation_on_the_wire(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    await events_of(platform, ask())
    assert server.calls[:3] == [
        "POST /v1/threads",
        "POST /v1/threads/thread_1/messages",
        STREAM,
    ]
    thread, message, started = server.requests[:3]
    assert thread.json == {"meta_data": {}}
    assert message.json == {"role": "user", "content": QUESTION}
    assert started.json == {"agent_id": "finance_agent"}
    assert started.headers["accept"] == "text/event-stream"
    for seen in server.requests:
        assert seen.headers["authorization"] == "key-123456789"
        assert "x-team-id" not in seen.headers


async def test_a_session_is_gone_on_with(server: ScriptedServer, platform: SeekrPlatform) -> None:
    await events_of(platform, ask(session_id="thread_1"))
    assert server.calls[:2] == ["POST /v1/threads/thread_1/messages", STREAM]


async def test_ids_are_percent_encoded(server: ScriptedServer, platform: SeekrPlatform) -> None:
    with pytest.raises(NotFoundError):
        await events_of(platform, ask(session_id="a/../b c"))
    assert server.calls == ["POST /v1/threads/a%2F..%2Fb%20c/messages"]


async def test_the_whole_run_request(server: ScriptedServer, platform: SeekrPlatform) -> None:
    settings = {
        "temperature": 0,
        "top_p": 1,
        "frequency_penalty": -2,
        "presence_penalty": 2,
        "max_tokens": 500,
    }
    body = {
        "model_settings": settings,
        "response_format": {"json_schema": {"type": "object"}},
        "group": "nightly",
        "metadata": {"desk": "tech"},
    }
    await events_of(platform, ask(params={**body, "thread_meta_data": {"a": 1}}))
    assert server.only(STREAM).json == {"agent_id": "finance_agent", **body}
    assert server.only("POST /v1/threads").json == {"meta_data": {"a": 1}}


async def test_settings_may_stand_by_themselves(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    params = {"temperature": "0.25", "model_settings": {"top_p": 0.5}, "group": None}
    await events_of(platform, ask(params=params))
    assert server.only(STREAM).json == {
        "agent_id": "finance_agent",
        "model_settings": {"temperature": 0.25, "top_p": 0.5},
    }


class Price(BaseModel):
    ticker: str
    price: float


async def test_output_schema_is_the_response_format(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    schema = Price.model_json_schema()
    await events_of(platform, ask(output_schema=schema))
    await events_of(platform, ask(params={"response_format": Price}))
    for seen in [s for s in server.requests if s.call == STREAM]:
        assert seen.json["response_format"] == {"json_schema": schema}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"temperature": 2.1}, "temperature must be a number from 0 to 2, not 2.1"),
        ({"temperature": -0.1}, "temperature must be a number from 0 to 2"),
        ({"temperature": True}, "temperature must be a number from 0 to 2, not True"),
        ({"temperature": float("nan")}, "temperature must be a number from 0 to 2, not nan"),
        ({"model_settings": {"top_p": 1.5}}, "model_settings.top_p must be a number from 0 to 1"),
        ({"frequency_penalty": 3}, "frequency_penalty must be a number from -2 to 2"),
        ({"presence_penalty": -3}, "presence_penalty must be a number from -2 to 2"),
        ({"max_tokens": 1.5}, "max_tokens must be an integer, not 1.5"),
        ({"metadata": {"a": 1}}, "metadata.a must be a valid string, not 1"),
        ({"response_format": {"type": "object"}}, "response_format.json_schema is required"),
        ({"temprature": 1}, "no parameter 'temprature'. Did you mean 'temperature'?"),
        ({"model_settings": {"topp": 1}}, "'model_settings.topp'. Did you mean 'top_p'?"),
        ({"dialect": "morse"}, "dialect must be 'stream' or 'vercel', not 'morse'"),
        ({"team_id": "a", "x-team-id": "b"}, "one parameter"),
        ({"team_id": "a\r\nx: y"}, "must match pattern"),
        ({"temperature": 1, "model_settings": {"temperature": 1}}, "give it once"),
        ({"agent_id": "other"}, "no parameter 'agent_id'"),
    ],
)
async def test_wrong_parameters_are_refused_before_anything_is_sent(
    params: dict[str, Any], words: str, server: ScriptedServer, platform: SeekrPlatform
) -> None:
    with pytest.raises(RequestError) as caught:
        await events_of(platform, ask(params=params))
    assert words in str(caught.value)
    assert server.requests == []


async def test_schema_given_twice_is_refused(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    params: dict[str, Any] = {"response_format": {"json_schema": {}}}
    with pytest.raises(RequestError):
        await events_of(platform, ask(params=params, output_schema={}))
    assert server.requests == []


async def test_vercel_dialect(server: ScriptedServer, platform: SeekrPlatform) -> None:
    events = await events_of(platform, ask(params={"dialect": "vercel"}))
    assert f"{STREAM}/vercel" in server.calls
    assert fold(events).run_id == "run_abc123"
    # It said both its id and its usage, so that nothing is left to ask.
    assert server.calls[-1] == f"{STREAM}/vercel"


async def test_vercel_dialect_as_a_setting(
    server: ScriptedServer, platform: SeekrPlatform, connect: Connect
) -> None:
    await events_of(connect(dialect="vercel"), ask())
    assert f"{STREAM}/vercel" in server.calls


async def test_team_and_scheme(
    server: ScriptedServer, platform: SeekrPlatform, connect: Connect
) -> None:
    client = connect(team_id="team-a", auth_scheme="Bearer")
    await events_of(client, ask())
    assert {s.headers["x-team-id"] for s in server.requests} == {"team-a"}
    assert {s.headers["authorization"] for s in server.requests} == {"Bearer key-123456789"}
    server.requests.clear()
    await events_of(client, ask(params={"x-team-id": "team-b"}))
    assert {s.headers["x-team-id"] for s in server.requests} == {"team-b"}


async def test_without_a_key_none_is_sent(
    server: ScriptedServer, platform: SeekrPlatform, connect: Connect
) -> None:
    await events_of(connect(api_key=None), ask())
    assert all("authorization" not in s.headers for s in server.requests)


async def test_images_and_files_go_as_parts(
    server: ScriptedServer, platform: SeekrPlatform, tmp_path: Any
) -> None:
    image = tmp_path / "chart.png"
    image.write_bytes(b"\x89PNG")
    media = [
        Media(path=image),
        Media(data=b"GIF8", mime_type="image/gif"),
        Media(url="https://example.com/chart"),
    ]
    await events_of(platform, ask(media=media, params={"file_ids": ["file_1"]}))
    assert server.only("POST /v1/threads/thread_1/messages").json["content"] == [
        {"type": "input_text", "text": QUESTION},
        {
            "type": "input_image",
            "image_url": "data:image/png;base64,iVBORw==",
            "detail": "auto",
        },
        {"type": "input_image", "image_url": "data:image/gif;base64,R0lGOA==", "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.com/chart", "detail": "auto"},
        {"type": "input_file", "file_id": "file_1"},
    ]


@pytest.mark.parametrize(
    "media", [Media(data=b"x"), Media(data=b"x", name="notes.txt"), Media(mime_type="image/png")]
)
async def test_other_attachments_are_refused(
    media: Media, server: ScriptedServer, platform: SeekrPlatform
) -> None:
    with pytest.raises(RequestError):
        await events_of(platform, ask(media=[media]))
    assert server.requests == []
