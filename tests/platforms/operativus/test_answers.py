"""Runs without a stream, cancelled or attached runs, and errors, against a real server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from agentnb.errors import (
    AuthenticationError,
    BudgetExceededError,
    ContentTypeError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RequestError,
)
from agentnb.event.transcript import fold
from agentnb.event.types import ApprovalRequested, Event, RunFailed, RunFinished, RunStarted
from agentnb.platforms.base import RunRequest
from agentnb.platforms.operativus import OperativusPlatform
from tests.platforms.scripted import Reply, ScriptedServer, problem, stream

pytestmark = pytest.mark.anyio

RUN = "POST /api/agents/finance_agent/runs"
STREAM = RUN + "/stream"
ASK = RunRequest(agent="finance_agent", prompt="What is the current NVDA stock price?")


async def collected(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]


# --- without a stream ---------------------------------------------------------------------------

RESPONSE = {
    "runId": "run_1",
    "sessionId": "sess_1",
    "content": "It is **$875.40**.",
    "metadata": {"region": "eu", "followups": ["And AMD?"]},
    "tools": [
        {
            "toolName": "get_stock_price",
            "toolInput": '{"ticker":"NVDA"}',
            "toolOutput": "875.40",
            "durationMs": 12,
            "isError": False,
        }
    ],
    "reasoningSteps": ["Look it up.", "Tell it."],
    "status": "COMPLETED",
    "metrics": {"inputTokens": 10, "outputTokens": 5, "reasoningTokens": 2, "model": "gpt-4o"},
}


async def test_a_run_without_streaming_brings_the_same_events(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(RUN, Reply(RESPONSE))
    got = await client.invoke(ASK)
    transcript = fold(got)
    (seen,) = server.requests
    assert seen.line == RUN
    assert set(seen.json) == {"message", "sessionId"}
    assert isinstance(got[0], RunStarted)
    assert isinstance(got[-1], RunFinished)
    assert (transcript.run_id, transcript.session_id) == ("run_1", "sess_1")
    assert transcript.text == "It is **$875.40**."
    assert transcript.reasoning == "Look it up.\n\nTell it."
    assert [(c.name, c.arguments, c.result) for c in transcript.tool_calls] == [
        ("get_stock_price", '{"ticker":"NVDA"}', "875.40")
    ]
    assert transcript.usage is not None
    assert (transcript.usage.input_tokens, transcript.usage.total_tokens) == (10, 15)
    assert transcript.model == "gpt-4o"
    assert transcript.followups == ("And AMD?",)


@pytest.mark.parametrize(
    ("status", "end"), [("FAILED", RunFailed), ("COMPLETED", RunFinished), (None, RunFinished)]
)
async def test_a_run_without_streaming_ends_as_its_status_says(
    server: ScriptedServer, client: OperativusPlatform, status: str | None, end: type[Event]
) -> None:
    server.on(RUN, Reply({"runId": "r", "content": "c", "status": status}))
    got = await client.invoke(ASK)
    assert isinstance(got[-1], end)
    assert fold(got).text == "c"


async def test_a_run_without_streaming_that_pauses_has_no_end(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    action = {"type": "TOOL_APPROVAL", "tool": "sell", "args": "{}", "approvalId": "a1"}
    server.on(
        RUN,
        Reply({"runId": "r", "status": "PAUSED", "metadata": {"requiredAction": action}}),
    )
    got = await client.invoke(ASK)
    assert (
        ApprovalRequested(approval_id="a1", message="TOOL_APPROVAL", tool="sell", arguments="{}")
        in got
    )
    assert fold(got).status == "paused"


async def test_a_response_that_is_no_run_is_an_error(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    answers: list[Any] = [[], {"hello": "world"}, {"status": 5}, None]
    for data in answers:
        server.on(RUN, Reply(data))
        with pytest.raises(ContentTypeError):
            await client.invoke(ASK)


async def test_a_background_run_is_started_and_known_by_its_id(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(RUN + "/background", Reply({"runId": "run_b", "status": "QUEUED"}))
    run = await client.start_background(ASK)
    assert (run.id, run.status, run.agent) == ("run_b", "queued", "finance_agent")
    assert run.session_id == server.requests[0].json["sessionId"]
    server.on(RUN + "/background", Reply({"status": "QUEUED"}))
    with pytest.raises(ContentTypeError):
        await client.start_background(ASK)


# --- cancelling and attaching -------------------------------------------------------------------


async def test_a_run_is_cancelled_under_its_agent(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("DELETE /api/agents/a/runs/r%2F1", Reply(status=204))
    await client.cancel("r/1", agent="a")
    assert server.lines == ["DELETE /api/agents/a/runs/r%2F1"]


@pytest.mark.parametrize("status", [404, 405])
async def test_a_server_without_that_call_gets_the_other_request(
    server: ScriptedServer, client: OperativusPlatform, status: int
) -> None:
    server.on("DELETE /api/agents/a/runs/r1", problem(status))
    server.on("POST /api/v1/runs/r1/cancel", Reply(status=204))
    await client.cancel("r1", agent="a")
    await client.cancel("r1")
    assert server.lines == [
        "DELETE /api/agents/a/runs/r1",
        "POST /api/v1/runs/r1/cancel",
        "POST /api/v1/runs/r1/cancel",
    ]
    assert server.requests[1].raw == b""


async def test_a_run_without_an_id_is_found_by_its_session_to_be_cancelled(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    theirs = {"agentId": "a", "sessionId": "s", "createdAt": "2025-01-01T00:00:00Z"}
    rows = [
        {**theirs, "id": "old", "status": "COMPLETED"},
        {**theirs, "id": "other", "status": "PROCESSING"},
    ]
    server.on("GET /api/v1/runs", Reply(rows))
    with pytest.raises(NotFoundError):
        await client.cancel(None, agent="a", session_id="s")
    server.on("POST /api/agents/a/runs/stream", stream())
    request = RunRequest(agent="a", prompt="What now?", session_id="s")
    assert [b async for b in client.stream(request)] == [[RunStarted(session_id="s")]]
    with pytest.raises(NotFoundError):
        await client.cancel(None, agent="a", session_id="s")
    mine = {**rows[1], "id": "now", "createdAt": datetime.now(UTC).isoformat()}
    server.on("GET /api/v1/runs", Reply([*rows, mine]))
    server.on("DELETE /api/agents/a/runs/now", Reply(status=204))
    await client.cancel(None, agent="a", session_id="s")
    assert server.lines[-1] == "DELETE /api/agents/a/runs/now"
    with pytest.raises(RequestError):
        await client.cancel(None, agent="a")
    server.on("GET /api/v1/runs", Reply([]))
    with pytest.raises(NotFoundError):
        await client.cancel(None, agent="a", session_id="s")


async def test_attaching_fetches_the_answer_when_the_run_has_ended(
    server: ScriptedServer, client: OperativusPlatform, recorded: dict[str, bytes]
) -> None:
    server.on("GET /api/v1/runs/run_1/events", stream(recorded["joined"]))
    running = {"id": "run_1", "agentId": "finance_agent", "status": "RUNNING"}
    done = {
        **running,
        "status": "COMPLETED",
        "output": "It is **$875.40**.",
        "model": "gpt-4o",
        "inputTokens": 11,
        "outputTokens": 7,
        "totalCostUsd": 0.01,
    }
    status = "GET /api/agents/finance_agent/runs/status?runIds=run_1"
    # Just after its end a row may still read RUNNING.
    server.on(status, Reply([running]), Reply([done]))
    transcript = fold(await collected(client.attach("run_1")))
    assert server.lines == ["GET /api/v1/runs/run_1/events?sinceId=0", status, status]
    assert server.requests[0].headers["accept"] == "text/event-stream"
    assert transcript.status == "completed"
    assert transcript.text == "It is **$875.40**."
    assert transcript.agent == "finance_agent"
    assert transcript.usage is not None
    assert (transcript.usage.input_tokens, transcript.usage.cost_usd) == (11, 0.01)
    assert [call.name for call in transcript.tool_calls] == ["get_stock_price", "get_news"]


async def test_attaching_continues_after_an_event_and_does_not_fetch_recorded_text(
    server: ScriptedServer, client: OperativusPlatform, recorded: dict[str, bytes]
) -> None:
    later = re.sub(rb"id: ?(\d+)", lambda m: b"id:%d" % (int(m[1]) + 7), recorded["joined_frames"])
    server.on("GET /api/v1/runs/run_1/events", stream(later))
    got = await collected(client.attach("run_1", agent="a", since_id=7))
    assert server.lines == ["GET /api/v1/runs/run_1/events?sinceId=7"]
    assert fold(got).text == "Hello there"
    with pytest.raises(RequestError):
        await collected(client.attach("run_1", since_id=-1))


async def test_a_joined_run_whose_result_is_not_to_be_had_is_completed_all_the_same(
    server: ScriptedServer, client: OperativusPlatform, recorded: dict[str, bytes]
) -> None:
    server.on("GET /api/v1/runs/run_1/events", stream(recorded["joined"]))
    transcript = fold(await collected(client.attach("run_1", agent="gone")))
    assert (transcript.status, transcript.text) == ("completed", "")


# --- errors -------------------------------------------------------------------------------------


async def test_errors_are_problem_details(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, problem(401, title="Unauthorized Access", detail="Account is not available."))
    with pytest.raises(AuthenticationError, match="Account is not available"):
        await collected(client.stream(ASK))

    server.on(
        STREAM,
        problem(
            402,
            type="urn:problem-type:finops-budget-exhausted",
            title="Budget Exhausted",
            detail="The ceiling is reached.",
        ),
    )
    with pytest.raises(BudgetExceededError, match="ceiling") as budget:
        await collected(client.stream(ASK))
    assert budget.value.code == "finops-budget-exhausted"
    assert len(server.requests) == 2

    body = json.dumps({"status": 429, "detail": "Slow down."}).encode()
    kind = {"Content-Type": "application/problem+json", "Retry-After": "60"}
    server.on(STREAM, Reply(body, status=429, headers=kind))
    with pytest.raises(RateLimitError) as limit:
        await collected(client.stream(ASK))
    assert limit.value.retry_after == 60

    invalid = [{"field": "message", "message": "must not be blank"}]
    server.on(RUN, problem(400, detail="Validation failed.", invalidParams=invalid))
    with pytest.raises(InvalidRequestError) as refused:
        await client.invoke(ASK)
    assert [str(f) for f in refused.value.fields] == ["message: must not be blank"]

    server.on(RUN, problem(404, detail="Agent not found: finance_agent"))
    with pytest.raises(NotFoundError, match="finance_agent"):
        await client.invoke(ASK)
