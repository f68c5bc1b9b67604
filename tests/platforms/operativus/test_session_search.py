"""Finding the id of a run that its own stream does not tell."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from agentnb._http import RequestOptions, RetryDelay
from agentnb._http.retry import Retries
from agentnb.event.transcript import fold
from agentnb.event.types import RunStarted
from agentnb.platforms.base import RunRequest
from agentnb.platforms.operativus import OperativusPlatform
from tests.platforms.operativus.streams import ASK, STREAM, collected, frame
from tests.platforms.scripted import Reply, ScriptedServer, stream

pytestmark = pytest.mark.anyio


async def test_a_run_whose_start_is_empty_is_found_by_its_session_beside_the_stream(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    go_on = asyncio.Event()
    server.on(
        STREAM,
        stream(frame("START", ""), go_on, frame("CONTENT_DELTA", "Hi"), frame("STOP", "")),
    )
    mine = {
        "agentId": "finance_agent",
        "sessionId": "s 1",
        "status": "RUNNING",
        "createdAt": datetime.now(UTC).isoformat(),
    }
    rows = {
        "content": [
            {**mine, "id": "child", "parentRunId": "run_9"},
            {**mine, "id": "other", "agentId": "helper"},
            {**mine, "id": "run_9"},
        ],
        "page": {"size": 100, "number": 0, "totalElements": 3, "totalPages": 1},
    }
    request = RunRequest(agent="finance_agent", prompt="x", session_id="s 1")
    server.on("GET /api/v1/runs?sessionId=s+1&page=0&size=100", Reply(rows))
    batches = client.stream(request)
    # The stream does not wait for the look-up.
    assert await anext(batches) == [RunStarted(session_id="s 1")]
    await server.asked(2)
    go_on.set()
    rest = await collected(batches)
    assert RunStarted(run_id="run_9", session_id="s 1") in rest
    assert fold(rest).text == "Hi"
    assert set(server.lines[1:]) == {"GET /api/v1/runs?sessionId=s+1&page=0&size=100"}


async def test_a_run_not_found_while_it_streams_is_looked_for_once_more_at_the_end(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, stream(frame("START", "") + frame("CONTENT_DELTA", "Hi") + frame("STOP", "")))

    def rows(*ids: str) -> Reply:
        # Of the same moment: it is the id that tells them apart.
        row = {"agentId": "finance_agent", "sessionId": "s", "status": "COMPLETED"}
        return Reply([{**row, "id": i, "createdAt": datetime.now(UTC).isoformat()} for i in ids])

    server.on("GET /api/v1/runs", rows("run_1"))
    request = RunRequest(agent="finance_agent", prompt="x", session_id="s")
    first = await collected(client.stream(request))
    assert first[-1] == RunStarted(run_id="run_1", session_id="s")
    # The next run of the session must not be taken for the one before.
    server.on("GET /api/v1/runs", rows("run_1"))
    second = await collected(client.stream(request))
    assert not any(isinstance(e, RunStarted) and e.run_id for e in second)
    server.on("GET /api/v1/runs", rows("run_2", "run_1"))
    third = await collected(client.stream(request))
    assert third[-1] == RunStarted(run_id="run_2", session_id="s")


async def test_a_look_beside_the_stream_is_not_waited_for(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    """The run continues, so no retry is reported."""
    go_on, pauses = asyncio.Event(), list[RetryDelay]()
    server.on(STREAM, stream(frame("START", ""), go_on, frame("STOP", "")))
    server.on("GET /api/v1/runs", Reply({}, status=503))
    with RequestOptions(retries=Retries(requests=2), on_retry=pauses.append).applied():
        async for _ in client.stream(ASK):
            await server.called("GET /api/v1/runs")
            asyncio.get_running_loop().call_later(0.3, go_on.set)
    assert pauses == []
