"""The client against a real server: the exact wire of each call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from agentnb._http.timeout import Deadlines
from agentnb.errors import (
    AuthenticationError,
    ConfigError,
    ContentTypeError,
    DeadlineError,
    NotFoundError,
    RequestError,
    StreamCutError,
    UnsupportedError,
)
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RunFinished, RunStarted, TextDelta, Usage
from agentnb.platforms.base import Media, PlatformSettings, RunRequest
from agentnb.platforms.runtools import DEFAULT_BASE_URL, RunToolsPlatform
from tests.platforms.scripted import CUT, Reply, ScriptedServer, stream

pytestmark = pytest.mark.anyio

RUN = "POST /v1/run"
ASK = RunRequest(agent="code-assistant", prompt="Create a tiny TypeScript CLI.")
IDS = {"X-Run-ID": "run_h", "X-Thread-ID": "thr_h"}
DONE = b'event: complete\ndata: {"output":"x"}\n\n'


async def collected(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]


def query(line: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(line).query).items()}


# --- sending ------------------------------------------------------------------------------------


async def test_a_run_is_sent_as_the_api_page_has_it(
    server: ScriptedServer, client: RunToolsPlatform, recorded: dict[str, bytes]
) -> None:
    server.on(
        RUN,
        stream(recorded["named"], headers={"X-Run-ID": "run_1", "X-Thread-ID": "thr_docs_example"}),
    )
    request = RunRequest(
        agent="code-assistant",
        prompt="Create a tiny TypeScript CLI.",
        session_id="thr_docs_example",
    )
    got = await collected(client.stream(request))
    assert got[0] == RunStarted(run_id="run_1", session_id="thr_docs_example")
    assert fold(got).text == "I write a tiny CLI."
    (seen,) = server.requests
    assert seen.line == RUN
    assert seen.headers["x-api-key"] == "k-1"
    assert "authorization" not in seen.headers
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept"] == "text/event-stream"
    assert seen.json == {
        "agent": "code-assistant",
        "prompt": "Create a tiny TypeScript CLI.",
        "stream": True,
        "threadId": "thr_docs_example",
    }


@pytest.mark.parametrize(
    "params",
    [
        {
            "thread_id": "t",
            "config": {"max_tokens": 500, "max_turns": 3, "temperature": 0},
            "metadata": {"user": "u", "nothing": None},
        },
        {
            "threadId": "t",
            "config": {"maxTokens": 500, "maxTurns": 3, "temperature": 0},
            "metadata": {"user": "u", "nothing": None},
        },
        {
            "threadId": "t",
            "maxTokens": 500,
            "max_turns": 3,
            "temperature": 0,
            "metadata": {"user": "u", "nothing": None},
        },
    ],
    ids=["snake_case", "camelCase", "flat"],
)
async def test_every_field_of_the_request_is_sent(
    server: ScriptedServer, client: RunToolsPlatform, params: dict[str, Any]
) -> None:
    server.on(RUN, stream(DONE))
    await collected(client.stream(RunRequest(agent="a", prompt="p", params=params)))
    # What is inside the caller's own object is the caller's: its nulls may be meant.
    assert server.requests[0].json == {
        "agent": "a",
        "prompt": "p",
        "threadId": "t",
        "stream": True,
        "config": {"maxTokens": 500, "maxTurns": 3, "temperature": 0},
        "metadata": {"user": "u", "nothing": None},
    }


async def test_messages_stand_in_place_of_the_prompt_and_the_prompt_is_the_last_of_them(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    server.on(RUN, stream(DONE))
    before = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"t": 1}]}]
    params = {"messages": before}
    await collected(client.stream(RunRequest(agent="a", prompt="and now?", params=params)))
    await collected(client.stream(RunRequest(agent="a", prompt="", params=params)))
    first, second = (seen.json for seen in server.requests)
    assert first["messages"] == [*before, {"role": "user", "content": "and now?"}]
    assert second["messages"] == before
    assert "prompt" not in first
    assert "prompt" not in second


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (RunRequest(agent="a", prompt="p", params={"maxturns": 1}), RequestError, "max_turns"),
        (RunRequest(agent="a", prompt="p", params={"max_turns": 0}), RequestError, "max_turns"),
        (
            RunRequest(agent="a", prompt="p", params={"max_turns": 1, "config": {"maxTurns": 2}}),
            RequestError,
            "twice",
        ),
        (
            RunRequest(agent="a", prompt="p", session_id="s", params={"thread_id": "t"}),
            RequestError,
            "twice",
        ),
        (
            RunRequest(agent="a", prompt="p", params={"messages": [{"content": "x"}]}),
            RequestError,
            "role",
        ),
        (RunRequest(agent="a", prompt="p", output_schema={}), UnsupportedError, "schema"),
        (RunRequest(agent="a", prompt="p", media=[Media(data=b"x")]), UnsupportedError, "attach"),
    ],
    ids=["misspelt", "below-range", "twice", "two-threads", "message", "schema", "media"],
)
async def test_a_wrong_request_is_refused_before_anything_is_sent(
    server: ScriptedServer,
    client: RunToolsPlatform,
    request_: RunRequest,
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        await collected(client.stream(request_))
    with pytest.raises(error, match=words):
        await client.invoke(request_)
    assert server.requests == []


# --- settings -----------------------------------------------------------------------------------


async def test_the_key_can_be_sent_as_a_bearer_token(server: ScriptedServer) -> None:
    server.on(RUN, stream(DONE))
    settings = PlatformSettings(
        platform="rt",
        base_url=server.url,
        api_key=SecretStr("canary-7"),
        options={"auth": "bearer"},
    )
    platform = RunToolsPlatform(settings)
    await collected(platform.stream(ASK))
    await platform.aclose()
    await platform.aclose()
    assert server.requests[0].headers["authorization"] == "Bearer canary-7"
    assert "x-api-key" not in server.requests[0].headers
    assert "canary-7" not in repr(platform) + repr(vars(platform)) + str(vars(platform))
    assert platform.name == "rt"


def test_a_wrong_option_is_a_configuration_error() -> None:
    for options in ({"auht": "bearer"}, {"auth": "basic"}, {"poll_seconds": 0}):
        with pytest.raises(ConfigError, match=r"auth|poll_seconds"):
            RunToolsPlatform(PlatformSettings(platform="runtools", options=options))
    assert DEFAULT_BASE_URL == "https://api.runtools.ai"


# --- streaming ----------------------------------------------------------------------------------


async def test_ids_come_from_the_headers_before_any_frame_and_closing_closes_the_connection(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    never = asyncio.Event()
    server.on(RUN, stream(never, headers=IDS))
    async with aclosing(client.stream(ASK)) as batches:
        assert await anext(batches) == [RunStarted(run_id="run_h", session_id="thr_h")]
    async with asyncio.timeout(2):
        await server.left.wait()


async def test_each_network_read_is_delivered_at_once(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    never = asyncio.Event()
    frame = b'event: text_delta\ndata: {"content":"Hello"}\n\n'
    server.on(RUN, stream(frame, never, headers=IDS))
    async with aclosing(client.stream(ASK)) as batches:
        await anext(batches)
        assert await anext(batches) == [TextDelta("Hello")]
        assert not server.left.is_set()


async def test_without_ids_in_the_headers_the_thread_is_the_requested_one(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    server.on(RUN, stream(DONE))
    request = RunRequest(agent="a", prompt="p", session_id="t")
    got = await collected(client.stream(request))
    assert got == [RunStarted(session_id="t"), RunFinished(output="x")]


async def test_a_stream_that_breaks_off_raises_and_what_arrived_came_before(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    frame = b'event: text_delta\ndata: {"content":"Half"}\n\n'
    server.on(RUN, stream(frame, CUT))
    batches = client.stream(ASK)
    await anext(batches)
    assert await anext(batches) == [TextDelta("Half")]
    with pytest.raises(StreamCutError):
        await anext(batches)


RESULT = {
    "runId": "run_1",
    "threadId": "thr_1",
    "status": "completed",
    "result": "All 12 tests pass.",
    "usage": {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120},
    "iterations": 3,
}


@pytest.mark.parametrize("data", [RESULT, {"data": RESULT}], ids=["bare", "enveloped"])
async def test_a_run_without_streaming(
    server: ScriptedServer, client: RunToolsPlatform, data: dict[str, Any]
) -> None:
    server.on(RUN, Reply(data))
    got = await client.invoke(ASK)
    transcript = fold(got)
    assert server.requests[0].json["stream"] is False
    assert (transcript.run_id, transcript.session_id) == ("run_1", "thr_1")
    assert transcript.text == "All 12 tests pass."
    assert transcript.usage == Usage(input_tokens=100, output_tokens=20, total_tokens=120)
    assert isinstance(got[-1], RunFinished)
    assert got[-1].details == {"iterations": 3}


async def test_a_json_response_to_a_stream_request_is_the_run(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    server.on(RUN, Reply({"data": {"status": "completed", "result": "A"}}, headers=IDS))
    got = await collected(client.stream(ASK))
    transcript = fold(got)
    assert (transcript.text, transcript.status) == ("A", "completed")
    assert (transcript.run_id, transcript.session_id) == ("run_h", "thr_h")
    assert fold(await client.invoke(ASK)).run_id == "run_h"


async def test_another_response_is_an_error(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    server.on(RUN, Reply(b"<html>", headers={"Content-Type": "text/html"}))
    with pytest.raises(ContentTypeError):
        await collected(client.stream(ASK))
    answers: list[Any] = [[], {"hello": 1}, None]
    for data in answers:
        server.on(RUN, Reply(data))
        with pytest.raises(ContentTypeError):
            await collected(client.stream(ASK))
        with pytest.raises(ContentTypeError):
            await client.invoke(ASK)


# --- attaching and stopping -----------------------------------------------------------------------


def record(sequence: int, kind: str, run: str = "run_1", **payload: Any) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "runId": run,
        "type": kind,
        "payload": payload,
        "createdAt": "2026-05-06T10:00:00Z",
    }


@pytest.mark.parametrize("envelope", [None, "data", "events"], ids=["bare", "data", "events"])
async def test_a_run_is_joined_by_its_threads_recorded_events(
    server: ScriptedServer, client: RunToolsPlatform, envelope: str | None
) -> None:
    rows = [
        record(1, "text_delta", run="run_0", content="An earlier run. "),
        record(4, "run_started"),
        record(5, "text_delta", content="Hello"),
        record(6, "tool_call", tool="bash", input={"command": "ls"}),
        record(7, "step_summary", step=1),
        record(8, "tool_result", output="cli.ts"),
        record(9, "text_delta", content=" again."),
        record(10, "run_completed", output="Hello again."),
    ]

    def answer(count: int) -> Reply:
        return Reply(rows[:count] if envelope is None else {envelope: rows[:count]})

    line = "GET /v1/threads/thr%2F1/events"
    server.on(line, answer(0), answer(3), answer(6), answer(6), answer(8))
    server.on("GET /v1/run", Reply([{"runId": "run_1", "status": "running"}]))
    got = await collected(client.attach("run_1", agent="a", session_id="thr/1"))
    transcript = fold(got)
    assert got[0] == RunStarted(run_id="run_1", session_id="thr/1", agent="a")
    assert (transcript.text, transcript.status) == ("Hello again.", "completed")
    assert [(c.name, c.result) for c in transcript.tool_calls] == [("bash", "cli.ts")]
    assert [raw.name for raw in transcript.raw_events] == ["step_summary"]
    assert server.lines.count(line) == 5
    assert query(server.lines[1]) == {"agent": "a", "limit": "100"}


async def test_the_thread_of_a_run_is_looked_up_where_none_is_given(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    listed = [{"runId": "run_1", "threadId": "thr_1", "status": "completed"}]
    server.on("GET /v1/run", Reply({"data": listed}))
    server.on("GET /v1/threads/thr_1/events", Reply([record(1, "complete", output="x")]))
    assert fold(await collected(client.attach("run_1"))).status == "completed"
    with pytest.raises(NotFoundError, match="thread"):
        await collected(client.attach("run_2"))


async def test_attaching_to_an_ended_run_without_an_end_yields_no_end(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    server.on("GET /v1/run", Reply([{"runId": "run_1", "status": "failed"}]))
    late = [record(1, "text_delta", content="a"), record(2, "text_delta", content="b")]
    server.on("GET /v1/threads/t/events", Reply([]), Reply(late), Reply(late))
    got = await collected(client.attach("run_1", session_id="t"))
    assert fold(got).text == "ab"
    assert fold(got).status == "running"


async def test_attaching_to_a_silent_run_exceeds_the_idle_deadline(
    server: ScriptedServer,
) -> None:
    server.on("GET /v1/run", Reply([{"runId": "run_1", "status": "running"}]))
    server.on("GET /v1/threads/t/events", Reply([]))
    settings = PlatformSettings(
        platform="runtools",
        base_url=server.url,
        deadlines=Deadlines(idle=0.2),
        options={"poll_seconds": 0.02},
    )
    platform = RunToolsPlatform(settings)
    with pytest.raises(DeadlineError) as raised:
        await collected(platform.attach("run_1", session_id="t"))
    await platform.aclose()
    assert (raised.value.deadline, raised.value.seconds) == ("idle", 0.2)


async def test_there_is_no_call_that_cancels(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    assert not client.capabilities.cancel
    with pytest.raises(UnsupportedError):
        await client.cancel("run_1", agent="a", session_id="t")
    assert server.requests == []


async def test_an_error_has_the_platforms_message(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    error = {"code": "invalid_key", "message": "No such key", "requestId": "req_1"}
    server.on(RUN, Reply({"error": error}, status=401))
    with pytest.raises(AuthenticationError, match="No such key") as raised:
        await collected(client.stream(ASK))
    assert (raised.value.code, raised.value.request_id) == ("invalid_key", "req_1")
    assert json.loads(raised.value.excerpt) == {"error": error}
