"""Endpoints of no known protocol, described by a template of their body."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

import agentnb
from agentnb.errors import ConfigError
from agentnb.sandbox import Sandbox
from tests.platforms.scripted import ONCE, Reply, ScriptedServer, scripted_server, stream

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


def agent(server: ScriptedServer, **options: Any) -> agentnb.Agent:
    return agentnb.agent("sse:helper", base_url=server.url, options=options, retries=ONCE)


async def test_by_default_the_prompt_is_sent_and_each_run_stands_alone(
    server: ScriptedServer,
) -> None:
    server.routes["POST /"] = stream({"delta": "Hel"}, {"delta": "lo."}, "data: [DONE]\n\n")
    run = await agent(server).arun("Hi {agent}")
    assert (run.text, run.status, run.session_id) == ("Hello.", "completed", None)
    assert server.requests[0].json == {"prompt": "Hi {agent}"}
    assert "authorization" not in server.requests[0].headers


async def test_a_template_with_a_session(server: ScriptedServer) -> None:
    server.routes["POST /v1/helper/ask"] = stream(
        {"session_id": "s-1", "delta": "Yes."}, "data: [DONE]\n\n"
    )
    client = agent(
        server,
        path="/v1/{agent}/ask",
        body={"input": {"text": "<{prompt}>", "n": 1}, "thread": "{session_id}"},
    )
    first = await client.arun("Is it?")
    assert first.session_id == "s-1"
    await client.arun("Really?", session=first)
    assert [seen.json for seen in server.requests] == [
        {"input": {"text": "<Is it?>", "n": 1}},
        {"input": {"text": "<Really?>", "n": 1}, "thread": "s-1"},
    ]


async def test_a_template_with_messages_keeps_the_conversation_here(
    server: ScriptedServer,
) -> None:
    server.routes["POST /"] = stream({"delta": "Yes."}, "data: [DONE]\n\n")
    client = agent(server, body='{"messages": "{messages}", "model": "{agent}"}')
    first = await client.arun("Is it?")
    await client.arun("Really?", session=first)
    sent = server.requests[1].json
    assert sent["model"] == "helper"
    assert [m["content"] for m in sent["messages"]] == ["Is it?", "Yes.", "Really?"]


async def test_text_in_a_prompt_is_no_template(server: ScriptedServer) -> None:
    server.routes["POST /"] = stream({"delta": "x"}, "data: [DONE]\n\n")
    hostile = "{session_id} {messages} {prompt} {0.__class__} %s"
    await agent(server, body={"a": "{prompt}", "b": "{agent}: {prompt}"}).arun(hostile)
    assert server.requests[0].json == {"a": hostile, "b": f"helper: {hostile}"}


async def test_parameters_are_those_of_the_template(server: ScriptedServer) -> None:
    server.routes["POST /"] = stream({"delta": "x"}, "data: [DONE]\n\n")
    client = agent(server, params={"temperature": 0.5})
    await client.arun("q")
    await client.arun("q", temperature=1)
    assert [seen.json["temperature"] for seen in server.requests] == [0.5, 1]
    run = await client.arun("q", temprature=1, check=False)
    assert "no parameter 'temprature'. Did you mean 'temperature'?" in str(run.error)
    assert len(server.requests) == 2


async def test_a_json_response_is_the_whole_run(server: ScriptedServer) -> None:
    server.routes["POST /"] = Reply({"answer": "Forty-two."})
    run = await agent(server).arun("q")
    assert run.text == "Forty-two."
    assert run.status == "completed"


async def test_a_key_goes_where_the_options_say(server: ScriptedServer) -> None:
    server.routes["POST /"] = stream({"delta": "x"}, "data: [DONE]\n\n")
    options = {"key_header": "X-Key", "key_scheme": ""}
    client = agentnb.agent(
        "sse:h", base_url=server.url, api_key="canary-0123456789", options=options
    )
    run = await client.arun("q")
    assert server.requests[0].headers["x-key"] == "canary-0123456789"
    assert "canary" not in json.dumps(run.to_dict())


async def test_wrong_options(server: ScriptedServer) -> None:
    with pytest.raises(ConfigError, match="no parameter 'boddy'"):
        agent(server, boddy={})
    with pytest.raises(ConfigError, match="body"):
        agent(server, body="no JSON")
    with pytest.raises(ConfigError, match="sse has no address"):
        agentnb.agent("sse:h")


def test_a_vendor_s_stream_is_understood() -> None:
    with Sandbox(pace=0) as sandbox:
        client = agentnb.agent(
            "sse:finance_agent",
            base_url=sandbox.base_url("runtools"),
            api_key=sandbox.api_key,
            options={
                "path": "/v1/run",
                "body": {"agent": "{agent}", "prompt": "{prompt}", "stream": True},
                "key_header": "X-API-Key",
                "key_scheme": "",
            },
        )
        run = client.run("What is the NVDA stock price?")
    assert run.status == "completed"
    assert "NVDA" in run.text
    assert run.tool_calls
    assert run.usage is not None
