"""SeekrFlow's dialect, against its API pages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from agentnb.events import Event, ToolCallDelta, ToolCallFinished, ToolCallStarted
from agentnb.platforms.local import FunctionContext
from agentnb.sandbox import Sandbox

Frames = Callable[[str], list[Any]]

RUN_FIELDS = {
    "id",
    "created_at",
    "agent_id",
    "thread_id",
    "status",
    "model",
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "object",
    "is_active",
    "started_at",
    "expires_at",
    "cancelled_at",
    "failed_at",
    "completed_at",
    "instructions",
    "tools",
    "meta_data",
    "usage",
    "max_completion_tokens",
    "truncation_strategy",
    "response_format",
    "tool_choice",
}


def new_thread(client: httpx.Client, *prompts: str) -> str:
    thread = client.post("/v1/threads", json={"meta_data": {}}).json()["id"]
    for prompt in prompts:
        body = {"role": "user", "content": prompt}
        assert client.post(f"/v1/threads/{thread}/messages", json=body).status_code == 200
    return thread


def stream(client: httpx.Client, thread: str, agent: str = "echo", **fields: object) -> str:
    answer = client.post(f"/v1/threads/{thread}/runs/stream", json={"agent_id": agent, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.text


def wait_for(client: httpx.Client, path: str, status: str) -> dict[str, Any]:
    run: dict[str, Any] = {}
    for _ in range(200):
        run = client.get(path).json()
        if run["status"] == status:
            return run
        time.sleep(0.01)
    raise AssertionError(f"{path} is not {status}: {run}")


# --- threads and messages ---


def test_a_thread_is_made_available_and_empty(seekr: httpx.Client) -> None:
    answer = seekr.post("/v1/threads", json={"meta_data": {"topic": "shares"}})
    thread = answer.json()
    assert answer.status_code == 200
    assert thread.pop("created_at").endswith("Z")
    assert thread == {
        "id": thread["id"],
        "object": "thread",
        "status": "available",
        "active_run_id": None,
        "meta_data": {"topic": "shares"},
    }
    assert seekr.get(f"/v1/threads/{thread['id']}").json()["id"] == thread["id"]
    assert thread["id"] in [t["id"] for t in seekr.get("/v1/threads?limit=100").json()]


def test_messages_are_listed_in_pages(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, "one", "two", "three")
    path = f"/v1/threads/{thread}/messages"

    def contents(query: str) -> list[str]:
        return [m["content"] for m in seekr.get(f"{path}?{query}").json()]

    assert contents("") == ["three", "two", "one"]
    assert contents("order=asc") == ["one", "two", "three"]
    assert contents("order=asc&limit=1&offset=1") == ["two"]
    assert contents("limit=0") == []


def test_an_answer_is_a_message_of_parts(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, json.dumps({"text": "done", "tools": 1, "reasoning": "hm"}))
    stream(seekr, thread)
    newest = seekr.get(f"/v1/threads/{thread}/messages").json()[0]
    assert newest["role"] == "assistant"
    assert newest["agent_id"] == "echo"
    call = {"toolCallId": "call_1", "toolName": "echo_tool"}
    assert newest["content"] == [
        {"type": "reasoning", "text": "hm"},
        {"type": "tool-call", **call, "args": {"number": 1}},
        {"type": "tool-result", **call, "result": {"number": 1, "square": 1}},
        {"type": "text", "text": "done"},
    ]


def test_content_may_be_a_list_of_parts(seekr: httpx.Client, frames: Frames) -> None:
    thread = new_thread(seekr)
    content = [{"type": "input_text", "text": "from parts"}]
    answer = seekr.post(f"/v1/threads/{thread}/messages", json={"role": "user", "content": content})
    assert answer.json()["content"] == content
    assert frames(stream(seekr, thread))[-1].json["final_output"] == "from parts"


# --- the page's stream ---


def test_the_pages_stream_has_every_chunk(seekr: httpx.Client, frames: Frames) -> None:
    told = {"text": "two words", "tools": 1, "reasoning": "hm"}
    chunks = [f.json for f in frames(stream(seekr, new_thread(seekr, json.dumps(told))))]
    assert all(chunk.pop("meta_data") == {} for chunk in chunks)
    assert chunks == [
        {"type": "user_prompt", "user_prompt": json.dumps(told)},
        {
            "type": "node_header",
            "node_type": "ModelRequestNode",
            "description": "streaming partial request tokens",
        },
        {"type": "stream_reasoning", "reasoning": "hm"},
        {
            "type": "node_header",
            "node_type": "CallToolsNode",
            "description": "streaming tool calls",
        },
        {
            "type": "streaming_tool_request",
            "tool_id": "call_1",
            "tool_name": "echo_tool",
            "tool_args": {"number": 1},
        },
        {
            "type": "streaming_tool_response",
            "tool_id": "call_1",
            "tool_output": {"number": 1, "square": 1},
        },
        {"type": "part_start_event", "part_index": 1, "part_content": "TextPart(content='')"},
        {"type": "final_result_event", "tool_name": None},
        {"type": "text_delta", "text": "two "},
        {"type": "text_delta", "text": "words"},
        {"type": "end_node", "final_output": "two words"},
    ]


def test_the_pages_stream_is_data_only(seekr: httpx.Client, frames: Frames) -> None:
    answer = frames(stream(seekr, new_thread(seekr, "x")))
    assert {(f.event, f.id) for f in answer} == {(None, None)}


def test_a_failed_run_ends_with_an_error_chunk_and_is_failed(
    seekr: httpx.Client, frames: Frames
) -> None:
    thread = new_thread(seekr, '{"text": "a b", "error_after": 1}')
    chunks = [f.json for f in frames(stream(seekr, thread))]
    assert chunks[-1]["type"] == "error"
    assert chunks[-1]["error"] == "The echo was told to fail."
    assert "end_node" not in [c["type"] for c in chunks]
    run = seekr.get(f"/v1/threads/{thread}/runs?limit=1").json()[0]
    assert run["status"] == "failed"
    assert run["failed_at"] is not None
    assert run["completed_at"] is None


def test_arguments_that_stream_are_announced_once_they_are_whole(
    sandbox: Sandbox, seekr: httpx.Client, frames: Frames
) -> None:
    register_streaming_tool(sandbox)
    chunks = [f.json for f in frames(stream(seekr, new_thread(seekr, "x"), "streams_arguments"))]
    kinds = [c["type"] for c in chunks]
    assert kinds[2:7] == [
        "tool_call_part_delta",
        "tool_call_part_delta",
        "node_header",
        "streaming_tool_request",
        "streaming_tool_response",
    ]
    assert [c["args_delta"] for c in chunks[2:4]] == ['{"city":', ' "Paris"}']
    assert chunks[5]["tool_args"] == {"city": "Paris"}
    assert chunks[6]["tool_output"] == {"result": "sunny"}


# --- the AI SDK's stream ---


def test_the_vercel_stream_has_parts_that_start_and_end(
    seekr: httpx.Client, frames: Frames
) -> None:
    told = {"text": "two words", "tools": 2, "tool_error": True, "reasoning": "hm"}
    thread = new_thread(seekr, json.dumps(told))
    answer = seekr.post(f"/v1/threads/{thread}/runs/stream/vercel", json={"agent_id": "echo"})
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    *chunks, done = frames(answer.text)
    assert done.data == "[DONE]"
    start, *rest = [c.json for c in chunks]
    assert start["type"] == "start"
    assert start["messageMetadata"]["thread_id"] == thread
    assert rest == [
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "reasoning_0"},
        {"type": "reasoning-delta", "id": "reasoning_0", "delta": "hm"},
        {"type": "reasoning-end", "id": "reasoning_0"},
        {"type": "tool-input-start", "toolCallId": "call_1", "toolName": "echo_tool"},
        {
            "type": "tool-input-available",
            "toolCallId": "call_1",
            "toolName": "echo_tool",
            "input": {"number": 1},
        },
        {
            "type": "tool-output-available",
            "toolCallId": "call_1",
            "output": {"number": 1, "square": 1},
        },
        {"type": "tool-input-start", "toolCallId": "call_2", "toolName": "echo_tool"},
        {
            "type": "tool-input-available",
            "toolCallId": "call_2",
            "toolName": "echo_tool",
            "input": {"number": 2},
        },
        {
            "type": "tool-output-error",
            "toolCallId": "call_2",
            "errorText": "The tool was told to fail.",
        },
        {"type": "text-start", "id": "text_1"},
        {"type": "text-delta", "id": "text_1", "delta": "two "},
        {"type": "text-delta", "id": "text_1", "delta": "words"},
        {
            "type": "data-usage",
            "data": {"prompt_tokens": 18, "completion_tokens": 3, "total_tokens": 21},
        },
        {"type": "text-end", "id": "text_1"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]


def test_the_vercel_stream_tells_an_error(seekr: httpx.Client, frames: Frames) -> None:
    thread = new_thread(seekr, '{"text": "a b", "error_after": 1}')
    answer = seekr.post(f"/v1/threads/{thread}/runs/stream/vercel", json={"agent_id": "echo"})
    *_, error, done = frames(answer.text)
    assert error.json == {"type": "error", "errorText": "The echo was told to fail."}
    assert done.data == "[DONE]"


def test_the_vercel_stream_streams_arguments(
    sandbox: Sandbox, seekr: httpx.Client, frames: Frames
) -> None:
    register_streaming_tool(sandbox)
    thread = new_thread(seekr, "x")
    answer = seekr.post(
        f"/v1/threads/{thread}/runs/stream/vercel", json={"agent_id": "streams_arguments"}
    )
    chunks = [f.json for f in frames(answer.text)[:-1]]
    assert [c["inputTextDelta"] for c in chunks if c["type"] == "tool-input-delta"] == [
        '{"city":',
        ' "Paris"}',
    ]
    available = next(c for c in chunks if c["type"] == "tool-input-available")
    assert available["input"] == {"city": "Paris"}


# --- runs ---


def test_a_run_has_every_field_of_the_page(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, "NVDA?")
    stream(
        seekr,
        thread,
        "finance_agent",
        model_settings={"temperature": 0.5, "top_p": 0.9, "max_tokens": 100},
        metadata={"team": "blue"},
    )
    run = seekr.get(f"/v1/threads/{thread}/runs").json()[0]
    assert set(run) == RUN_FIELDS
    assert run["object"] == "thread.run"
    assert (run["agent_id"], run["thread_id"], run["status"]) == (
        "finance_agent",
        thread,
        "completed",
    )
    assert (run["temperature"], run["top_p"], run["max_completion_tokens"]) == (0.5, 0.9, 100)
    assert run["meta_data"] == {"team": "blue"}
    assert run["is_active"] is False
    usage = run["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"] > 0
    assert run["created_at"] <= run["started_at"] <= run["completed_at"]
    assert seekr.get(f"/v1/threads/{thread}/runs/{run['id']}").json() == run


def test_runs_are_listed_in_pages(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, "x")
    ids: list[str] = []
    for _ in range(5):
        answer = seekr.post(f"/v1/threads/{thread}/runs", json={"agent_id": "echo"}).json()
        ids.append(answer["run_id"])

    def listed(query: str) -> list[str]:
        return [r["id"] for r in seekr.get(f"/v1/threads/{thread}/runs?{query}").json()]

    assert listed("") == ids[::-1]
    assert listed("order=asc") == ids
    assert listed("order=asc&limit=2&offset=1") == ids[1:3]
    assert listed("limit=0") == []
    assert listed("offset=5") == []


def test_a_run_in_the_background_goes_on_without_a_client(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, '{"deltas": 30, "delay_ms": 2}')
    answer = seekr.post(f"/v1/threads/{thread}/runs", json={"agent_id": "echo", "group": "g"})
    run = answer.json()
    assert run == {
        "run_id": run["run_id"],
        "thread_id": thread,
        "status": "queued",
        "group": "g",
    }
    locked = seekr.get(f"/v1/threads/{thread}").json()
    assert (locked["status"], locked["active_run_id"]) == ("locked", run["run_id"])
    wait_for(seekr, f"/v1/threads/{thread}/runs/{run['run_id']}", "completed")
    free = seekr.get(f"/v1/threads/{thread}").json()
    assert (free["status"], free["active_run_id"]) == ("available", None)


def test_attach_sends_a_run_from_its_beginning_while_it_goes_on(
    seekr: httpx.Client, frames: Frames
) -> None:
    thread = new_thread(seekr, '{"deltas": 40, "delay_ms": 3}')
    run = seekr.post(f"/v1/threads/{thread}/runs", json={"agent_id": "echo"}).json()["run_id"]
    answer = seekr.get(f"/v1/threads/{thread}/runs/{run}/attach")
    texts = [f.json["text"] for f in frames(answer.text) if f.json["type"] == "text_delta"]
    assert texts == [f"{n:04d} " for n in range(40)]
    again = seekr.get(f"/v1/threads/{thread}/runs/{run}/attach")
    assert again.text == answer.text


def test_a_client_that_leaves_an_attached_run_does_not_end_it(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, '{"deltas": 40, "delay_ms": 3}')
    run = seekr.post(f"/v1/threads/{thread}/runs", json={"agent_id": "echo"}).json()["run_id"]
    path = f"/v1/threads/{thread}/runs/{run}"
    with seekr.stream("GET", f"{path}/attach") as answer:
        next(answer.iter_bytes())
    wait_for(seekr, path, "completed")


def test_cancel_stops_a_run(seekr: httpx.Client, frames: Frames) -> None:
    thread = new_thread(seekr, '{"deltas": 100000, "delay_ms": 5}')
    run = seekr.post(f"/v1/threads/{thread}/runs", json={"agent_id": "echo"}).json()["run_id"]
    path = f"/v1/threads/{thread}/runs/{run}"
    answer = seekr.post(f"{path}/cancel", json={"agent_id": "echo"})
    assert answer.json() == {"status": "canceled", "run_id": run}
    state = seekr.get(path).json()
    assert state["status"] == "canceled"
    assert state["cancelled_at"] is not None
    chunks = [f.json["type"] for f in frames(seekr.get(f"{path}/attach").text)]
    assert "end_node" not in chunks
    assert seekr.post(f"{path}/cancel", json={}).json()["status"] == "canceled"
    assert seekr.post(f"{path}/cancel", json={"agent_id": "other"}).status_code == 404


def test_a_json_schema_is_answered_with_json(seekr: httpx.Client, frames: Frames) -> None:
    schema = {
        "type": "object",
        "properties": {
            "ticker": {"type": "string"},
            "price": {"type": "number"},
            "change": {"type": "number"},
        },
        "required": ["ticker", "price"],
    }
    thread = new_thread(seekr, "What is the current NVDA stock price?")
    text = stream(seekr, thread, "finance_agent", response_format={"json_schema": schema})
    answer = json.loads(frames(text)[-1].json["final_output"])
    assert answer == {"ticker": "NVDA", "price": 142.5, "change": -1.22}
    run = seekr.get(f"/v1/threads/{thread}/runs").json()[0]
    assert run["response_format"] == {"json_schema": schema}


def test_metadata_team_and_settings_reach_the_agent(sandbox: Sandbox, seekr: httpx.Client) -> None:
    seen: dict[str, Any] = {}

    @sandbox.agent("looks")
    def looks(prompt: str, context: FunctionContext) -> str:
        seen.update(context.params)
        return "seen"

    thread = new_thread(seekr, "x")
    answer = seekr.post(
        f"/v1/threads/{thread}/runs/stream",
        json={"agent_id": "looks", "metadata": {"colour": "blue"}, "group": "g1"},
        headers={"x-team-id": "team-7"},
    )
    assert answer.status_code == 200
    assert seen["colour"] == "blue"
    assert seen["group"] == "g1"
    assert seen["team_id"] == "team-7"
    assert seen["model_settings"]["temperature"] == 1


def test_the_default_agent_answers(seekr: httpx.Client, frames: Frames) -> None:
    thread = new_thread(seekr, "hello")
    answer = seekr.post(f"/v1/threads/{thread}/runs/stream", json={})
    assert "sample prices" in frames(answer.text)[-1].json["final_output"]
    assert seekr.get(f"/v1/threads/{thread}/runs").json()[0]["agent_id"] == "default_agent"


def test_a_thread_remembers_what_was_said(seekr: httpx.Client, frames: Frames) -> None:
    thread = new_thread(seekr, "How volatile is Tesla?")
    stream(seekr, thread, "finance_agent")
    body = {"role": "user", "content": "and Intel?"}
    seekr.post(f"/v1/threads/{thread}/messages", json=body)
    output = frames(stream(seekr, thread, "finance_agent"))[-1].json["final_output"]
    assert "**Intel (INTC)** typically moved" in output


def test_agents_are_listed(seekr: httpx.Client) -> None:
    agents = {a["id"]: a for a in seekr.get("/v2/flow/agents/").json()["data"]}
    assert {"finance_agent", "echo"} <= set(agents)
    assert agents["finance_agent"]["description"].startswith("Prices, changes")


# --- refusals ---


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        pytest.param(
            {"model_settings": {"temperature": 3}},
            ["body", "model_settings", "temperature"],
            "less_than_equal",
            id="too hot",
        ),
        pytest.param(
            {"model_settings": {"top_p": -0.1}},
            ["body", "model_settings", "top_p"],
            "greater_than_equal",
            id="top_p",
        ),
        pytest.param(
            {"model_settings": {"frequency_penalty": -2.5}},
            ["body", "model_settings", "frequency_penalty"],
            "greater_than_equal",
            id="frequency",
        ),
        pytest.param(
            {"model_settings": {"presence_penalty": 2.5}},
            ["body", "model_settings", "presence_penalty"],
            "less_than_equal",
            id="presence",
        ),
        pytest.param(
            {"model_settings": {"max_tokens": "many"}},
            ["body", "model_settings", "max_tokens"],
            "int_parsing",
            id="max_tokens",
        ),
        pytest.param({"group": None}, ["body", "group"], "string_type", id="null group"),
        pytest.param(
            {"metadata": {"n": 1}}, ["body", "metadata", "n"], "string_type", id="metadata"
        ),
        pytest.param(
            {"response_format": {}},
            ["body", "response_format", "json_schema"],
            "missing",
            id="no schema",
        ),
    ],
)
def test_a_wrong_run_is_refused_field_by_field(
    seekr: httpx.Client, body: dict[str, object], loc: list[str], kind: str
) -> None:
    thread = new_thread(seekr, "x")
    for way in ("", "/stream", "/stream/vercel"):
        answer = seekr.post(f"/v1/threads/{thread}/runs{way}", json={"agent_id": "echo", **body})
        assert answer.status_code == 422
        (problem,) = answer.json()["detail"]
        assert (problem["loc"], problem["type"]) == (loc, kind)
        assert problem["msg"]


def test_a_body_that_is_no_json_is_refused(seekr: httpx.Client) -> None:
    answer = seekr.post(
        "/v1/threads", content=b'{"meta_data": ', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "json_invalid"
    assert seekr.post("/v1/threads").json()["detail"][0]["type"] == "missing"


@pytest.mark.parametrize(
    ("query", "name"),
    [("limit=-1", "limit"), ("order=up", "order"), ("offset=x", "offset")],
    ids=["limit", "order", "offset"],
)
def test_wrong_paging_is_refused(seekr: httpx.Client, query: str, name: str) -> None:
    thread = new_thread(seekr)
    answer = seekr.get(f"/v1/threads/{thread}/runs?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", name]


def test_what_is_not_there_is_not_found(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, "x")
    other = new_thread(seekr, "x")
    run = seekr.post(f"/v1/threads/{other}/runs", json={"agent_id": "echo"}).json()["run_id"]
    for answer in (
        seekr.get("/v1/threads/thread_none"),
        seekr.get("/v1/threads/thread_none/runs"),
        seekr.post("/v1/threads/thread_none/messages", json={"role": "user", "content": "x"}),
        seekr.get(f"/v1/threads/{thread}/runs/run_none"),
        seekr.get(f"/v1/threads/{thread}/runs/{run}"),
        seekr.post(f"/v1/threads/{thread}/runs/stream", json={"agent_id": "nobody"}),
        seekr.get("/v1/nothing"),
    ):
        assert answer.status_code == 404
        body = answer.json()
        assert set(body) == {"error", "message", "status"}
        assert body["status"] == 404


def test_a_thread_without_a_question_cannot_be_run(seekr: httpx.Client) -> None:
    answer = seekr.post(f"/v1/threads/{new_thread(seekr)}/runs/stream", json={})
    assert answer.status_code == 400
    assert answer.json()["error"] == "no_message"


def test_the_key_comes_raw_or_as_bearer(sandbox: Sandbox) -> None:
    address = f"{sandbox.base_url('seekr')}/v1/threads"
    key = sandbox.api_key.get_secret_value()
    for value, status in ((key, 200), (f"Bearer {key}", 200), ("wrong", 401), (None, 401)):
        headers = {} if value is None else {"Authorization": value}
        answer = httpx.post(address, json={}, headers=headers, trust_env=False)
        assert answer.status_code == status


def register_streaming_tool(sandbox: Sandbox) -> None:
    @sandbox.agent("streams_arguments")
    def streams_arguments(prompt: str) -> Iterator[str | Event]:
        yield ToolCallStarted(call_id="c", name="weather")
        yield ToolCallDelta(call_id="c", arguments='{"city":')
        yield ToolCallDelta(call_id="c", arguments=' "Paris"}')
        yield ToolCallFinished(call_id="c", result="sunny")
        yield "It is sunny."
