"""Lists, states, agents and approvals against a real server."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from agentnb.errors import InvalidRequestError, RequestError, ServerError
from agentnb.platforms.operativus import OperativusPlatform
from agentnb.platforms.operativus.responses import STATUSES, read_page, remote_run
from tests.platforms.scripted import Reply, ScriptedServer, problem, stream

pytestmark = pytest.mark.anyio

ROW: dict[str, Any] = {
    "id": "run_abc123",
    "agentId": "finance_agent",
    "sessionId": "sess_xyz",
    "status": "COMPLETED",
    "createdAt": "2026-05-06T10:00:00Z",
    "completedAt": "2026-05-06T10:00:03Z",
}
RUNNING: dict[str, Any] = {
    "id": "run_def456",
    "agentId": "finance_agent",
    "sessionId": "sess_xyz",
    "status": "RUNNING",
    "createdAt": "2026-05-06T10:01:00Z",
    "completedAt": None,
}


def row(number: int, **fields: Any) -> dict[str, Any]:
    made = {"id": f"r{number}", "agentId": "a", "sessionId": "s", "status": "COMPLETED"}
    return {**made, **fields}


def query(line: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(line).query).items()}


# --- states ---------------------------------------------------------------------------------------


async def test_one_runs_state_is_requested_as_documented(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    line = "GET /api/agents/finance_agent/runs/run_abc123/status"
    server.on(line, Reply({**ROW, "output": "It is 875.40"}))
    found = await client.status(["run_abc123"], agent="finance_agent")
    assert server.lines == [line]
    run = found["run_abc123"]
    assert (run.status, run.agent, run.session_id) == ("completed", "finance_agent", "sess_xyz")
    assert run.created_at == datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
    assert run.finished_at == datetime(2026, 5, 6, 10, 0, 3, tzinfo=UTC)
    assert run.output == "It is 875.40"
    assert run.raw["createdAt"] == "2026-05-06T10:00:00Z"


async def test_a_state_is_requested_the_other_way_if_the_first_is_not_served(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("GET /api/v1/runs/run_abc123", Reply(ROW))
    found = await client.status(["run_abc123"], agent="finance_agent")
    assert set(found) == {"run_abc123"}
    assert server.lines == [
        "GET /api/agents/finance_agent/runs/run_abc123/status",
        "GET /api/v1/runs/run_abc123",
    ]
    assert await client.status(["unknown"], agent="finance_agent") == {}


async def test_without_an_agent_the_newest_of_all_runs_are_looked_at(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("GET /api/v1/runs", Reply([row(3), row(2), row(1)]))
    server.on("GET /api/v1/runs/r0", Reply(row(0)))
    found = await client.status(["r1", "r2", "r0", "r1"])
    assert server.lines == ["GET /api/v1/runs?page=0&size=100", "GET /api/v1/runs/r0"]
    assert set(found) == {"r0", "r1", "r2"}


async def test_without_an_agent_and_a_list_each_state_is_requested_by_id(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("GET /api/v1/runs/r1", Reply(row(1)))
    server.on("GET /api/v1/runs/r2", Reply(row(2, status="FAILED", errorMessage="no")))
    found = await client.status(["r1", "r2", "r3", "r1"])
    assert sorted(server.lines[1:]) == [f"GET /api/v1/runs/r{n}" for n in (1, 2, 3)]
    assert {i: r.status for i, r in found.items()} == {"r1": "completed", "r2": "failed"}
    assert found["r2"].error == "no"


async def test_a_batch_is_requested_as_documented_and_missing_ids_are_absent(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    path = "GET /api/agents/finance_agent/runs/status"
    server.on(path, Reply([ROW, RUNNING]))
    ids = ["run_abc123", "run_def456", "run_ghi789"]
    found = await client.status(ids, agent="finance_agent")
    (line,) = server.lines
    assert query(line) == {"runIds": "run_abc123,run_def456,run_ghi789"}
    assert {i: r.status for i, r in found.items()} == {
        "run_abc123": "completed",
        "run_def456": "running",
    }
    assert found["run_def456"].finished_at is None


async def test_more_than_a_hundred_ids_take_several_requests(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    path = "GET /api/agents/a/runs/status"
    ids = [f"r{n}" for n in range(250)]
    chunks = [ids[:100], ids[100:200], ids[200:]]
    for chunk in chunks:
        target = f"{path}?runIds={'%2C'.join(chunk)}"
        server.on(target, Reply([row(int(i[1:])) for i in chunk if i != "r7"]))
    found = await client.status([*ids, "r3"], agent="a")
    assert sorted(len(query(line)["runIds"].split(",")) for line in server.lines) == [50, 100, 100]
    assert set(found) == set(ids) - {"r7"}


async def test_only_a_few_requests_are_made_at_once(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    gate = asyncio.Event()
    for number in range(12):
        text = json.dumps(row(number)).encode()
        slow = stream(gate, text, headers={"Content-Type": "application/json"})
        server.on(f"GET /api/v1/runs/r{number}", slow)
    asking = asyncio.ensure_future(client.status([f"r{n}" for n in range(12)]))
    # The list, which there is not, and then the first of the runs themselves.
    await server.asked(1 + 4)
    # Long enough for a fifth to come, were it sent.
    await asyncio.sleep(0.1)
    assert len(server.requests) == 1 + 4
    gate.set()
    assert len(await asking) == 12


async def test_an_error_in_one_of_the_requests_is_raised(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("GET /api/agents/a/runs/status", problem(400, detail="Maximum 100 runIds"))
    with pytest.raises(InvalidRequestError, match="Maximum 100"):
        await client.status([f"r{n}" for n in range(101)], agent="a")
    server.on("GET /api/v1/runs/r1", problem(500, detail="down"))
    with pytest.raises(ServerError):
        await client.status(["r1"])
    assert await client.status([], agent="a") == {}


# --- the list of runs -----------------------------------------------------------------------------


def pages(form: str, count: int, size: int) -> list[Any]:
    made: list[Any] = []
    total = -(-count // size)
    for number in range(total):
        rows = [row(n) for n in range(number * size, min(count, (number + 1) * size))]
        where = {"size": size, "number": number, "totalElements": count, "totalPages": total}
        if form == "nested":
            made.append({"content": rows, "page": where})
        elif form == "flat":
            made.append({"content": rows, **where, "last": number + 1 == total})
        else:
            made.append(rows)
    return made


@pytest.mark.parametrize("form", ["nested", "flat", "bare"])
async def test_all_pages_are_read_whatever_their_form(
    server: ScriptedServer, client: OperativusPlatform, form: str
) -> None:
    for number, page in enumerate(pages(form, 250, 100)):
        server.on(f"GET /api/v1/runs?page={number}&size=100", Reply(page))
    assert [run.id async for run in client.runs()] == [f"r{n}" for n in range(250)]
    assert len(server.lines) == 3


async def test_requests_to_a_server_without_pages_end(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("GET /api/v1/runs", Reply([row(n) for n in range(120)]))
    assert len([run async for run in client.runs()]) == 120
    assert len(server.lines) == 2


async def test_smaller_pages_than_requested_are_read_to_the_end(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    for number, page in enumerate(pages("nested", 45, 20)):
        server.on(f"GET /api/v1/runs?page={number}&size=100", Reply(page))
    assert len([run async for run in client.runs()]) == 45


@pytest.mark.parametrize(
    ("filters", "sent", "ids"),
    [
        ({}, {}, ["r1", "r2", "r3", "r4"]),
        ({"agent": "a"}, {"agentId": "a"}, ["r1", "r3", "r4"]),
        ({"session_id": "s"}, {"sessionId": "s"}, ["r1", "r2", "r4"]),
        ({"session_id": "s", "agent": "a"}, {"sessionId": "s"}, ["r1", "r4"]),
        ({"status": "failed", "agent": "a"}, {"agentId": "a"}, ["r4"]),
        ({"status": "COMPLETED"}, {"status": "COMPLETED"}, ["r1", "r2"]),
        ({"status": "completed"}, {"status": "COMPLETED"}, ["r1", "r2"]),
        ({"status": "queued"}, {}, ["r3"]),
        ({"limit": 2}, {}, ["r1", "r2"]),
        ({"limit": 2, "offset": 1}, {}, ["r2", "r3"]),
        ({"limit": 2, "offset": 1, "order": "asc"}, {}, ["r3", "r2"]),
        ({"order": "asc"}, {}, ["r4", "r3", "r2", "r1"]),
    ],
    ids=[
        *("all", "agent", "session", "session-agent", "status-agent", "wire-status", "status"),
        *("several-statuses", "limit", "offset", "window-from-oldest", "oldest-first"),
    ],
)
async def test_filters_are_sent_where_the_server_takes_them_and_applied_here_where_not(
    server: ScriptedServer,
    client: OperativusPlatform,
    filters: dict[str, Any],
    sent: dict[str, str],
    ids: list[str],
) -> None:
    rows = [
        row(1),
        row(2, agentId="b"),
        row(3, sessionId="t", status="PENDING"),
        row(4, status="FAILED"),
    ]
    server.on("GET /api/v1/runs", Reply(rows))
    assert [run.id async for run in client.runs(**filters)] == ids
    assert query(server.lines[0]) == {**sent, "page": "0", "size": "100"}


async def test_a_wrong_filter_is_refused_before_anything_is_sent(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    for filters in ({"order": "up"}, {"limit": -1}, {"offset": -1}, {"status": "complet"}):
        with pytest.raises(RequestError):
            [run async for run in client.runs(**filters)]  # type: ignore[arg-type]
    assert [run async for run in client.runs(limit=0)] == []
    assert server.requests == []


async def test_an_entry_that_names_no_run_is_left_out(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on("GET /api/v1/runs", Reply({"content": [{"status": "RUNNING"}, 7, row(1)]}))
    assert [run.id async for run in client.runs()] == ["r1"]


def test_every_status_and_time_is_read() -> None:
    words = {word: remote_run(row(1, status=word)) for word in STATUSES}
    assert {word: run.status for word, run in words.items() if run} == STATUSES
    plain = remote_run(row(1, status="RUNNING", createdAt="2026-05-06T10:00:00.123"))
    assert plain is not None
    assert plain.created_at == datetime(2026, 5, 6, 10, 0, 0, 123000, tzinfo=UTC)
    zoned = remote_run(row(1, createdAt="2026-05-06T12:00:00+02:00", updatedAt="2026-05-06T10:09"))
    assert zoned is not None
    assert zoned.created_at == datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
    assert zoned.finished_at == datetime(2026, 5, 6, 10, 9, tzinfo=UTC)
    unknown = remote_run(row(1, status="SLEEPING", completedAt=None))
    assert unknown is not None
    assert unknown.status == "running"


@pytest.mark.parametrize(
    "data", [None, 3, "text", {}, {"content": "x"}, {"page": 3}, [None, [], "x"]], ids=str
)
def test_a_page_that_is_none_is_empty(data: object) -> None:
    assert read_page(data).items == []


# --- agents and approvals -------------------------------------------------------------------------


async def test_agents_are_listed_by_either_name_of_their_id(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    listed = [
        {"agentId": "finance_agent", "name": "Finance", "description": "Prices", "modelId": "m"},
        {"id": "echo"},
        {"name": "nameless"},
    ]
    server.on("GET /api/agents", Reply(listed))
    first, second = await client.agents()
    assert server.lines == ["GET /api/agents"]
    assert (first.id, first.name, first.description, first.model) == (
        "finance_agent",
        "Finance",
        "Prices",
        "m",
    )
    assert (second.id, second.name) == ("echo", None)
    assert second.raw == {"id": "echo"}


async def test_pending_approvals_are_listed_and_decided(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    waiting = {
        "id": "appr/1",
        "runId": "run_1",
        "agentId": "trader",
        "toolName": "sell",
        "toolArguments": '{"count":10}',
        "status": "PENDING",
        "contextualMessage": "Sell ten?",
        "createdAt": "2026-05-06T10:00:00",
    }
    page = {"content": [waiting], "page": {"number": 0, "totalPages": 1}}
    server.on("GET /api/v1/approvals/pending", Reply(page))
    (item,) = await client.pending_approvals()
    assert (item.id, item.run_id, item.agent, item.tool) == ("appr/1", "run_1", "trader", "sell")
    assert json.loads(item.arguments) == {"count": 10}
    assert item.message == "Sell ten?"
    assert item.created_at == datetime(2026, 5, 6, 10, 0, tzinfo=UTC)

    server.on("POST /api/v1/approvals/appr%2F1/resolve", Reply(status=204))
    await client.resolve_approval(item.id, "APPROVED")
    await client.resolve_approval(item.id, "REJECTED")
    assert [seen.json for seen in server.requests[1:]] == [
        {"decision": "APPROVED"},
        {"decision": "REJECTED"},
    ]
    with pytest.raises(RequestError):
        await client.resolve_approval(item.id, "MAYBE")  # type: ignore[arg-type]
    assert len(server.requests) == 3
