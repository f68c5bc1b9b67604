"""Deciding what a run waits for, and how it goes on, against a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest

import agentnb
from agentnb.errors import RequestError
from agentnb.platforms.operativus import OperativusPlatform
from tests.platforms.scripted import Reply, ScriptedServer, stream

pytestmark = pytest.mark.anyio

PENDING = "GET /api/v1/approvals/pending"


def waiting(*runs: str) -> Reply:
    rows = [{"id": f"appr_{n}", "runId": run} for n, run in enumerate(runs, start=1)]
    return Reply({"content": rows, "page": {"number": 0, "totalPages": 1}})


async def test_a_run_is_decided_by_the_approvals_id(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("POST /api/v1/approvals/appr%2F1/resolve", Reply(status=204))
    await client.decide("run_1", "appr/1", approved=True)
    await client.decide("run_1", "appr/1", approved=False)
    assert [seen.json for seen in server.requests] == [
        {"decision": "APPROVED"},
        {"decision": "REJECTED"},
    ]


async def test_a_decision_without_an_id_is_that_of_the_runs_only_approval(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(PENDING, waiting("run_other", "run_1"))
    server.on("POST /api/v1/approvals/appr_2/resolve", Reply(status=204))
    await client.decide("run_1", None, approved=True)
    assert server.requests[-1].json == {"decision": "APPROVED"}


@pytest.mark.parametrize(
    ("runs", "count", "hint"),
    [(("run_other",), "no", None), (("run_1", "run_1"), "2", "Name one of appr_1, appr_2.")],
)
async def test_a_decision_without_an_id_must_be_clear(
    server: ScriptedServer,
    client: OperativusPlatform,
    runs: tuple[str, ...],
    count: str,
    hint: str | None,
) -> None:
    server.on(PENDING, waiting(*runs))
    with pytest.raises(RequestError, match=f"waits for {count} decisions") as caught:
        await client.decide("run_1", None, approved=True)
    assert caught.value.hint == hint
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [404, 409])
async def test_a_decision_that_comes_too_late(
    server: ScriptedServer, client: OperativusPlatform, status: int
) -> None:
    server.on("POST /api/v1/approvals/appr_1/resolve", Reply(status=status))
    with pytest.raises(RequestError, match="no approval appr_1 is pending"):
        await client.decide("run_1", "appr_1", approved=True)


async def test_a_decided_run_continues_by_the_platforms_record(
    server: ScriptedServer, recorded: dict[str, bytes]
) -> None:
    """The record has no texts: the whole answer comes at the end, once."""
    events: list[dict[str, Any]] = [
        {"eventType": "RUN_START", "runId": "run_1", "agentId": "trader", "payload": {}},
        {"eventType": "RUN_PAUSED", "runId": "run_1", "payload": {"toolName": "sell_shares"}},
        {"eventType": "RUN_COMPLETE", "runId": "run_1", "payload": {"status": "COMPLETED"}},
    ]
    record = "".join(
        f"id: {n}\nevent: {e['eventType']}\ndata: {json.dumps(e)}\n\n"
        for n, e in enumerate(events, start=1)
    )
    state = {"id": "run_1", "agentId": "trader", "status": "COMPLETED", "output": "Sold ten."}
    server.on("POST /api/agents/trader/runs/stream", stream(recorded["paused"]))
    server.on("POST /api/v1/approvals/appr_1/resolve", Reply(status=204))
    server.on("GET /api/v1/runs/run_1/events", stream(record.encode()))
    server.on("GET /api/agents/trader/runs/status?runIds=run_1", Reply([state]))
    agent = agentnb.agent("operativus:trader", base_url=server.url, api_key="k-1")
    run = await agent.arun("Sell ten.")
    assert run.status == "paused"
    went_on = await (await run.approve_async())
    assert (went_on.status, went_on.text) == ("completed", "Sold ten.")
    assert went_on.prompt == "Sell ten."
    assert went_on.session_id == run.session_id == "sess_1"
    assert went_on.transcript.pending_approvals == ()
