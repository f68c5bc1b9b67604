"""Runs that wait for a person's decision, over Operativus' API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from agentnb.event.types import ApprovalRequested
from agentnb.platforms.local import FunctionContext
from agentnb.sandbox import Sandbox
from tests.sandbox.test_operativus import Frames, background, wait_for


@pytest.fixture
def careful(sandbox: Sandbox) -> threading.Event:
    went_on = threading.Event()

    @sandbox.agent("careful")
    def careful(prompt: str, context: FunctionContext) -> Iterator[str | ApprovalRequested]:
        yield "Before. "
        yield ApprovalRequested(message="Send it?", tool="send", arguments='{"to": "all"}')
        went_on.set()
        (decision,) = context.decisions.values()
        yield f"After: {decision}."

    return went_on


def test_a_run_waits_for_its_approval(
    operativus: httpx.Client, frames: Frames, careful: threading.Event
) -> None:
    run = background(operativus, "go", "careful")
    wait_for(operativus, run, "PAUSED")
    assert not careful.is_set()
    (asked,) = [a for a in operativus.get("/api/v1/approvals/pending").json() if a["runId"] == run]
    assert asked["message"] == "Send it?"
    assert (asked["toolName"], asked["arguments"]) == ("send", {"to": "all"})
    answer = operativus.post(
        f"/api/v1/approvals/{asked['id']}/resolve", json={"decision": "APPROVED"}
    )
    assert answer.json() == {"id": asked["id"], "status": "APPROVED"}
    assert wait_for(operativus, run, "COMPLETED")["output"] == "Before. After: APPROVED."
    events = frames(operativus.get(f"/api/v1/runs/{run}/events").text)
    assert [f.event for f in events] == [
        "START",
        "CONTENT_DELTA",
        "PAUSED",
        "CONTENT_DELTA",
        "STOP",
    ]
    paused = json.loads(events[2].json["data"])
    assert paused["approvalId"] == asked["id"]
    again = operativus.post(
        f"/api/v1/approvals/{asked['id']}/resolve", json={"decision": "APPROVED"}
    )
    assert again.status_code == 404


def test_a_rejected_approval_cancels_the_run(
    operativus: httpx.Client, careful: threading.Event
) -> None:
    run = background(operativus, "go", "careful")
    wait_for(operativus, run, "PAUSED")
    (asked,) = [a for a in operativus.get("/api/v1/approvals/pending").json() if a["runId"] == run]
    path = f"/api/v1/approvals/{asked['id']}/resolve"
    assert operativus.post(path, json={"decision": "MAYBE"}).status_code == 400
    assert operativus.post(path, json={"decision": "REJECTED"}).status_code == 200
    wait_for(operativus, run, "CANCELLED")
    assert not careful.is_set()


def test_a_stream_ends_where_its_run_waits_and_the_run_does_not(
    operativus: httpx.Client, frames: Frames, careful: threading.Event
) -> None:
    answer = operativus.post("/api/agents/careful/runs/stream", json={"message": "go"})
    events = [f.json["event"] for f in frames(answer.text)]
    assert events == ["START", "CONTENT_DELTA", "PAUSED", "STOP"]
    run = json.loads(frames(answer.text)[0].json["data"])["runId"]
    record = operativus.get(f"/api/v1/runs/{run}/events").text
    assert [f.event for f in frames(record)] == ["START", "CONTENT_DELTA", "PAUSED"]
    assert wait_for(operativus, run, "PAUSED")["output"] is None
    (asked,) = [a for a in operativus.get("/api/v1/approvals/pending").json() if a["runId"] == run]
    path = f"/api/v1/approvals/{asked['id']}/resolve"
    assert operativus.post(path, json={"decision": "APPROVED"}).status_code == 200
    record = operativus.get(f"/api/v1/runs/{run}/events").text
    assert [f.event for f in frames(record)][-1] == "STOP"
    assert wait_for(operativus, run, "COMPLETED")["output"] == "Before. After: APPROVED."


def test_a_synchronous_run_answers_where_it_waits(
    operativus: httpx.Client, careful: threading.Event
) -> None:
    answer = operativus.post("/api/agents/careful/runs", json={"message": "go"}).json()
    assert (answer["status"], answer["content"]) == ("PAUSED", "Before. ")
    action = answer["metadata"]["requiredAction"]
    assert (action["tool"], action["message"]) == ("send", "Send it?")
    path = f"/api/v1/approvals/{action['approvalId']}/resolve"
    assert operativus.post(path, json={"decision": "REJECTED"}).status_code == 200
    wait_for(operativus, answer["runId"], "CANCELLED")
    assert not careful.is_set()
