"""The client against a real server: the exact wire of each call."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import SecretStr

from agentnb.errors import (
    ConfigError,
    ContentTypeError,
    RequestError,
    StreamCutError,
    UnsupportedError,
)
from agentnb.event.transcript import fold
from agentnb.event.types import RunStarted, TextDelta
from agentnb.platforms.base import Media, PlatformSettings, RunRequest
from agentnb.platforms.operativus import DEFAULT_BASE_URL, OperativusPlatform
from tests.platforms.operativus.streams import ASK, STREAM, collected, frame
from tests.platforms.scripted import CUT, Reply, ScriptedServer, problem, stream

pytestmark = pytest.mark.anyio

RUN = "POST /api/agents/finance_agent/runs"
STARTED = frame("START", json.dumps({"runId": "run_1", "sessionId": "sess_1"}))


# --- sending ------------------------------------------------------------------------------------


async def test_a_run_is_sent_as_the_api_page_has_it(
    server: ScriptedServer, client: OperativusPlatform, recorded: dict[str, bytes]
) -> None:
    server.on(STREAM, stream(recorded["api_page"]))
    request = RunRequest(
        agent="finance_agent", prompt=ASK.prompt, session_id="550e8400-e29b-41d4-a716-446655440000"
    )
    transcript = fold(await collected(client.stream(request)))
    assert transcript.text.endswith(", up 2.3% today.")
    (seen,) = server.requests
    assert seen.line == STREAM
    assert seen.headers["authorization"] == "Bearer k-1"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept"] == "text/event-stream"
    assert seen.json == {
        "message": "What is the current NVDA stock price?",
        "sessionId": "550e8400-e29b-41d4-a716-446655440000",
    }


@pytest.mark.parametrize(
    "params",
    [
        {
            "user_id": "u1",
            "org_id": "o1",
            "generate_followups": True,
            "media": [{"type": "image/png", "data": "aGk="}],
            "options": {
                "model": "gpt-4o",
                "temperature": 0.2,
                "max_tokens": 500,
                "system_prompt": "Be brief.",
            },
        },
        {
            "userId": "u1",
            "orgId": "o1",
            "generateFollowups": True,
            "media": [{"type": "image/png", "data": "aGk="}],
            "options": {
                "model": "gpt-4o",
                "temperature": 0.2,
                "maxTokens": 500,
                "systemPrompt": "Be brief.",
            },
        },
        {
            "userId": "u1",
            "org_id": "o1",
            "generateFollowups": True,
            "media": [{"type": "image/png", "data": "aGk="}],
            "model": "gpt-4o",
            "temperature": 0.2,
            "max_tokens": 500,
            "system_prompt": "Be brief.",
        },
        {
            "userId": "u1",
            "orgId": "o1",
            "generateFollowups": True,
            "media": [{"type": "image/png", "data": "aGk="}],
            "options": {"model": "gpt-4o", "temperature": 0.2},
            "maxTokens": 500,
            "systemPrompt": "Be brief.",
        },
    ],
    ids=["snake_case", "camelCase", "flat", "flat-camelCase"],
)
async def test_every_field_of_the_request_is_sent(
    server: ScriptedServer, client: OperativusPlatform, params: dict[str, Any]
) -> None:
    server.on(STREAM, stream(STARTED, frame("STOP", "")))
    request = RunRequest(agent="finance_agent", prompt="hi", session_id="s", params=params)
    await collected(client.stream(request))
    assert server.requests[0].json == {
        "message": "hi",
        "sessionId": "s",
        "userId": "u1",
        "orgId": "o1",
        "generateFollowups": True,
        "media": [{"type": "image/png", "data": "aGk="}],
        "options": {
            "model": "gpt-4o",
            "temperature": 0.2,
            "maxTokens": 500,
            "systemPrompt": "Be brief.",
        },
    }


async def test_a_session_is_made_here_where_none_is_given(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(STARTED, frame("STOP", "")))
    await collected(client.stream(ASK))
    await collected(client.stream(ASK))
    first, second = (uuid.UUID(seen.json["sessionId"]) for seen in server.requests)
    assert first != second


async def test_a_session_may_stand_in_the_parameters(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(STARTED, frame("STOP", "")))
    for params in ({"session_id": "s"}, {"sessionId": "s"}):
        await collected(client.stream(RunRequest(agent="finance_agent", prompt="x", params=params)))
    assert [seen.json["sessionId"] for seen in server.requests] == ["s", "s"]


async def test_attachments_are_sent_beside_those_in_the_parameters(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(STARTED, frame("STOP", "")))
    request = RunRequest(
        agent="finance_agent",
        prompt="hi",
        media=[Media(url="https://example.org/a/chart.png"), Media(data=b"%PDF-1.7")],
        params={"media": [{"type": "text/csv", "data": "YQ=="}]},
    )
    await collected(client.stream(request))
    assert server.requests[0].json["media"] == [
        {"type": "image/png", "data": "https://example.org/a/chart.png"},
        {"type": "application/pdf", "data": "JVBERi0xLjc="},
        {"type": "text/csv", "data": "YQ=="},
    ]


async def test_an_agents_id_is_one_segment_of_the_path(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    line = "POST /api/agents/a%2Fb%20%3Fc/runs/stream"
    server.on(line, stream(STARTED, frame("STOP", "")))
    await collected(client.stream(RunRequest(agent="a/b ?c", prompt="hi")))
    assert server.lines == [line]


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (RunRequest(agent="a", prompt="p", params={"tempature": 1}), RequestError, "temperature"),
        (RunRequest(agent="a", prompt="p", params={"max_tokens": 0}), RequestError, "max"),
        (RunRequest(agent="a", prompt="p", params={"max_tokens": True}), RequestError, "max"),
        (
            RunRequest(agent="a", prompt="p", params={"model": "x", "options": {"model": "y"}}),
            RequestError,
            "twice",
        ),
        (
            RunRequest(agent="a", prompt="p", session_id="s", params={"session_id": "t"}),
            RequestError,
            "twice",
        ),
        (
            RunRequest(agent="a", prompt="p", params={"user_id": "a", "userId": "b"}),
            RequestError,
            "give it once",
        ),
        (RunRequest(agent="a", prompt="p", output_schema={}), UnsupportedError, "schema"),
        (
            RunRequest(agent="a", prompt="p", media=[Media(url="ftp://x/y.png")]),
            RequestError,
            "address",
        ),
        (RunRequest(agent="..", prompt="p"), RequestError, "address"),
    ],
    ids=[
        "misspelt",
        "below-range",
        "bool",
        "twice",
        "two-sessions",
        "two-spellings",
        "schema",
        "media",
        "dots",
    ],
)
async def test_a_wrong_request_is_refused_before_anything_is_sent(
    server: ScriptedServer,
    client: OperativusPlatform,
    request_: RunRequest,
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        await collected(client.stream(request_))
    with pytest.raises(error, match=words):
        await client.invoke(request_)
    assert server.requests == []


async def test_the_callers_parameters_are_left_as_they_are(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(STARTED, frame("STOP", "")))
    params = {"options": {"temperature": 1}, "media": [{"type": "a/b", "data": "c"}], "model": "m"}
    before = json.dumps(params)
    await collected(client.stream(RunRequest(agent="finance_agent", prompt="x", params=params)))
    assert json.dumps(params) == before


# --- settings -----------------------------------------------------------------------------------


async def test_ids_from_the_options_stand_in_every_run_that_names_none(
    server: ScriptedServer,
) -> None:
    server.on(STREAM, stream(STARTED, frame("STOP", "")))
    options = {"user_id": "u-default", "org_id": "o-default"}
    platform = OperativusPlatform(
        PlatformSettings(platform="desk", base_url=server.url, options=options)
    )
    await collected(platform.stream(ASK))
    own = RunRequest(agent="finance_agent", prompt="x", params={"user_id": "u-own"})
    await collected(platform.stream(own))
    await platform.aclose()
    await platform.aclose()
    assert [(s.json["userId"], s.json["orgId"]) for s in server.requests] == [
        ("u-default", "o-default"),
        ("u-own", "o-default"),
    ]
    assert "authorization" not in server.requests[0].headers
    assert platform.name == "desk"


def test_an_unknown_option_is_a_configuration_error_that_names_the_right_one() -> None:
    settings = PlatformSettings(platform="operativus", options={"userid": "x"})
    with pytest.raises(ConfigError, match="user_id"):
        OperativusPlatform(settings)


def test_the_default_address_is_the_api_pages_and_the_key_shows_nowhere() -> None:
    settings = PlatformSettings(platform="operativus", api_key=SecretStr("canary-7"))
    platform = OperativusPlatform(settings)
    assert DEFAULT_BASE_URL == "http://localhost:8080"
    assert "canary-7" not in repr(platform) + repr(vars(platform)) + str(vars(platform))


# --- streaming ----------------------------------------------------------------------------------


async def test_each_network_read_is_delivered_at_once_and_closing_closes_the_connection(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    never = asyncio.Event()
    server.on(STREAM, stream(STARTED + frame("CONTENT_DELTA", "Hello"), never))
    async with aclosing(client.stream(ASK)) as batches:
        first = await anext(batches)
        assert first == [RunStarted(run_id="run_1", session_id="sess_1"), TextDelta("Hello")]
        assert not server.left.is_set()
    async with asyncio.timeout(2):
        await server.left.wait()


async def test_a_run_that_never_began_is_not_looked_for(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(frame("ERROR", "Agent is in maintenance")))
    transcript = fold(await collected(client.stream(ASK)))
    assert (transcript.status, transcript.run_id) == ("failed", None)
    assert server.lines == [STREAM]


async def test_the_look_up_ends_with_the_stream(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(frame("START", ""), asyncio.Event()))
    server.on("GET /api/v1/runs", Reply([]))
    async with aclosing(client.stream(ASK)) as batches:
        await anext(batches)
        await server.asked(2)
    asked = len(server.requests)
    # Longer than the look-up would pause before it asks again.
    await asyncio.sleep(0.4)
    assert len(server.requests) == asked


async def test_a_server_that_lists_no_runs_costs_the_id_and_nothing_else(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(frame("START", "") + frame("CONTENT_DELTA", "Hi") + frame("STOP", "")))
    server.on("GET /api/v1/runs", problem(500, detail="no"))
    transcript = fold(await collected(client.stream(ASK)))
    assert (transcript.text, transcript.status, transcript.run_id) == ("Hi", "completed", None)


async def test_a_list_by_session_is_requested_without_a_list_of_runs(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("GET /api/sessions/s%201/runs", Reply([{"id": "r", "status": "RUNNING"}]))
    assert [run.id async for run in client.runs(session_id="s 1")] == []
    server.on(
        "GET /api/sessions/s%201/runs",
        Reply([{"id": "r", "sessionId": "s 1", "status": "RUNNING"}]),
    )
    assert [run.id async for run in client.runs(session_id="s 1")] == ["r"]


async def test_a_stream_that_breaks_off_raises_and_what_arrived_came_before(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(STARTED + frame("CONTENT_DELTA", "Half"), CUT))
    batches = client.stream(ASK)
    assert fold(await anext(batches)).text == "Half"
    with pytest.raises(StreamCutError):
        await anext(batches)


async def test_a_response_that_is_no_stream_is_an_error(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, Reply(b"<html>log in</html>", headers={"Content-Type": "text/html"}))
    with pytest.raises(ContentTypeError):
        await collected(client.stream(ASK))
