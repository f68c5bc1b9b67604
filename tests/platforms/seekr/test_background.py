"""Runs without a stream: in the background, and as one answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentnb._http import RequestOptions
from agentnb._http.timeout import Deadlines
from agentnb.errors import DeadlineError
from agentnb.event.transcript import fold
from agentnb.event.types import (
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
from agentnb.platforms.seekr import SeekrPlatform
from tests.platforms.scripted import Reply, ScriptedServer, Seen, stream
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.records import ATTACH, CANCEL, MESSAGE, ONE, RUN, THREAD, run

pytestmark = pytest.mark.anyio


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
    platform = connect(deadlines=Deadlines(total=2))
    with pytest.raises(DeadlineError) as caught:
        await platform.invoke(REQUEST)
    assert (caught.value.deadline, caught.value.seconds) == ("total", 2)
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


@pytest.mark.usefixtures("background")
async def test_invoke_past_the_time_of_its_run_is_cancelled(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    """What tells the platform of it has time of its own."""
    server.routes[ONE] = Reply(run(1, status="running"))
    with (
        RequestOptions(deadlines=Deadlines(total=0.6)).applied(),
        pytest.raises(DeadlineError) as caught,
    ):
        await platform.invoke(REQUEST)
    assert caught.value.deadline == "total"
    await server.called(CANCEL)


@pytest.mark.usefixtures("background")
async def test_the_time_of_a_run_takes_precedence(server: ScriptedServer, connect: Connect) -> None:
    server.routes["GET /v1/threads/thread_1/messages"] = Reply([MESSAGE])
    platform = connect(deadlines=Deadlines(total=0.1))
    with RequestOptions(deadlines=Deadlines(total=30)).applied():
        events = await platform.invoke(REQUEST)
    assert fold(events).status == "completed"


SUB = {"messageMetadata": {"metadata": {"agent_id": "a2", "parent_agent_id": "a1"}}}
PLAN = '{"steps": ["look it up"]}'
ANSWERS: list[Any] = [
    ([[{"type": "output_guardrail", "text": "No.", "guardrail": []}]], "No.", ""),
    ([{"type": "output_guardrail", "text": "No."}], "No.", ""),
    ([[{"type": "output_text", "text": "42", "annotations": []}]], "42", ""),
    ([[{"type": "text", "text": PLAN}, {"type": "text", "text": "42"}]], "42", PLAN),
    ([[{"type": "text", "text": PLAN}], "42"], "42", PLAN),
    ([PLAN, "42"], "42", PLAN),
    (["42", PLAN], "42", PLAN),
    ([PLAN], PLAN, PLAN),
    ([f"{PLAN}\n42"], "42", PLAN),
    (['{"price": 42}'], '{"price": 42}', ""),
    ([[{"type": "text", "text": "Sub.", **SUB}, {"type": "text", "text": "42"}]], "42", "Sub."),
    ([[{"type": "text", "text": PLAN, **SUB}, "42"]], "42", PLAN),
]


@pytest.mark.usefixtures("background")
@pytest.mark.parametrize(("contents", "text", "reasoning"), ANSWERS, ids=str)
async def test_what_of_the_messages_is_the_answer(
    contents: list[Any], text: str, reasoning: str, server: ScriptedServer, platform: SeekrPlatform
) -> None:
    answers = [
        {"id": f"m{n}", "role": "assistant", "content": content, "run_id": "run_1"}
        for n, content in enumerate(contents)
    ]
    server.routes["GET /v1/threads/thread_1/messages"] = Reply([*answers[::-1], MESSAGE])
    found = fold(await platform.invoke(REQUEST))
    assert (found.text, found.reasoning) == (text, reasoning)


@pytest.mark.usefixtures("background")
async def test_the_message_of_a_sub_agent_is_reasoning(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    said = {"id": "m1", "role": "assistant", "run_id": "run_1"}
    sub = {"meta_data": {"agent_id": "a2", "parent_agent_id": "a1"}}
    server.routes["GET /v1/threads/thread_1/messages"] = Reply(
        [{**said, "id": "m2", "content": "42"}, {**said, "content": "Sub.", **sub}, MESSAGE]
    )
    found = fold(await platform.invoke(REQUEST))
    assert (found.text, found.reasoning) == ("42", "Sub.")


@pytest.mark.usefixtures("background")
async def test_an_answer_of_many_messages(server: ScriptedServer, platform: SeekrPlatform) -> None:
    messages = [
        {"id": f"m{n}", "role": "assistant", "content": f"{n} ", "run_id": "run_1"}
        for n in range(250, 0, -1)
    ]

    def reply(seen: Seen) -> Reply:
        assert seen.query["order"] == "desc"
        return Reply([*messages, MESSAGE][int(seen.query["offset"]) :][:40])

    server.routes["GET /v1/threads/thread_1/messages"] = reply
    found = fold(await platform.invoke(REQUEST))
    assert found.text == "".join(f"{n} " for n in range(1, 251))


@pytest.mark.usefixtures("background")
async def test_a_later_question_hides_no_answer(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes["POST /v1/threads/thread_1/messages"] = Reply({})
    server.routes["GET /v1/threads/thread_1/messages"] = Reply(
        [
            {**MESSAGE, "id": "later"},
            {"id": "m1", "role": "assistant", "content": "42", "run_id": "run_1"},
            MESSAGE,
        ]
    )
    assert fold(await platform.invoke(REQUEST)).text == "42"
