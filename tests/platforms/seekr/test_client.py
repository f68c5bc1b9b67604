"""Everything beside the stream: background runs, lists, cancelling, joining again."""

from __future__ import annotations

import asyncio
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest

from agentnb.config import PlatformSettings
from agentnb.deadlines import Deadlines
from agentnb.errors import ConfigError, DeadlineError, NotFoundError, PlatformError, RequestError
from agentnb.events import (
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import RunRequest
from agentnb.platforms.seekr import DEFAULT_BASE_URL, PlatformDeprecationWarning, SeekrPlatform
from agentnb.platforms.seekr.wire import Run
from agentnb.transcript import fold
from tests.platforms.recorded import FIXTURES
from tests.platforms.scripted import Reply, ScriptedServer, Seen, recorded, stream
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.records import MESSAGE, RUN, THREAD, run

pytestmark = pytest.mark.anyio

RUNS = "GET /v1/threads/thread_1/runs"
ONE = "GET /v1/threads/thread_1/runs/run_1"
CANCEL = "POST /v1/threads/thread_1/runs/run_1/cancel"
ATTACH = "GET /v1/threads/thread_1/runs/run_1/attach"


@pytest.fixture
def platform(connect: Connect) -> SeekrPlatform:
    return connect()


# --- lists ----------------------------------------------------------------------------------


def pages(count: int, **changes: Any) -> Any:
    """A thread of so many runs, newest first, that honours limit, order and offset."""
    newest_first = [run(n, **changes) for n in range(count, 0, -1)]

    def reply(seen: Seen) -> Reply:
        runs = newest_first if seen.query["order"] == "desc" else newest_first[::-1]
        offset = int(seen.query["offset"])
        return Reply(runs[offset : offset + int(seen.query["limit"])])

    return reply


async def test_runs_over_all_pages(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.routes[RUNS] = pages(45)
    found = [r.id async for r in platform.runs(session_id="thread_1")]
    assert found == [f"run_{n}" for n in range(45, 0, -1)]
    assert [s.query for s in server.requests] == [
        {"limit": "20", "order": "desc", "offset": str(offset)} for offset in (0, 20, 40)
    ]


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


async def test_a_server_that_ignores_the_offset_is_not_asked_for_ever(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[RUNS] = Reply([run(n) for n in range(20)])
    assert len([r async for r in platform.runs(session_id="thread_1")]) == 20
    assert len(server.requests) == 2


async def test_a_server_that_caps_its_pages(server: ScriptedServer, connect: Connect) -> None:
    everything = pages(70)

    def reply(seen: Seen) -> Reply:
        answer = everything(seen)
        return Reply(answer.body[:25])

    server.routes[RUNS] = reply
    platform = connect(page_size=50)
    assert len([r async for r in platform.runs(session_id="thread_1")]) == 70


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
    assert sorted(server.calls) == [ONE, "GET /v1/threads/thread_1/runs/run_9"]
    with pytest.raises(RequestError, match="session_id is needed"):
        await platform.status(["unheard_of"])


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
    server.routes["GET /v1/threads/thread_1"] = Reply({**THREAD, "status": "locked"})
    answer, question = await platform.api.list_messages("thread_1", limit=2, order="asc", offset=4)
    assert (answer.content, answer.run_id) == (parts, "run_1")
    assert question.content == MESSAGE["content"]
    assert server.requests[0].query == {"limit": "2", "order": "asc", "offset": "4"}
    assert (await platform.api.thread("thread_1")).status == "locked"


# --- in the background ------------------------------------------------------------------------


@pytest.fixture
def background(server: ScriptedServer) -> None:
    answer = {"run_id": "run_1", "thread_id": "thread_1", "status": "queued", "group": "g"}
    server.routes |= {
        "POST /v1/threads": Reply(THREAD),
        "POST /v1/threads/thread_1/messages": Reply(MESSAGE),
        "POST /v1/threads/thread_1/runs": Reply(answer),
        ONE: [Reply(run(1, status="running")), Reply(RUN)],
        CANCEL: Reply({"status": "canceled", "run_id": "run_1"}),
    }


REQUEST = RunRequest(agent="finance_agent", prompt="NVDA?", params={"group": "g"})


@pytest.mark.usefixtures("background")
async def test_background_run(server: ScriptedServer, platform: SeekrPlatform) -> None:
    found = await platform.start_background(REQUEST)
    assert (found.id, found.status, found.session_id, found.agent) == (
        "run_1",
        "queued",
        "thread_1",
        "finance_agent",
    )
    assert server.only("POST /v1/threads/thread_1/runs").json == {
        "agent_id": "finance_agent",
        "group": "g",
    }
    # Its thread and its agent are remembered.
    assert (await platform.status(["run_1"]))["run_1"].status == "running"
    server.routes[ATTACH] = stream({"type": "end_node", "final_output": "x"})
    (first, *_) = [batch async for batch in platform.attach("run_1")]
    assert first == [RunStarted(run_id="run_1", session_id="thread_1", agent="finance_agent")]
    await platform.cancel("run_1")
    assert server.only(CANCEL).json == {"agent_id": "finance_agent"}


@pytest.mark.usefixtures("background")
async def test_invoke(server: ScriptedServer, platform: SeekrPlatform) -> None:
    call = {"toolCallId": "c", "toolName": "get_stock_price"}
    parts = [
        {"type": "reasoning", "text": "Look it up."},
        {"type": "tool-call", **call, "args": {"ticker": "NVDA"}},
        {"type": "tool-result", **call, "result": 875.4},
        {"type": "tool-call", "toolCallId": "d", "toolName": "news", "input": "{}"},
        {"type": "tool-error", "toolCallId": "d", "error": "none"},
        {"type": "text", "text": "It is at "},
        {"type": "file", "file_id": "f"},
        {"type": "data", "data": {"a": 1}},
        "**$875.40**.",
    ]
    server.routes["GET /v1/threads/thread_1/messages"] = Reply(
        [
            {"id": "m3", "role": "assistant", "content": parts, "run_id": "run_1"},
            {"id": "m2", "role": "assistant", "content": "Hm. ", "run_id": "run_1"},
            {"id": "m0", "role": "assistant", "content": "of another run", "run_id": "run_0"},
            {**MESSAGE},
            {"id": "m-", "role": "assistant", "content": "from before"},
        ]
    )
    events = await platform.invoke(REQUEST)
    assert events[:8] == [
        RunStarted(
            run_id="run_1", session_id="thread_1", agent="finance_agent", model="seekr-large"
        ),
        TextDelta("Hm. "),
        ReasoningDelta("Look it up."),
        ToolCallStarted(call_id="c", name="get_stock_price", arguments='{"ticker": "NVDA"}'),
        ToolCallFinished(call_id="c", name="get_stock_price", result="875.4"),
        ToolCallStarted(call_id="d", name="news", arguments="{}"),
        ToolCallFinished(call_id="d", error="none"),
        TextDelta("It is at "),
    ]
    assert [e.name for e in events if isinstance(e, RawEvent)] == ["file", "data"]
    assert events[-2:] == [
        UsageReported(
            usage=Usage(input_tokens=120, output_tokens=30, total_tokens=150), model="seekr-large"
        ),
        RunFinished(duration=2.5),
    ]
    assert fold(events).text == "Hm. It is at **$875.40**."


@pytest.mark.usefixtures("background")
@pytest.mark.parametrize(
    ("record", "kind", "words"),
    [
        ({"status": "failed", "error": {"message": "out of tokens"}}, RunFailed, "out of tokens"),
        ({"status": "failed"}, RunFailed, "run_1 failed on the platform."),
        ({"status": "canceled"}, RunCancelled, "cancelled on the platform"),
    ],
)
async def test_invoke_of_a_run_that_does_not_complete(
    record: dict[str, Any],
    kind: type,
    words: str,
    server: ScriptedServer,
    platform: SeekrPlatform,
) -> None:
    server.routes[ONE] = Reply(run(1, **record))
    server.routes["GET /v1/threads/thread_1/messages"] = Reply([])
    last = (await platform.invoke(REQUEST))[-1]
    assert isinstance(last, kind)
    assert words in str(last)


@pytest.mark.usefixtures("background")
async def test_invoke_that_takes_too_long_is_cancelled(
    server: ScriptedServer, connect: Connect
) -> None:
    server.routes[ONE] = Reply(run(1, status="running"))
    platform = connect(deadlines=Deadlines(total=0.2))
    with pytest.raises(DeadlineError) as caught:
        await platform.invoke(REQUEST)
    assert (caught.value.deadline, caught.value.seconds) == ("total", 0.2)
    await server.called(CANCEL)


@pytest.mark.usefixtures("background")
async def test_invoke_that_is_cancelled_cancels_the_run(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[ONE] = Reply(run(1, status="running"))
    task = asyncio.create_task(platform.invoke(REQUEST))
    await server.called(ONE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.called(CANCEL)


# --- cancelling and joining -------------------------------------------------------------------


async def test_cancel_by_id(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.routes[CANCEL] = Reply({"status": "canceled", "run_id": "run_1"})
    await platform.cancel("run_1", agent="finance_agent", session_id="thread_1")
    assert server.calls == [CANCEL]
    assert server.only(CANCEL).json == {"agent_id": "finance_agent"}


async def test_cancel_finds_what_it_is_not_told(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes |= {
        "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_1"}),
        ONE: Reply(RUN),
        CANCEL: Reply({"status": "canceled", "run_id": "run_1"}),
    }
    await platform.cancel(None, session_id="thread_1")
    assert server.only(CANCEL).json == {"agent_id": "finance_agent"}


async def test_cancel_where_nothing_is_going_on(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes |= {"GET /v1/threads/thread_1": Reply(THREAD), RUNS: Reply([RUN])}
    await platform.cancel(None, session_id="thread_1")
    assert not [call for call in server.calls if call.startswith("POST")]


async def test_cancel_that_is_refused(platform: SeekrPlatform) -> None:
    with pytest.raises(NotFoundError):
        await platform.cancel("run_1", agent="a", session_id="thread_1")
    with pytest.raises(RequestError, match="session_id is needed"):
        await platform.cancel(None)


@pytest.mark.parametrize("name", ["stream", "vercel"])
async def test_attach_takes_both_dialects(
    name: str, server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[ATTACH] = recorded(FIXTURES / "seekr" / f"{name}.sse")
    server.routes[ONE] = Reply(RUN)
    batches = [b async for b in platform.attach("run_1", agent="a", session_id="thread_1")]
    assert batches[0] == [RunStarted(run_id="run_1", session_id="thread_1", agent="a")]
    found = fold([event for batch in batches for event in batch])
    assert (found.status, found.usage is not None) == ("completed", True)
    assert "**$875.40**." in found.text
    assert server.requests[0].headers["accept"] == "text/event-stream"


async def test_attach_closes_its_connection(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[ATTACH] = stream({"type": "text_delta", "text": "x"}, hang=True)
    batches = platform.attach("run_1", session_id="thread_1")
    await anext(batches)
    await anext(batches)
    await batches.aclose()
    async with asyncio.timeout(5):
        await server.left.wait()


# --- the client itself ------------------------------------------------------------------------


async def test_deprecation_is_said_once(server: ScriptedServer, platform: SeekrPlatform) -> None:
    headers = {
        "Deprecation": "@1688169599",
        "Sunset": "Sun, 01 Aug 2027 10:00:00 GMT",
        "Link": '<https://example.com/moved>; rel="deprecation"',
    }
    server.routes[RUNS] = Reply([], headers=headers)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await platform.api.list_runs("thread_1")
        await platform.api.list_runs("thread_1")
    assert {w.category for w in caught} == {PlatformDeprecationWarning}
    assert [str(w.message) for w in caught] == [
        "seekr says that /v1/threads/thread_1/runs is deprecated since 2023-06-30 and will stop "
        "working on 2027-08-01 (see https://example.com/moved)."
    ]


async def test_deprecation_of_a_stream_and_in_older_words(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    headers = {"deprecation": "true"}
    server.routes[ATTACH] = stream({"type": "end_node"}, headers=headers)
    server.routes[ONE] = Reply(RUN)
    with pytest.warns(PlatformDeprecationWarning, match="the stream of a run is deprecated"):
        async for _ in platform.attach("run_1", session_id="thread_1"):
            pass


async def test_without_such_headers_nothing_is_said(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[RUNS] = Reply([], headers={"Deprecation": "false"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await platform.api.list_runs("thread_1") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"team": "a"}, "no parameter 'team'. Did you mean 'team_id'?"),
        ({"page_size": 0}, "page_size must be an integer of 1 or more, not 0"),
        ({"dialect": "x"}, "dialect must be 'stream' or 'vercel'"),
        ({"auth_scheme": "a b"}, "auth_scheme must match"),
        ({"team_id": "a\nb"}, "team_id must match"),
    ],
)
def test_wrong_settings(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SeekrPlatform(PlatformSettings(platform="seekr", options=options))
    assert words in str(caught.value)


async def test_default_address_and_what_it_can_do(connect: Connect) -> None:
    assert DEFAULT_BASE_URL == "https://flow.seekr.com"
    platform = SeekrPlatform(PlatformSettings(platform="mine"))
    assert platform.name == "mine"
    can = platform.capabilities
    assert (can.cancel, can.attach, can.list_agents, can.list_runs) == (True,) * 4
    assert (can.run_status, can.output_schema, can.media) == (True,) * 3
    assert not can.followups
    await platform.aclose()
    await platform.aclose()


async def test_the_key_is_not_shown(server: ScriptedServer, platform: SeekrPlatform) -> None:
    assert "key-123456789" not in repr(platform) + repr(vars(platform)) + repr(vars(platform.api))
    server.routes[ONE] = Reply({"error": "bad key key-123456789"}, status=401)
    with pytest.raises(PlatformError) as caught:
        await platform.api.run("thread_1", "run_1")
    error = caught.value
    assert "key-123456789" not in str(error) + error.excerpt + repr(error)
