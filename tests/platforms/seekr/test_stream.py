"""The main way: a thread, a message, a streamed run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from agentnb.errors import InvalidRequestError, NotFoundError, RequestError, StreamCutError
from agentnb.events import (
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import Media, RunRequest
from agentnb.platforms.seekr import SeekrPlatform
from agentnb.transcript import fold
from tests.platforms.recorded import FIXTURES
from tests.platforms.scripted import Reply, ScriptedServer, recorded, stream
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.records import MESSAGE, RUN, THREAD, run

pytestmark = pytest.mark.anyio

QUESTION = "What is the current NVDA stock price?"
STREAM = "POST /v1/threads/thread_1/runs/stream"
TEXT = {"type": "text_delta", "text": "875.40"}
END = {"type": "end_node", "final_output": "875.40"}


@pytest.fixture
def platform(server: ScriptedServer, connect: Connect) -> SeekrPlatform:
    server.routes |= {
        "POST /v1/threads": Reply(THREAD),
        "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_1"}),
        "POST /v1/threads/thread_1/messages": Reply(MESSAGE),
        STREAM: stream(TEXT, END),
        f"{STREAM}/vercel": recorded(FIXTURES / "seekr" / "vercel.sse"),
        "GET /v1/threads/thread_1/runs": Reply([RUN]),
        "GET /v1/threads/thread_1/runs/run_1": Reply(RUN),
    }
    return connect()


def ask(**changes: Any) -> RunRequest:
    fields: dict[str, Any] = {"agent": "finance_agent", "prompt": QUESTION, **changes}
    return RunRequest(**fields)


async def events_of(platform: SeekrPlatform, request: RunRequest) -> list[Event]:
    return [event async for batch in platform.stream(request) for event in batch]


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


async def test_its_events(platform: SeekrPlatform) -> None:
    batches = [batch async for batch in platform.stream(ask())]
    assert batches[0] == [RunStarted(session_id="thread_1", agent="finance_agent")]
    events = [event for batch in batches for event in batch]
    assert events[1] == TextDelta("875.40")
    assert events[-1] == RunFinished(output="875.40", duration=2.5)
    found = fold(events)
    assert (found.run_id, found.session_id, found.model) == ("run_1", "thread_1", "seekr-large")
    assert found.usage == Usage(input_tokens=120, output_tokens=30, total_tokens=150)


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


async def test_422_names_each_field(server: ScriptedServer, platform: SeekrPlatform) -> None:
    detail = [
        {"loc": ["body", "agent_id"], "msg": "no such agent", "type": "value_error"},
        {"loc": ["body", "model_settings", "top_p"], "msg": "too large", "type": "le"},
    ]
    server.routes[STREAM] = Reply({"detail": detail}, status=422)
    with pytest.raises(InvalidRequestError) as caught:
        await events_of(platform, ask())
    assert [(f.location, f.message, f.kind) for f in caught.value.fields] == [
        ("body.agent_id", "no such agent", "value_error"),
        ("body.model_settings.top_p", "too large", "le"),
    ]
    assert "body.agent_id: no such agent" in str(caught.value)


async def test_other_errors(server: ScriptedServer, platform: SeekrPlatform) -> None:
    body = {"error": "thread_not_found", "message": "No such thread", "status": 404}
    server.routes["POST /v1/threads/t/messages"] = Reply(body, status=404)
    with pytest.raises(NotFoundError) as caught:
        await events_of(platform, ask(session_id="t"))
    assert caught.value.code == "thread_not_found"
    assert "No such thread" in caught.value.message


async def test_run_id_is_found_without_holding_up_the_stream(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    gate = asyncio.Event()
    server.routes[STREAM] = stream(TEXT, TEXT, END, gate=gate)
    found: list[Event] = []
    async for batch in platform.stream(ask()):
        found += batch
        texts = sum(isinstance(event, TextDelta) for event in found)
        if texts == 2 and not gate.is_set():
            await server.called("GET /v1/threads/thread_1")
            gate.set()
    assert fold(found).run_id == "run_1"
    assert fold(found).text == "875.40875.40"


async def test_run_id_from_the_list_where_the_thread_says_none(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes["GET /v1/threads/thread_1"] = Reply(THREAD)
    server.routes["GET /v1/threads/thread_1/runs"] = Reply([run(7)])
    server.routes["GET /v1/threads/thread_1/runs/run_7"] = Reply(run(7))
    events = await events_of(platform, ask())
    assert fold(events).run_id == "run_7"
    listed = [s for s in server.requests if s.call == "GET /v1/threads/thread_1/runs"]
    assert listed[0].query == {"limit": "1", "order": "desc", "offset": "0"}


async def test_the_run_before_is_not_taken_for_this_one(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    """While the stream goes on, a finished run in an older thread is another run."""
    gate = asyncio.Event()
    server.routes["GET /v1/threads/thread_1"] = Reply(THREAD)
    server.routes["GET /v1/threads/thread_1/runs"] = [Reply([run(1)]), Reply([run(2)])]
    server.routes[STREAM] = stream(TEXT, END, gate=gate)
    found: list[Event] = []
    async for batch in platform.stream(ask(session_id="thread_1")):
        found += batch
        if any(isinstance(event, TextDelta) for event in batch):
            await server.called("GET /v1/threads/thread_1/runs")
        gate.set()
    assert [e.run_id for e in found if isinstance(e, RunStarted)] == ["run_2"]


async def test_what_cannot_be_found_out_does_not_matter(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    for call in list(server.routes):
        if call.startswith("GET"):
            del server.routes[call]
    events = await events_of(platform, ask())
    assert events[-1] == RunFinished(output="875.40")
    assert fold(events).usage is None


async def test_zeros_are_no_usage_and_a_late_one_is_waited_for(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    early = run(1, status="running", completed_at=None, usage=none)
    server.routes["GET /v1/threads/thread_1/runs/run_1"] = [Reply(early), Reply(RUN)]
    events = await events_of(platform, ask())
    assert [e for e in events if isinstance(e, UsageReported)] == [
        UsageReported(
            usage=Usage(input_tokens=120, output_tokens=30, total_tokens=150), model="seekr-large"
        )
    ]


async def test_clean_end_without_a_word_invents_nothing(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[STREAM] = recorded(FIXTURES / "seekr" / "no_end.sse")
    found = fold(await events_of(platform, ask()))
    assert found.text == "The current stock price of NVIDIA"
    assert not found.is_final
    # Whoever asks for its state needs the id.
    assert found.run_id == "run_1"


async def test_cut_stream_raises_and_what_came_was_yielded(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[STREAM] = stream(TEXT, cut=True)
    found: list[Event] = []

    async def consume() -> None:
        async for batch in platform.stream(ask()):
            found.extend(batch)

    with pytest.raises(StreamCutError):
        await consume()
    assert fold(found).text == "875.40"
    # Whoever joins the run again needs the id.
    assert fold(found).run_id == "run_1"


async def test_closing_the_generator_closes_the_connection(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[STREAM] = stream(TEXT, hang=True)
    batches = platform.stream(ask())
    async for batch in batches:
        if any(isinstance(event, TextDelta) for event in batch):
            break
    await batches.aclose()
    async with asyncio.timeout(5):
        await server.left.wait()


async def test_cancelling_the_task_closes_the_connection(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[STREAM] = stream(TEXT, hang=True)
    started = asyncio.Event()

    async def consume() -> None:
        async for batch in platform.stream(ask()):
            if any(isinstance(event, TextDelta) for event in batch):
                started.set()

    task = asyncio.create_task(consume())
    async with asyncio.timeout(5):
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.left.wait()


async def test_half_characters_of_a_prompt_can_be_sent(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    await events_of(platform, ask(prompt="caf\u00e9 \ud83d"))
    assert server.only("POST /v1/threads/thread_1/messages").json["content"] == "café \ufffd"
