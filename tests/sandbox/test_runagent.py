"""run-agent.ai's dialect, against its API page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agentnb.sandbox import Sandbox

Frames = Callable[[str], list[Any]]


def ask(client: httpx.Client, query: str, agent: str = "echo", **fields: object) -> httpx.Response:
    return client.post(f"/v1/agents/{agent}/stream", json={"query": query, **fields})


def test_a_stream_is_start_chunks_and_done(runagent: httpx.Client, frames: Frames) -> None:
    answer = ask(runagent, "The weather in San Francisco", session_id="abc123")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    start, *chunks, done = frames(answer.text)
    assert (start.event, start.json) == (
        "start",
        {"message": "Stream started", "session_id": "abc123"},
    )
    assert [c.event for c in chunks] == ["chunk"] * 5
    assert [c.json for c in chunks] == [
        {"content": text, "index": n}
        for n, text in enumerate(["The ", "weather ", "in ", "San ", "Francisco"])
    ]
    assert done.event == "done"
    assert done.json["message"] == "Stream complete"
    assert done.json["usage"] == {"prompt_tokens": 7, "completion_tokens": 7, "total_tokens": 14}
    assert 0 <= done.json["execution_time"] < 20


def test_an_error_in_the_stream_has_code_and_retry_after(
    runagent: httpx.Client, frames: Frames
) -> None:
    told = {
        "text": "a b c d",
        "error_after": 2,
        "error": "Model overloaded",
        "error_code": "CAPACITY_ERROR",
        "retry_after": 30,
    }
    answer = ask(runagent, json.dumps(told))
    _start, *chunks, error = frames(answer.text)
    assert [c.json["content"] for c in chunks] == ["a ", "b "]
    assert error.event == "error"
    assert error.json == {"error": "Model overloaded", "code": "CAPACITY_ERROR", "retry_after": 30}


def test_an_exception_in_the_agent_is_an_error_event(
    runagent: httpx.Client, frames: Frames
) -> None:
    answer = ask(runagent, json.dumps({"error_after": 0, "crash": True, "error": "Broken"}))
    assert frames(answer.text)[-1].json == {
        "error": "RuntimeError: Broken",
        "code": "STREAM_ERROR",
    }


def test_chunk_size_cuts_the_text_into_equal_pieces(runagent: httpx.Client, frames: Frames) -> None:
    text = "äöü🎉 and so on, for a while"
    answer = ask(runagent, text, parameters={"chunk_size": 10})
    contents = [f.json["content"] for f in frames(answer.text) if f.event == "chunk"]
    assert [len(c) for c in contents] == [10, 10, 7]
    assert "".join(contents) == text


def test_stream_delay_ms_waits_between_chunks(runagent: httpx.Client, frames: Frames) -> None:
    begin = time.monotonic()
    answer = ask(runagent, "one two three four", parameters={"stream_delay_ms": 50})
    assert len([f for f in frames(answer.text) if f.event == "chunk"]) == 4
    # At least the pauses between the chunks; how long the machine takes is another matter.
    assert time.monotonic() - begin >= 0.15


def test_resuming_sends_the_rest_of_the_same_answer(runagent: httpx.Client, frames: Frames) -> None:
    whole = ask(runagent, '{"deltas": 20}', session_id="resumed")
    chunks = [f.json for f in frames(whole.text) if f.event == "chunk"]
    rest = ask(runagent, "Continue", session_id="resumed", parameters={"resume_from_index": 15})
    frames_of_rest = frames(rest.text)
    assert [f.json for f in frames_of_rest if f.event == "chunk"] == chunks[15:]
    assert frames_of_rest[0].json["session_id"] == "resumed"
    assert frames_of_rest[-1].event == "done"


def test_resuming_a_run_that_broke_off_does_it_again(
    runagent: httpx.Client, frames: Frames
) -> None:
    told = json.dumps({"deltas": 50, "delay_ms": 20})
    with runagent.stream(
        "POST", "/v1/agents/echo/stream", json={"query": told, "session_id": "cut"}
    ) as answer:
        for line in answer.iter_lines():
            if '"index":3' in line:
                break
    rest = ask(runagent, "go on", session_id="cut", parameters={"resume_from_index": 4})
    chunks = [f.json for f in frames(rest.text) if f.event == "chunk"]
    assert [c["index"] for c in chunks] == list(range(4, 50))
    assert chunks[0]["content"] == "0004 "


def test_resuming_without_a_run_before_skips_what_the_client_has(
    runagent: httpx.Client, frames: Frames
) -> None:
    answer = ask(runagent, "a b c d", session_id="new", parameters={"resume_from_index": 2})
    assert [f.json["index"] for f in frames(answer.text) if f.event == "chunk"] == [2, 3]


def test_parameters_reach_the_agent(runagent: httpx.Client, frames: Frames) -> None:
    answer = ask(runagent, "prompt", parameters={"text": "told", "usage": False})
    assert [f.json.get("content") for f in frames(answer.text)][1] == "told"
    assert frames(answer.text)[-1].json["usage"] == {}


def test_invoke_answers_at_once(runagent: httpx.Client) -> None:
    answer = runagent.post(
        "/v1/agents/finance_agent/invoke", json={"query": "NVDA price?", "session_id": "inv"}
    )
    body = answer.json()
    assert answer.status_code == 200
    assert "**NVIDIA (NVDA)** closed at" in body["result"]
    assert body["usage"]["total_tokens"] > 20
    assert body["metadata"]["session_id"] == "inv"


def test_a_session_is_remembered_across_stream_and_invoke(
    runagent: httpx.Client, frames: Frames
) -> None:
    runagent.post("/v1/agents/finance_agent/invoke", json={"query": "TSLA?", "session_id": "mem"})
    answer = ask(runagent, "and over the past week?", agent="finance_agent", session_id="mem")
    text = "".join(f.json.get("content", "") for f in frames(answer.text))
    assert "**Tesla (TSLA)**" in text
    assert "over the past week" in text


def test_a_failing_agent_makes_invoke_fail(runagent: httpx.Client) -> None:
    answer = runagent.post("/v1/agents/echo/invoke", json={"query": '{"error_after": 0}'})
    assert answer.status_code == 500
    assert answer.json()["error"] == {
        "code": "ECHO_ERROR",
        "message": "The echo was set to fail.",
        "details": {},
        "status": 500,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "query", id="no query"),
        pytest.param({"query": ""}, "query", id="empty query"),
        pytest.param({"query": 3}, "query", id="query no text"),
        pytest.param({"query": "x", "parameters": [1]}, "parameters", id="parameters a list"),
        pytest.param(
            {"query": "x", "parameters": {"chunk_size": 0}}, "parameters.chunk_size", id="no size"
        ),
        pytest.param(
            {"query": "x", "parameters": {"resume_from_index": -1}},
            "parameters.resume_from_index",
            id="negative index",
        ),
        pytest.param(
            {"query": "x", "parameters": {"stream_delay_ms": "soon"}},
            "parameters.stream_delay_ms",
            id="delay no number",
        ),
    ],
)
def test_a_wrong_body_is_refused_field_by_field(
    runagent: httpx.Client, body: dict[str, object], field: str
) -> None:
    for way in ("stream", "invoke"):
        answer = runagent.post(f"/v1/agents/echo/{way}", json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["status"]) == (422, 422)
        assert error["code"] == "VALIDATION_ERROR"
        assert [f["field"] for f in error["details"]["fields"]] == [field]


def test_an_unknown_agent_is_not_found(runagent: httpx.Client) -> None:
    answer = ask(runagent, "x", agent="nobody")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "AGENT_NOT_FOUND"


def test_the_key_is_a_bearer_token(sandbox: Sandbox) -> None:
    address = f"{sandbox.base_url('runagent')}/v1/agents/echo/stream"
    key = sandbox.api_key.get_secret_value()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": key}):
        answer = httpx.post(address, json={"query": "x"}, headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "UNAUTHORIZED"
