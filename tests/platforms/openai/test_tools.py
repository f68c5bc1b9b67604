"""Tools of the client in the bodies of both APIs."""

from __future__ import annotations

from typing import Any

import pytest

from agentnb.platforms.openai import OpenAIPlatform
from agentnb.platforms.openai.wire import Api
from agentnb.plugin import ClientToolCall, ToolRound, ToolSpec
from tests.platforms.openai.bodies import CALLS, STREAMS, ask, collected
from tests.platforms.scripted import ScriptedServer

pytestmark = pytest.mark.anyio

PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL = ToolSpec(name="add", description="Add.", parameters=PARAMETERS)
CALL = ClientToolCall(call_id="c1", name="add", arguments='{"a": 1}', output="2")
OTHER = ClientToolCall(call_id="c2", name="add", arguments="{}", output="Error: no")
SEARCH = {"type": "web_search"}


async def body_of(
    server: ScriptedServer, one: OpenAIPlatform, api: Api, **fields: Any
) -> dict[str, Any]:
    server.on(CALLS[api], STREAMS[api])
    await collected(one.stream(ask(**fields)))
    return server.only(CALLS[api]).json


async def test_they_are_described_beside_those_of_the_server(
    server: ScriptedServer, one: OpenAIPlatform, api: Api
) -> None:
    body = await body_of(server, one, api, tools=[TOOL], params={"tools": [SEARCH]})
    function = {"name": "add", "description": "Add.", "parameters": PARAMETERS}
    if api == "responses":
        described = {"type": "function", **function, "strict": False}
    else:
        described = {"type": "function", "function": function}
    assert body["tools"] == [described, SEARCH]


async def test_results_follow_the_prompt(
    server: ScriptedServer, one: OpenAIPlatform, api: Api
) -> None:
    rounds = [ToolRound(text="Let me see.", calls=[CALL, OTHER]), ToolRound(text="", calls=[CALL])]
    body = await body_of(server, one, api, tools=[TOOL], tool_rounds=rounds)
    if api == "responses":
        assert [item.get("type", item.get("role")) for item in body["input"]] == [
            *("user", "assistant", "function_call", "function_call"),
            *("function_call_output", "function_call_output"),
            *("function_call", "function_call_output"),
        ]
        assert body["input"][2] == {
            "type": "function_call",
            "call_id": "c1",
            "name": "add",
            "arguments": '{"a": 1}',
        }
        output = {"type": "function_call_output", "call_id": "c2", "output": "Error: no"}
        assert body["input"][5] == output
        return
    assert [message["role"] for message in body["messages"]] == [
        *("user", "assistant", "tool", "tool", "assistant", "tool")
    ]
    assert body["messages"][1]["content"] == "Let me see."
    assert body["messages"][1]["tool_calls"][0] == {
        "id": "c1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a": 1}'},
    }
    assert body["messages"][3] == {"role": "tool", "tool_call_id": "c2", "content": "Error: no"}
    assert body["messages"][4].get("content") is None
