"""A thread's record: what happened in each of its runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agentnb.errors import NotFoundError
from agentnb.event.types import RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import KeepsEvents
from agentnb.platforms.runtools import RunToolsPlatform
from tests.platforms.scripted import Reply, ScriptedServer

pytestmark = pytest.mark.anyio


def event(sequence: int, run_id: Any, kind: str, at: int = 0, **payload: Any) -> dict[str, Any]:
    created = f"2026-05-06T10:00:{at:02}Z"
    return {
        "sequence": sequence,
        "runId": run_id,
        "type": kind,
        "payload": payload,
        "createdAt": created,
    }


async def test_runs_are_separated(server: ScriptedServer, client: RunToolsPlatform) -> None:
    rows = [
        event(4, "r2", "text_delta", 3, content="Other."),
        event(1, "r1", "text_delta", 1, content="Hel"),
        event(2, "r1", "text_delta", 2, content="lo"),
        event(3, None, "thread_renamed"),
        event(5, "r1", "complete", 4, output="Hello"),
    ]
    server.on("GET /v1/threads/t/events", Reply({"data": rows}))
    assert isinstance(client, KeepsEvents)
    found = await client.recorded_events("t")
    assert list(found) == ["r1", "r2"]
    moments = [datetime(2026, 5, 6, 10, 0, n, tzinfo=UTC) for n in range(5)]
    assert found["r1"] == [
        (moments[1], RunStarted(run_id="r1", session_id="t")),
        (moments[1], TextDelta("Hel")),
        (moments[2], TextDelta("lo")),
        (moments[4], RunFinished(output="Hello")),
    ]
    assert [type(each) for _, each in found["r2"]] == [RunStarted, TextDelta]


async def test_a_thread_that_is_not_there(server: ScriptedServer, client: RunToolsPlatform) -> None:
    with pytest.raises(NotFoundError):
        await client.recorded_events("gone")


async def test_the_states_of_runs_far_back_are_found_at_once_the_next_time(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    rows = [{"runId": f"r{n}", "status": "running"} for n in range(350)]
    server.routes["GET /v1/run"] = lambda seen: Reply(rows[: int(seen.query["limit"])])
    assert set(await client.status(["r340"])) == {"r340"}
    assert [seen.query["limit"] for seen in server.requests] == ["100", "200", "400"]
    assert set(await client.status(["r340", "r3"])) == {"r340", "r3"}
    assert [seen.query["limit"] for seen in server.requests][3:] == ["400"]
