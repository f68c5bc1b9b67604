"""RunTools' dialect, against its API page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from agentnb.event.types import RawEvent
from agentnb.platforms.local import FunctionContext
from agentnb.sandbox import Sandbox

Frames = Callable[[str], list[Any]]


def ask(client: httpx.Client, prompt: str, agent: str = "echo", **fields: object) -> httpx.Response:
    answer = client.post("/v1/run", json={"agent": agent, "prompt": prompt, **fields})
    assert answer.status_code == 200, answer.text
    return answer


def test_ids_come_in_the_headers(runtools: httpx.Client) -> None:
    answer = ask(runtools, "x", threadId="thr_docs_example", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-thread-id"] == "thr_docs_example"
    assert answer.headers["x-run-id"].startswith("run_")
    assert ask(runtools, "x").headers["x-thread-id"].startswith("thr_")


def test_frames_are_named_by_category(runtools: httpx.Client, frames: Frames) -> None:
    told = {"text": "two words", "tools": 1, "reasoning": "hm"}
    answer = ask(runtools, json.dumps(told))
    stream = frames(answer.text)
    assert all(f.event == f.json["type"] for f in stream)
    start, *rest = [f.json for f in stream]
    assert start == {
        "type": "start",
        "runId": answer.headers["x-run-id"],
        "threadId": answer.headers["x-thread-id"],
        "agent": "echo",
    }
    assert rest == [
        {"type": "thinking", "content": "hm"},
        {"type": "tool_call", "tool": "echo_tool", "input": {"number": 1}},
        {"type": "tool_result", "tool": "echo_tool", "output": {"number": 1, "square": 1}},
        {"type": "text_delta", "content": "two "},
        {"type": "text_delta", "content": "words"},
        {
            "type": "complete",
            "output": "two words",
            "usage": {"inputTokens": 13, "outputTokens": 3, "totalTokens": 16},
            "iterations": 2,
        },
    ]


def test_an_error_is_a_frame(runtools: httpx.Client, frames: Frames) -> None:
    answer = ask(runtools, '{"text": "a b", "error_after": 1}')
    assert frames(answer.text)[-1].json == {
        "type": "error",
        "message": "The echo was set to fail.",
        "code": "ECHO_ERROR",
    }


def test_without_streaming_the_answer_is_json(runtools: httpx.Client) -> None:
    answer = ask(runtools, "hello", stream=False, threadId="thr_j")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "data": {
            "runId": answer.headers["x-run-id"],
            "threadId": "thr_j",
            "status": "completed",
            "result": "hello",
            "usage": {"inputTokens": 2, "outputTokens": 2, "totalTokens": 4},
            "iterations": 1,
        }
    }


def test_without_streaming_a_failed_run_is_an_error(runtools: httpx.Client) -> None:
    answer = runtools.post(
        "/v1/run", json={"agent": "echo", "prompt": '{"error_after": 0}', "stream": False}
    )
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "ECHO_ERROR"
    assert answer.headers["x-run-id"]


def test_a_thread_that_begins_with_messages_knows_them(
    sandbox: Sandbox, runtools: httpx.Client
) -> None:
    @sandbox.agent("recalls")
    def recalls(prompt: str, context: FunctionContext) -> str:
        return " ".join(m["content"] for m in context.history)

    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    body = {"agent": "recalls", "messages": messages, "stream": False}
    first = runtools.post("/v1/run", json=body).json()["data"]
    assert first["result"] == "one two"
    body = {"agent": "recalls", "prompt": "x", "threadId": first["threadId"], "stream": False}
    assert runtools.post("/v1/run", json=body).json()["data"]["result"] == "one two three one two"


def test_messages_bring_their_own_history(runtools: httpx.Client, frames: Frames) -> None:
    messages = [
        {"role": "user", "content": "How volatile is Tesla?"},
        {"role": "assistant", "content": "Very."},
        {"role": "user", "content": "and Intel?"},
    ]
    answer = runtools.post("/v1/run", json={"agent": "finance_agent", "messages": messages})
    assert "**Intel (INTC)** typically moved" in frames(answer.text)[-1].json["output"]


def test_a_thread_is_remembered(runtools: httpx.Client, frames: Frames) -> None:
    ask(runtools, "TSLA?", "finance_agent", threadId="thr_mem")
    answer = ask(runtools, "and over the past week?", "finance_agent", threadId="thr_mem")
    assert "**Tesla (TSLA)** stayed" in frames(answer.text)[-1].json["output"]


def test_config_and_metadata_reach_the_agent(sandbox: Sandbox, runtools: httpx.Client) -> None:
    seen: list[Any] = []

    @sandbox.agent("runtools_looks")
    def looks(prompt: str, context: FunctionContext) -> str:
        seen.append(context.params)
        return "seen"

    ask(
        runtools,
        "x",
        "runtools_looks",
        config={"maxTokens": 5, "maxTurns": 2, "temperature": 0.5},
        metadata={"colour": "blue"},
    )
    assert seen == [
        {"colour": "blue", "config": {"maxTokens": 5, "maxTurns": 2, "temperature": 0.5}}
    ]


def test_unknown_events_pass_as_they_are(
    sandbox: Sandbox, runtools: httpx.Client, frames: Frames
) -> None:
    @sandbox.agent("edits")
    def edits(prompt: str) -> Iterator[str | RawEvent]:
        yield RawEvent(name="file_edit", data='{"path": "a.ts", "diff": "+1"}')
        yield RawEvent(name="dev_url", data="no json")
        yield "done"

    stream = frames(ask(runtools, "x", "edits").text)
    assert [(f.event, f.json) for f in stream[1:3]] == [
        ("file_edit", {"type": "file_edit", "path": "a.ts", "diff": "+1"}),
        ("dev_url", {"type": "dev_url", "data": "no json"}),
    ]


def test_runs_are_listed(runtools: httpx.Client) -> None:
    first = ask(runtools, "x", threadId="thr_list").headers["x-run-id"]
    second = ask(runtools, '{"error_after": 0}').headers["x-run-id"]
    runs = runtools.get("/v1/run?agent=echo&limit=2").json()["data"]
    assert [(r["id"], r["status"]) for r in runs] == [(second, "failed"), (first, "completed")]
    assert runs[1]["threadId"] == "thr_list"
    assert runs[1]["createdAt"].endswith("Z")
    failed = runtools.get("/v1/run?status=failed&limit=1").json()["data"]
    assert [r["id"] for r in failed] == [second]
    assert runtools.get("/v1/run?agent=nobody").json() == {"data": []}


def test_agents_are_listed(runtools: httpx.Client) -> None:
    agents = {a["id"]: a for a in runtools.get("/v1/agents").json()["data"]}
    assert {"finance_agent", "echo"} <= set(agents)


def test_a_threads_events_are_durable(runtools: httpx.Client, frames: Frames) -> None:
    streams = [frames(ask(runtools, t, threadId="thr_ev").text) for t in ("one two", "three")]
    events = runtools.get("/v1/threads/thr_ev/events").json()["data"]
    assert [e["sequence"] for e in events] == list(range(1, len(events) + 1))
    told = [{"type": e["type"], **e["payload"]} for e in events]
    assert told == [f.json for stream in streams for f in stream]
    assert len({e["runId"] for e in events}) == 2
    assert all(e["createdAt"].endswith("Z") for e in events)
    assert runtools.get("/v1/threads/thr_none/events").status_code == 404


def test_closing_the_connection_stops_the_run(runtools: httpx.Client) -> None:
    with runtools.stream(
        "POST", "/v1/run", json={"agent": "echo", "prompt": '{"deltas": 9999, "delay_ms": 10}'}
    ) as answer:
        run = answer.headers["x-run-id"]
        next(answer.iter_bytes())
    for _ in range(200):
        (entry,) = [r for r in runtools.get("/v1/run").json()["data"] if r["id"] == run]
        if entry["status"] == "cancelled":
            return
        time.sleep(0.01)
    raise AssertionError("it goes on")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"prompt": "x"}, id="no agent"),
        pytest.param({"agent": "echo"}, id="nothing asked"),
        pytest.param(
            {"agent": "echo", "prompt": "x", "messages": [{"role": "user", "content": "x"}]},
            id="both",
        ),
        pytest.param({"agent": "echo", "messages": []}, id="no messages"),
        pytest.param(
            {"agent": "echo", "messages": [{"role": "assistant", "content": "x"}]},
            id="no question",
        ),
        pytest.param({"agent": "echo", "prompt": "x", "config": {"maxTurns": 0}}, id="no turns"),
        pytest.param({"agent": "echo", "prompt": "x", "stream": "maybe"}, id="stream"),
    ],
)
def test_a_wrong_body_is_refused(runtools: httpx.Client, body: dict[str, object]) -> None:
    answer = runtools.post("/v1/run", json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert set(error) == {"code", "message", "requestId"}
    assert error["code"] == "invalid_request"
    assert error["requestId"] == answer.headers["x-request-id"]


def test_an_unknown_agent_is_not_found(runtools: httpx.Client) -> None:
    answer = runtools.post("/v1/run", json={"agent": "nobody", "prompt": "x"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "agent_not_found"


def test_the_key_comes_as_x_api_key_or_bearer(sandbox: Sandbox) -> None:
    address = f"{sandbox.base_url('runtools')}/v1/agents"
    key = sandbox.api_key.get_secret_value()
    for headers, status in (
        ({"X-API-Key": key}, 200),
        ({"Authorization": f"Bearer {key}"}, 200),
        ({"X-API-Key": "wrong"}, 401),
        ({}, 401),
    ):
        answer = httpx.get(address, headers=headers, trust_env=False)
        assert answer.status_code == status
