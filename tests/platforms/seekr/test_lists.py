"""What SeekrFlow lists: runs over all pages, their states, agents, messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agentnb.errors import PlatformError, RequestError
from agentnb.platforms.seekr import SeekrPlatform
from agentnb.platforms.seekr.wire import Run
from tests.platforms.scripted import Reply, ScriptedServer, Seen
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.records import MESSAGE, ONE, RUN, RUNS, THREAD, run

pytestmark = pytest.mark.anyio


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


def pages(count: int, **changes: Any) -> Any:
    """A thread of so many runs, newest first, that honours limit, order and offset."""
    newest_first = [run(n, **changes) for n in range(count, 0, -1)]

    def reply(seen: Seen) -> Reply:
        runs = newest_first if seen.query["order"] == "desc" else newest_first[::-1]
        offset = int(seen.query["offset"])
        return Reply(runs[offset : offset + int(seen.query["limit"])])

    return reply


@pytest.mark.parametrize(
    ("count", "asked"), [(45, [0, 45]), (1205, [0, 200, 400, 600, 800, 1000, 1200])]
)
async def test_runs_over_all_pages(
    server: ScriptedServer, platform: SeekrPlatform, count: int, asked: list[int]
) -> None:
    server.routes[RUNS] = pages(count)
    found = [r.id async for r in platform.runs(session_id="thread_1")]
    assert found == [f"run_{n}" for n in range(count, 0, -1)]
    assert [s.query for s in server.requests] == [
        {"limit": "200", "order": "desc", "offset": str(offset)} for offset in asked
    ]


async def test_runs_in_pages_of_a_size_that_was_set(
    server: ScriptedServer, connect: Connect
) -> None:
    server.routes[RUNS] = pages(45)
    found = [r.id async for r in connect(page_size=20).runs(session_id="thread_1")]
    assert len(found) == 45
    assert [s.query["offset"] for s in server.requests] == ["0", "20", "40"]


async def test_runs_with_limit_order_and_offset(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[RUNS] = pages(45)
    runs = platform.runs(session_id="thread_1", limit=3, order="asc", offset=10)
    assert [r.id async for r in runs] == ["run_11", "run_12", "run_13"]
    assert server.requests[0].query == {"limit": "3", "order": "asc", "offset": "10"}
    assert len(server.requests) == 1


async def test_no_runs_and_none_wanted(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.routes[RUNS] = Reply([])
    assert [r async for r in platform.runs(session_id="thread_1")] == []
    assert len(server.requests) == 1
    assert [r async for r in platform.runs(session_id="thread_1", limit=0)] == []
    assert len(server.requests) == 1


async def test_runs_that_move_while_they_are_listed_come_once(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    """A run that begins in between pushes the others to later pages."""
    runs = [run(n) for n in range(30, 0, -1)]

    def reply(seen: Seen) -> Reply:
        page = runs[int(seen.query["offset"]) :][:20]
        runs.insert(0, run(100 + len(runs)))
        return Reply(page)

    server.routes[RUNS] = reply
    found = [r.id async for r in platform.runs(session_id="thread_1")]
    assert found == [f"run_{n}" for n in range(30, 0, -1)]


@pytest.mark.parametrize("count", [10, 20, 100, 200, 300])
async def test_a_server_that_ignores_the_offset_is_not_asked_for_ever(
    server: ScriptedServer, platform: SeekrPlatform, count: int
) -> None:
    server.routes[RUNS] = Reply([run(n) for n in range(count)])
    assert len([r async for r in platform.runs(session_id="thread_1")]) == count
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "sizes", [[1], [5], [7], [12], [19], [20], [25], [50], [30, 20], [30, 7], [7, 3, 1]], ids=str
)
@pytest.mark.parametrize("limit", [None, 60])
async def test_a_server_that_caps_its_pages(
    server: ScriptedServer, platform: SeekrPlatform, sizes: list[int], limit: int | None
) -> None:
    everything = pages(70)

    def reply(seen: Seen) -> Reply:
        answer = everything(seen)
        return Reply(answer.body[: sizes[len(server.requests) % len(sizes)]])

    server.routes[RUNS] = reply
    found = [r.id async for r in platform.runs(session_id="thread_1", limit=limit)]
    assert found == [f"run_{n}" for n in range(70, 70 - (limit or 70), -1)]


@pytest.mark.parametrize(("most", "requests"), [(150, 1 + 3), (50, 2 + 13)])
async def test_a_server_that_refuses_large_pages(
    server: ScriptedServer, platform: SeekrPlatform, most: int, requests: int
) -> None:
    everything = pages(250)
    detail = {"loc": ["query", "limit"], "msg": "too large", "type": "less_than_equal"}

    def reply(seen: Seen) -> Reply:
        if int(seen.query["limit"]) > most:
            return Reply({"detail": [detail]}, status=422)
        return everything(seen)

    server.routes[RUNS] = reply
    assert len([r async for r in platform.runs(session_id="thread_1")]) == 250
    assert len(server.requests) == requests


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (3, 2), (19, 2)])
async def test_a_short_list_ends_with_an_empty_page(
    server: ScriptedServer, platform: SeekrPlatform, count: int, requests: int
) -> None:
    server.routes[RUNS] = pages(count)
    assert len([r async for r in platform.runs(session_id="thread_1")]) == count
    assert len(server.requests) == requests


async def test_a_short_list_takes_one_request_where_the_server_sends_whole_pages(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[RUNS] = pages(201)
    assert len([r async for r in platform.runs(session_id="thread_1")]) == 201
    server.requests.clear()
    server.routes[RUNS] = pages(3)
    assert len([r async for r in platform.runs(session_id="thread_1")]) == 3
    assert len(server.requests) == 1


@pytest.mark.parametrize("cap", [7, 12, 19])
async def test_no_state_is_missing_where_the_server_caps_its_pages(
    server: ScriptedServer, platform: SeekrPlatform, cap: int
) -> None:
    everything = pages(40)

    def capped(seen: Seen) -> Reply:
        return Reply(everything(seen).body[:cap])

    server.routes[RUNS] = capped
    wanted = [f"run_{n}" for n in (39, 20, 1)]
    for n in (39, 20, 1):
        server.routes[f"{RUNS}/run_{n}"] = Reply(run(n))
    found = await platform.status(wanted, session_id="thread_1")
    assert set(found) == set(wanted)


async def test_a_listing_that_is_refused_altogether(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[RUNS] = Reply({"detail": "no"}, status=422)
    with pytest.raises(PlatformError, match="422"):
        [r async for r in platform.runs(session_id="thread_1")]
    assert [s.query["limit"] for s in server.requests] == ["200", "100", "20"]


async def test_runs_are_filtered_here(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.routes[RUNS] = Reply(
        [run(1), run(2, status="canceled"), run(3, agent_id="other", status="cancelled")]
    )

    async def ids(**filters: Any) -> list[str]:
        return [r.id async for r in platform.runs(session_id="thread_1", **filters)]

    assert await ids(status="cancelled") == ["run_2", "run_3"]
    assert await ids(status="canceled") == ["run_2"]
    assert await ids(agent="other") == ["run_3"]
    assert await ids(agent="finance_agent", limit=1) == ["run_1"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"limit": -1}, "limit must be an integer of 0 or more, not -1"),
        ({"offset": -5}, "offset must be an integer of 0 or more"),
        ({"offset": 1.5}, "offset must be an integer"),
        ({"order": "newest"}, "order must be one of asc, desc, not 'newest'"),
        ({"session_id": None}, "session_id is needed"),
    ],
)
async def test_wrong_listings_are_refused(
    wrong: dict[str, Any], words: str, server: ScriptedServer, platform: SeekrPlatform
) -> None:
    given: dict[str, Any] = {"session_id": "thread_1", **wrong}
    with pytest.raises(RequestError, match=words):
        [r async for r in platform.runs(**given)]
    if "session_id" not in wrong:
        with pytest.raises(RequestError, match=words):
            await platform.api.list_runs("thread_1", **wrong)
        with pytest.raises(RequestError, match=words):
            await platform.api.list_messages("thread_1", **wrong)
    assert server.requests == []


async def test_every_field_of_a_run(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.routes[RUNS] = Reply([{**RUN, "future_field": [1]}])
    (found,) = [r async for r in platform.runs(session_id="thread_1")]
    assert found.raw == {**RUN, "future_field": [1]}
    assert found.finished_at == datetime(2023, 11, 7, 5, 31, 59, 500_000, UTC)
    assert found.started_at == datetime(2023, 11, 7, 5, 31, 57, tzinfo=UTC)
    assert (found.agent, found.session_id, found.model) == (
        "finance_agent",
        "thread_1",
        "seekr-large",
    )
    assert set(RUN) == set(Run.model_fields)
    (typed,) = await platform.api.list_runs("thread_1")
    assert typed.usage is not None
    assert typed.usage.total_tokens == 150
    assert typed.expires_at == datetime(2023, 11, 7, 6, 31, 56, tzinfo=UTC)
    assert (typed.temperature, typed.top_p, typed.parallel_tool_calls) == (1.0, 0.5, True)
    assert typed.tools == RUN["tools"]
    assert typed.meta_data == {"team": "research"}


@pytest.mark.parametrize(
    ("record", "status"),
    [
        ({"status": "queued"}, "queued"),
        ({"status": "running"}, "running"),
        ({"status": "completed"}, "completed"),
        ({"status": "failed"}, "failed"),
        ({"status": "canceled"}, "cancelled"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "weird", "completed_at": "2023-11-07T05:31:56Z"}, "completed"),
        ({"status": None, "failed_at": "2023-11-07T05:31:56"}, "failed"),
        ({"status": 7, "cancelled_at": "2023-11-07T05:31:56Z"}, "cancelled"),
        ({"is_active": True}, "running"),
        ({}, "queued"),
    ],
)
async def test_every_status(
    record: dict[str, Any], status: str, server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[ONE] = Reply({"id": "run_1", **record})
    found = await platform.status(["run_1"], session_id="thread_1")
    assert found["run_1"].status == status


async def test_fields_of_a_wrong_type_spoil_nothing(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    odd = {**{name: ["odd"] for name in RUN}, "id": "run_1"}
    server.routes[RUNS] = Reply([odd, "no run", {"status": "no id"}])
    (found,) = [r async for r in platform.runs(session_id="thread_1")]
    assert found.raw == odd
    assert found.created_at is None


async def test_status_of_several_runs(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.routes[ONE] = Reply(RUN)
    found = await platform.status(["run_1", "run_9", "run_1"], session_id="thread_1")
    assert list(found) == ["run_1"]
    assert sorted(server.calls) == [RUNS, ONE, "GET /v1/threads/thread_1/runs/run_9"]
    with pytest.raises(RequestError, match="session_id is needed"):
        await platform.status(["unheard_of"])


async def test_several_runs_of_a_thread_are_found_in_its_list(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[RUNS] = Reply([{**RUN, "id": f"run_{n}"} for n in range(100)])
    server.routes["GET /v1/threads/thread_1/runs/old"] = Reply({**RUN, "id": "old"})
    found = await platform.status(["run_3", "old", "run_7"], session_id="thread_1")
    assert list(found) == ["run_3", "old", "run_7"]
    assert server.calls == [RUNS, "GET /v1/threads/thread_1/runs/old"]
    assert server.requests[0].query["limit"] == "100"
    # A list that is not full has all that there is.
    server.routes[RUNS] = Reply([RUN])
    assert list(await platform.status(["run_1", "run_9"], session_id="thread_1")) == ["run_1"]
    assert len(server.requests) == 3


async def test_agents(server: ScriptedServer, platform: SeekrPlatform) -> None:
    entries = [
        {"id": "a1", "name": "Finance", "instructions": "Answer.", "model_id": "m"},
        {"id": "a2", "name": "Other", "output": {"model_id": "n"}, "description": "d"},
    ]
    server.routes["GET /v2/flow/agents/"] = [Reply({"data": entries}), Reply(entries), Reply({})]
    for _ in range(2):
        first, second = await platform.agents()
        assert (first.id, first.name, first.description, first.model) == (
            "a1",
            "Finance",
            "Answer.",
            "m",
        )
        assert (second.description, second.model, second.raw) == ("d", "n", entries[1])
    with pytest.raises(PlatformError, match="something else than a list"):
        await platform.agents()


async def test_messages_and_threads(server: ScriptedServer, platform: SeekrPlatform) -> None:
    parts = [{"type": "text", "text": "875.40"}]
    server.routes["GET /v1/threads/thread_1/messages"] = Reply(
        [{**MESSAGE, "role": "assistant", "content": parts, "run_id": "run_1"}, MESSAGE]
    )
    server.routes["GET /v1/threads/thread_1"] = Reply(
        {**without(THREAD, "meta_data"), "status": "locked", "metadata": {"topic": "shares"}}
    )
    answer, question = await platform.api.list_messages("thread_1", limit=2, order="asc", offset=4)
    assert (answer.content, answer.run_id) == (parts, "run_1")
    assert question.content == MESSAGE["content"]
    assert server.requests[0].query == {"limit": "2", "order": "asc", "offset": "4"}
    thread = await platform.api.thread("thread_1")
    assert (thread.status, thread.meta_data) == ("locked", {"topic": "shares"})
