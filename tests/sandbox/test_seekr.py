"""SeekrFlow's API as the sandbox speaks it: threads, messages and runs."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from agentnb.platforms.local import FunctionContext
from agentnb.sandbox import Sandbox
from tests.sandbox.seekr_calls import Frames, new_thread, stream

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


def wait_for(client: httpx.Client, path: str, status: str) -> dict[str, Any]:
    run: dict[str, Any] = {}
    for _ in range(200):
        run = client.get(path).json()
        if run["status"] == status:
            return run
        time.sleep(0.01)
    raise AssertionError(f"{path} is not {status}: {run}")


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
        {"type": "output_text", "text": "done", "annotations": []},
    ]
    # The vendor's client knows text only.
    vendor = {"X-SeekrFlow-Client-User-Agent": "{}"}
    for path in ("", f"/{newest['id']}"):
        found = seekr.get(f"/v1/threads/{thread}/messages{path}", headers=vendor).json()
        newest = found if path else found[0]
        assert newest["content"] == [{"type": "output_text", "text": "done", "annotations": []}]


def test_content_may_be_a_list_of_parts(seekr: httpx.Client, frames: Frames) -> None:
    thread = new_thread(seekr)
    content = [{"type": "input_text", "text": "from parts"}]
    answer = seekr.post(f"/v1/threads/{thread}/messages", json={"role": "user", "content": content})
    assert answer.json()["content"] == content
    assert frames(stream(seekr, thread))[-1].json["final_output"] == "from parts"


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
    assert state["status"] == "cancelled"
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


def test_a_message_can_be_read_changed_and_deleted(seekr: httpx.Client) -> None:
    thread = new_thread(seekr)
    path = f"/v1/threads/{thread}/messages"
    made = {"role": "user", "content": "one", "meta_data": {"a": 1}}
    message = seekr.post(path, json=made).json()
    one = f"{path}/{message['id']}"
    assert seekr.get(one).json() == message
    assert message["meta_data"] == {"a": 1}
    changed = seekr.patch(one, json={"content": "two", "meta_data": {"b": 2}}).json()
    assert changed == {**message, "content": "two", "meta_data": {"a": 1, "b": 2}}
    assert seekr.delete(one).json() == {"deleted": True}
    for method in ("GET", "PATCH", "DELETE"):
        assert seekr.request(method, one, json={}).status_code == 404
    assert seekr.get(path).json() == []


def test_a_thread_that_is_deleted_ends_its_runs(seekr: httpx.Client) -> None:
    thread = new_thread(seekr, '{"deltas": 100000, "delay_ms": 5}')
    run = seekr.post(f"/v1/threads/{thread}/runs", json={"agent_id": "echo"}).json()["run_id"]
    assert seekr.delete(f"/v1/threads/{thread}").json() == {"deleted": True}
    for path in ("", "/messages", "/runs", f"/runs/{run}"):
        assert seekr.get(f"/v1/threads/{thread}{path}").status_code == 404
    assert seekr.delete(f"/v1/threads/{thread}").status_code == 404


def test_an_agent_by_its_id(seekr: httpx.Client) -> None:
    listed = seekr.get("/v2/flow/agents/").json()["data"]
    assert [seekr.get(f"/v2/flow/agents/{a['id']}").json() for a in listed] == listed
    assert seekr.get("/v2/flow/agents/nobody").status_code == 404
