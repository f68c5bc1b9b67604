"""Lists, states and agents against a real server."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from agentnb.errors import (
    InvalidRequestError,
    RequestError,
)
from agentnb.platforms.runtools import RunToolsPlatform
from tests.platforms.scripted import Reply, ScriptedServer

pytestmark = pytest.mark.anyio


def query(line: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(line).query).items()}


def row(number: int, **fields: Any) -> dict[str, Any]:
    made = {"runId": f"r{number}", "agent": "a", "threadId": "t", "status": "completed"}
    return {**made, **fields}


@pytest.mark.parametrize(
    ("filters", "sent", "ids"),
    [
        ({}, {"limit": "100"}, ["r1", "r2", "r3"]),
        ({"agent": "a"}, {"agent": "a", "limit": "100"}, ["r1", "r2", "r3"]),
        ({"limit": 2}, {"limit": "2"}, ["r1", "r2"]),
        ({"limit": 1, "offset": 1}, {"limit": "2"}, ["r2"]),
        ({"session_id": "u"}, {"limit": "100"}, ["r3"]),
        ({"session_id": "t", "limit": 1}, {"limit": "100"}, ["r1"]),
        ({"status": "failed"}, {"status": "failed", "limit": "100"}, ["r2"]),
        ({"status": "deployed"}, {"status": "deployed", "limit": "100"}, ["r1", "r2", "r3"]),
        ({"order": "asc", "limit": 2}, {"limit": "100"}, ["r3", "r2"]),
    ],
    ids=[
        *("all", "agent", "limit", "offset", "thread", "thread-limit", "status", "own-status"),
        "oldest-first",
    ],
)
async def test_runs_are_listed(
    server: ScriptedServer,
    client: RunToolsPlatform,
    filters: dict[str, Any],
    sent: dict[str, str],
    ids: list[str],
) -> None:
    rows = [row(1), row(2, status="error"), row(3, threadId="u")]
    server.on("GET /v1/run", Reply({"data": rows}))
    assert [run.id async for run in client.runs(**filters)] == ids
    assert [query(line) for line in server.lines] == [sent]


async def test_for_all_runs_the_limit_grows_until_no_more_come(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    rows = [row(n) for n in range(230)]
    for limit in (100, 200, 400):
        server.on(f"GET /v1/run?limit={limit}", Reply({"runs": rows[:limit]}))
    assert [run.id async for run in client.runs()] == [f"r{n}" for n in range(230)]
    assert [query(line)["limit"] for line in server.lines] == ["100", "200", "400"]


async def test_a_limit_that_the_platform_refuses_or_cuts_is_the_last(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    rows = [row(n) for n in range(230)]
    refused = Reply({"error": {"code": "bad_limit", "message": "limit: 100 at most"}}, status=400)
    server.on("GET /v1/run?limit=100", Reply(rows[:100]))
    server.on("GET /v1/run?limit=200", refused)
    assert len([run async for run in client.runs()]) == 100
    server.on("GET /v1/run?limit=200", Reply(rows[:100]))
    assert len([run async for run in client.runs()]) == 100
    server.on("GET /v1/run?limit=100", refused)
    with pytest.raises(InvalidRequestError):
        [run async for run in client.runs()]


async def test_a_platform_without_a_limit_gets_at_most_one_more_request(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    server.on("GET /v1/run", Reply([row(n) for n in range(500)]))
    assert len([run async for run in client.runs()]) == 500
    assert len(server.lines) == 2


async def test_wrong_filters_are_refused(server: ScriptedServer, client: RunToolsPlatform) -> None:
    for filters in ({"order": "up"}, {"limit": -1}, {"offset": -2}):
        with pytest.raises(RequestError):
            [run async for run in client.runs(**filters)]  # type: ignore[arg-type]
    assert [run async for run in client.runs(limit=0)] == []
    assert server.requests == []


async def test_states_come_from_the_list_and_unknown_ids_are_absent(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    rows = [
        row(1),
        row(2, status="running", createdAt="2026-05-06T10:00:00", agent={"slug": "b", "id": "7"}),
        row(3, status="failed", error={"message": "no"}, result=None),
    ]
    server.on("GET /v1/run", Reply({"data": {"runs": rows}}))
    found = await client.status(["r2", "r3", "r9"])
    assert {i: r.status for i, r in found.items()} == {"r2": "running", "r3": "failed"}
    assert found["r3"].error == "no"
    assert found["r2"].agent == "b"
    assert found["r2"].created_at is not None
    assert found["r2"].created_at.isoformat() == "2026-05-06T10:00:00+00:00"
    assert await client.status([]) == {}
    assert len(server.requests) == 1


async def test_agents_are_listed(server: ScriptedServer, client: RunToolsPlatform) -> None:
    listed = [
        {"id": "agt_1", "slug": "code-assistant", "name": "Code", "model": "m", "description": "d"},
        {"id": "agt_2"},
        {"model": "nameless"},
    ]
    server.on("GET /v1/agents", Reply({"data": listed}))
    first, second = await client.agents()
    assert (first.id, first.name, first.model, first.description) == (
        "code-assistant",
        "Code",
        "m",
        "d",
    )
    assert second.id == "agt_2"
    assert server.lines == ["GET /v1/agents"]
