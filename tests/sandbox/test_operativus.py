"""OperativusAI's dialect, against its API page."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agentnb.platforms.local import FunctionContext
from agentnb.sandbox import Sandbox

Frames = Callable[[str], list[Any]]

AGENT = "/api/agents/echo/runs"


def ask(client: httpx.Client, message: str, agent: str = "echo", **fields: object) -> str:
    answer = client.post(f"/api/agents/{agent}/runs/stream", json={"message": message, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.text


def background(client: httpx.Client, message: str, agent: str = "echo", **fields: object) -> str:
    answer = client.post(
        f"/api/agents/{agent}/runs/background", json={"message": message, **fields}
    )
    assert answer.status_code == 202
    assert answer.json()["status"] == "QUEUED"
    return answer.json()["runId"]


def wait_for(client: httpx.Client, run: str, status: str) -> dict[str, Any]:
    entity: dict[str, Any] = {}
    for _ in range(300):
        entity = client.get(f"/api/v1/runs/{run}").json()
        if entity["status"] == status:
            return entity
        time.sleep(0.01)
    raise AssertionError(f"{run} is not {status}: {entity}")


# --- the stream ---


def test_a_stream_has_the_pages_events(operativus: httpx.Client, frames: Frames) -> None:
    session = str(uuid.uuid4())
    told = {"text": "is **$875.40**", "tools": 1, "reasoning": "I should call.", "usage": False}
    answer = frames(ask(operativus, json.dumps(told), sessionId=session))
    assert {(f.event, f.id) for f in answer} == {(None, None)}
    events = [f.json for f in answer]
    assert all(set(e) == {"event", "data", "timestamp"} for e in events)
    assert all(isinstance(e["data"], str) for e in events)
    times = [e["timestamp"] for e in events]
    assert times == sorted(times)
    assert abs(times[0] / 1000 - time.time()) < 60
    start = json.loads(events[0]["data"])
    assert events[0]["event"] == "START"
    assert set(start) == {"runId", "sessionId"}
    assert start["sessionId"] == session
    said = [(e["event"], e["data"]) for e in events[1:]]
    assert said == [
        ("REASONING_DELTA", "I "),
        ("REASONING_DELTA", "should "),
        ("REASONING_DELTA", "call."),
        ("TOOL_START", '{"name":"echo_tool","arguments":{"number":1}}'),
        ("TOOL_END", '{"name":"echo_tool","result":"{\\"number\\": 1, \\"square\\": 1}"}'),
        ("CONTENT_DELTA", "is "),
        ("CONTENT_DELTA", "**$875.40**"),
        ("STOP", ""),
    ]


def test_usage_comes_as_metrics_before_the_stop(operativus: httpx.Client, frames: Frames) -> None:
    *_, metrics, stop = [f.json for f in frames(ask(operativus, "four"))]
    assert stop["event"] == "STOP"
    assert metrics["event"] == "METRICS"
    assert json.loads(metrics["data"]) == {
        "inputTokens": 1,
        "outputTokens": 1,
        "totalTokens": 2,
        "llmCalls": 1,
        "model": "sandbox-echo-1",
    }


def test_followups_ride_on_stop_where_they_are_asked_for(
    operativus: httpx.Client, frames: Frames
) -> None:
    told = '{"text": "x", "followups": 2}'
    asked = frames(ask(operativus, told, generateFollowups=True))[-1].json
    assert json.loads(asked["data"]) == {
        "followups": ["Say it 1 times more", "Say it 2 times more"]
    }
    assert frames(ask(operativus, told))[-1].json["data"] == ""


def test_an_error_ends_the_stream(operativus: httpx.Client, frames: Frames) -> None:
    events = [f.json for f in frames(ask(operativus, '{"text": "a b", "error_after": 1}'))]
    assert [(e["event"], e["data"]) for e in events[1:]] == [
        ("CONTENT_DELTA", "a "),
        ("ERROR", "The echo was set to fail."),
    ]


def test_a_failing_tool_is_a_tool_error(operativus: httpx.Client, frames: Frames) -> None:
    told = '{"text": "x", "tools": 1, "tool_error": true}'
    events = [f.json for f in frames(ask(operativus, told))]
    assert [e["event"] for e in events[1:4]] == ["TOOL_START", "TOOL_ERROR", "CONTENT_DELTA"]
    assert json.loads(events[2]["data"]) == {
        "name": "echo_tool",
        "error": "The tool was set to fail.",
    }


def test_a_session_is_remembered_and_made_where_there_is_none(
    operativus: httpx.Client, frames: Frames
) -> None:
    first = frames(ask(operativus, "How has Tesla changed this year?", "finance_agent"))
    session = json.loads(first[0].json["data"])["sessionId"]
    assert uuid.UUID(session)
    second = frames(ask(operativus, "And Intel?", "finance_agent", sessionId=session))
    text = "".join(f.json["data"] for f in second if f.json["event"] == "CONTENT_DELTA")
    assert "**Intel (INTC)** went" in text
    assert "this year" in text


def test_the_whole_request_reaches_the_agent(sandbox: Sandbox, operativus: httpx.Client) -> None:
    seen: list[tuple[str, FunctionContext]] = []

    @sandbox.agent("looks_closely")
    async def looks_closely(prompt: str, context: FunctionContext) -> str:
        seen.append((prompt, context))
        return "seen"

    body = {
        "message": "Grüße 🎉",
        "sessionId": "s-1",
        "userId": "u-1",
        "orgId": "o-1",
        "generateFollowups": True,
        "media": [
            {"type": "image/png", "data": base64.b64encode(b"\x89PNG").decode()},
            {"type": "image/jpeg", "data": "https://pictures.example/cat.jpg"},
        ],
        "options": {"model": "large", "temperature": 0.1, "maxTokens": 10, "colour": "blue"},
    }
    operativus.post("/api/agents/looks_closely/runs/stream", json=body)
    prompt, context = seen[0]
    assert prompt == "Grüße 🎉"
    assert context.session_id == "s-1"
    assert context.params == {
        "model": "large",
        "temperature": 0.1,
        "maxTokens": 10,
        "colour": "blue",
        "user_id": "u-1",
        "org_id": "o-1",
    }
    png, jpeg = context.media
    assert (png.mime_type, png.data) == ("image/png", b"\x89PNG")
    assert (jpeg.mime_type, jpeg.url) == ("image/jpeg", "https://pictures.example/cat.jpg")


# --- the other ways to run ---


def test_a_synchronous_run_answers_with_everything(operativus: httpx.Client) -> None:
    told = {"text": "done", "tools": 1, "reasoning": "hm", "followups": 1}
    answer = operativus.post(
        AGENT, json={"message": json.dumps(told), "sessionId": "s", "generateFollowups": True}
    )
    body = answer.json()
    assert answer.status_code == 200
    assert body["runId"].startswith("run_")
    assert body["sessionId"] == "s"
    assert body["content"] == "done"
    assert body["status"] == "COMPLETED"
    assert body["reasoningSteps"] == ["hm"]
    assert body["tools"] == [
        {
            "name": "echo_tool",
            "arguments": {"number": 1},
            "result": '{"number": 1, "square": 1}',
        }
    ]
    assert body["metrics"]["totalTokens"] == 17
    assert body["metadata"]["followups"] == ["Say it 1 times more"]


def test_a_synchronous_run_that_fails_says_so(operativus: httpx.Client) -> None:
    body = operativus.post(AGENT, json={"message": '{"error_after": 0}'}).json()
    assert body["status"] == "FAILED"
    assert body["metadata"]["error"] == "The echo was set to fail."


def test_a_run_in_the_background_can_be_asked_for(operativus: httpx.Client) -> None:
    run = background(operativus, '{"deltas": 5}')
    entity = wait_for(operativus, run, "COMPLETED")
    assert entity["output"] == "0000 0001 0002 0003 0004 "
    assert entity["input"] == '{"deltas": 5}'
    assert entity["createdAt"].endswith("Z")
    assert entity["completedAt"].endswith("Z")
    assert operativus.get(f"{AGENT}/{run}/status").json() == entity
    assert operativus.get(f"/api/agents/finance_agent/runs/{run}/status").status_code == 404


def test_batch_status_has_the_pages_fields_and_leaves_out_what_is_missing(
    operativus: httpx.Client,
) -> None:
    done = background(operativus, "x", sessionId="b")
    wait_for(operativus, done, "COMPLETED")
    going = background(operativus, '{"deltas": 1000, "delay_ms": 50}', sessionId="b")
    wait_for(operativus, going, "RUNNING")
    rows = operativus.get(f"{AGENT}/status?runIds={done},run_missing,{going}").json()
    assert [set(r) for r in rows] == [
        {"id", "agentId", "sessionId", "status", "createdAt", "completedAt"}
    ] * 2
    assert [(r["id"], r["status"]) for r in rows] == [(done, "COMPLETED"), (going, "RUNNING")]
    assert rows[1]["completedAt"] is None
    assert rows[0]["agentId"] == "echo"
    operativus.delete(f"{AGENT}/{going}")


def test_batch_status_takes_a_hundred_ids(operativus: httpx.Client) -> None:
    ids = [f"run_{n}" for n in range(101)]
    assert operativus.get(f"{AGENT}/status?runIds={','.join(ids[:100])}").json() == []
    answer = operativus.get(f"{AGENT}/status?runIds={','.join(ids)}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert operativus.get(f"{AGENT}/status").status_code == 400


@pytest.mark.parametrize("way", ["delete", "post"])
def test_cancel_stops_a_run_and_tells_its_readers(
    operativus: httpx.Client, frames: Frames, way: str
) -> None:
    run = background(operativus, '{"deltas": 100000, "delay_ms": 5}')
    wait_for(operativus, run, "RUNNING")
    address = f"{AGENT}/{run}" if way == "delete" else f"/api/v1/runs/{run}/cancel"
    answer = operativus.request(way.upper(), address)
    assert (answer.status_code, answer.content) == (204, b"")
    assert wait_for(operativus, run, "CANCELLED")["completedAt"] is not None
    events = frames(operativus.get(f"/api/v1/runs/{run}/events").text)
    assert events[-1].event == "CANCELLED"


def test_events_are_numbered_and_can_be_had_since_one(
    operativus: httpx.Client, frames: Frames
) -> None:
    run = background(operativus, '{"text": "a b c", "usage": false}')
    path = f"/api/v1/runs/{run}/events"
    whole = frames(operativus.get(path).text)
    assert [(f.id, f.event) for f in whole] == [
        ("1", "START"),
        ("2", "CONTENT_DELTA"),
        ("3", "CONTENT_DELTA"),
        ("4", "CONTENT_DELTA"),
        ("5", "STOP"),
    ]
    assert whole[1].json["event"] == "CONTENT_DELTA"
    later = frames(operativus.get(f"{path}?sinceId=3").text)
    assert [(f.id, f.json["data"]) for f in later] == [("4", "c"), ("5", "")]
    by_header = frames(operativus.get(path, headers={"Last-Event-ID": "3"}).text)
    assert [f.id for f in by_header] == ["4", "5"]
    assert operativus.get(f"{path}?sinceId=-1").status_code == 400


def test_runs_are_listed_by_session_agent_and_status_in_pages(operativus: httpx.Client) -> None:
    ids = [background(operativus, f"{n}", sessionId="listed") for n in range(3)]
    failed = background(operativus, '{"error_after": 0}', sessionId="listed")
    for run in ids:
        wait_for(operativus, run, "COMPLETED")
    wait_for(operativus, failed, "FAILED")
    page = operativus.get("/api/v1/runs?sessionId=listed&size=3").json()
    assert [r["id"] for r in page["content"]] == [failed, *ids[:0:-1]]
    assert page["page"] == {"size": 3, "number": 0, "totalElements": 4, "totalPages": 2}
    second = operativus.get("/api/v1/runs?sessionId=listed&size=3&page=1").json()
    assert [r["id"] for r in second["content"]] == ids[:1]
    only = operativus.get("/api/v1/runs?sessionId=listed&status=failed").json()["content"]
    assert [r["errorMessage"] for r in only] == ["The echo was set to fail."]
    assert operativus.get("/api/v1/runs?sessionId=listed&agentId=other").json()["content"] == []
    by_session = operativus.get("/api/sessions/listed/runs").json()
    assert [r["id"] for r in by_session] == [failed, *ids[::-1]]
    assert operativus.get("/api/sessions/nowhere/runs").status_code == 404


def test_agents_are_listed(operativus: httpx.Client) -> None:
    agents = {a["agentId"]: a for a in operativus.get("/api/agents").json()}
    assert agents["finance_agent"]["model"] == "sandbox-finance-1"
    assert "echo" in agents


# --- refusals ---


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "message", id="no message"),
        pytest.param({"message": "  "}, "message", id="blank message"),
        pytest.param({"message": "x", "media": [{"type": "a/b"}]}, "media.0.data", id="no data"),
        pytest.param(
            {"message": "x", "media": [{"type": "a/b", "data": "%%%"}]},
            "media.0.data",
            id="no base64",
        ),
        pytest.param(
            {"message": "x", "options": {"maxTokens": 0}}, "options.maxTokens", id="no tokens"
        ),
        pytest.param(
            {"message": "x", "generateFollowups": "perhaps"}, "generateFollowups", id="no boolean"
        ),
    ],
)
def test_a_wrong_body_is_a_problem(
    operativus: httpx.Client, body: dict[str, object], field: str
) -> None:
    for way in ("", "/stream", "/background"):
        answer = operativus.post(f"{AGENT}{way}", json=body)
        problem = answer.json()
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert (problem["status"], problem["title"]) == (400, "Bad Request")
        assert [e["field"] for e in problem["errors"]] == [field]
        assert field in problem["detail"]


def test_another_content_type_is_refused(operativus: httpx.Client) -> None:
    answer = operativus.post(AGENT, content=b"message=x")
    assert answer.status_code == 415


def test_what_is_not_there_is_not_found(operativus: httpx.Client) -> None:
    for answer in (
        operativus.post("/api/agents/nobody/runs/stream", json={"message": "x"}),
        operativus.get(f"{AGENT}/run_none/status"),
        operativus.get("/api/v1/runs/run_none"),
        operativus.get("/api/v1/runs/run_none/events"),
        operativus.delete(f"{AGENT}/run_none"),
        operativus.get("/api/nothing"),
    ):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 404
    assert operativus.put("/api/agents").status_code == 405


def test_the_key_is_a_bearer_token(sandbox: Sandbox) -> None:
    address = f"{sandbox.base_url('operativus')}/api/agents"
    for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic eDp5"}):
        answer = httpx.get(address, headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert answer.json()["title"] == "Unauthorized"
