"""What a streamed run brings, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from agentnb._http import RequestOptions, RetryDelay
from agentnb._http.retry import Retries
from agentnb.errors import InvalidRequestError, NotFoundError, StreamCutError
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RunFinished, RunStarted, TextDelta, Usage, UsageReported
from agentnb.platforms.seekr import SeekrPlatform
from tests.platforms.recorded import FIXTURES
from tests.platforms.scripted import Reply, ScriptedServer, recorded, stream
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.records import RUN, THREAD, now, run
from tests.platforms.seekr.streamed import END, STREAM, TEXT, answering, ask, events_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def platform(server: ScriptedServer, connect: Connect) -> SeekrPlatform:
    return answering(server, connect)


async def test_its_events(platform: SeekrPlatform) -> None:
    batches = [batch async for batch in platform.stream(ask())]
    assert batches[0] == [RunStarted(session_id="thread_1", agent="finance_agent")]
    events = [event for batch in batches for event in batch]
    assert events[1] == TextDelta("875.40")
    assert events[-1] == RunFinished(output="875.40", duration=2.5)
    found = fold(events)
    assert (found.run_id, found.session_id, found.model) == ("run_1", "thread_1", "seekr-large")
    assert found.usage == Usage(input_tokens=120, output_tokens=30, total_tokens=150)


async def test_422_names_each_field(server: ScriptedServer, platform: SeekrPlatform) -> None:
    detail = [
        {"loc": ["body", "agent_id"], "msg": "no such agent", "type": "value_error"},
        {"loc": ["body", "model_settings", "top_p"], "msg": "too large", "type": "le"},
    ]
    server.routes[STREAM] = Reply({"detail": detail}, status=422)
    with pytest.raises(InvalidRequestError) as caught:
        await events_of(platform, ask())
    assert [(f.location, f.message, f.kind) for f in caught.value.fields] == [
        ("body.agent_id", "no such agent", "value_error"),
        ("body.model_settings.top_p", "too large", "le"),
    ]
    assert "body.agent_id: no such agent" in str(caught.value)


async def test_other_errors(server: ScriptedServer, platform: SeekrPlatform) -> None:
    body = {"error": "thread_not_found", "message": "No such thread", "status": 404}
    server.routes["POST /v1/threads/t/messages"] = Reply(body, status=404)
    with pytest.raises(NotFoundError) as caught:
        await events_of(platform, ask(session_id="t"))
    assert caught.value.code == "thread_not_found"
    assert "No such thread" in caught.value.message


async def test_run_id_is_found_without_holding_up_the_stream(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    gate = asyncio.Event()
    server.routes[STREAM] = stream(TEXT, TEXT, END, gate=gate)
    found: list[Event] = []
    async for batch in platform.stream(ask()):
        found += batch
        texts = sum(isinstance(event, TextDelta) for event in found)
        if texts == 2 and not gate.is_set():
            await server.called("GET /v1/threads/thread_1")
            gate.set()
    assert fold(found).run_id == "run_1"
    assert fold(found).text == "875.40875.40"


async def test_run_id_from_the_list_where_the_thread_says_none(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes["GET /v1/threads/thread_1"] = Reply(THREAD)
    server.routes["GET /v1/threads/thread_1/runs"] = Reply([run(7)])
    server.routes["GET /v1/threads/thread_1/runs/run_7"] = Reply(run(7))
    events = await events_of(platform, ask())
    assert fold(events).run_id == "run_7"
    listed = [s for s in server.requests if s.call == "GET /v1/threads/thread_1/runs"]
    assert listed[0].query == {"limit": "1", "order": "desc", "offset": "0"}


async def test_the_run_before_is_not_taken_for_this_one(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    """In an older thread a run that began before, whether it has ended or not, is another run."""
    gate = asyncio.Event()
    server.routes["GET /v1/threads/thread_1"] = Reply({**THREAD, "active_run_id": "run_1"})
    others = [run(1, status="running", created_at=now(minutes=-1)), run(0)]
    mine = run(2, created_at=now())
    later = run(3, created_at=now(milliseconds=1))
    server.routes["GET /v1/threads/thread_1/runs"] = [Reply(others), Reply([later, mine, *others])]
    server.routes[STREAM] = stream(TEXT, END, gate=gate)
    found: list[Event] = []
    async for batch in platform.stream(ask(session_id="thread_1")):
        found += batch
        if any(isinstance(event, TextDelta) for event in batch):
            await server.called("GET /v1/threads/thread_1/runs")
        gate.set()
    assert [e.run_id for e in found if isinstance(e, RunStarted)] == ["run_2"]


async def test_a_look_beside_the_stream_is_not_waited_for(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    """The run goes on, so that nobody is told that something is tried again."""
    gate, pauses = asyncio.Event(), list[RetryDelay]()
    server.routes["GET /v1/threads/thread_1"] = Reply({}, status=503)
    server.routes[STREAM] = stream(TEXT, TEXT, END, gate=gate)
    with RequestOptions(retries=Retries(requests=2), on_retry=pauses.append).applied():
        async for batch in platform.stream(ask()):
            if any(isinstance(event, TextDelta) for event in batch) and not gate.is_set():
                await server.called("GET /v1/threads/thread_1")
                asyncio.get_running_loop().call_later(0.3, gate.set)
    assert pauses == []


async def test_what_cannot_be_found_out_does_not_matter(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    for call in list(server.routes):
        if call.startswith("GET"):
            del server.routes[call]
    events = await events_of(platform, ask())
    assert events[-1] == RunFinished(output="875.40")
    assert fold(events).usage is None


async def test_zeros_are_no_usage_and_a_late_one_is_waited_for(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    early = run(1, status="running", completed_at=None, usage=none)
    server.routes["GET /v1/threads/thread_1/runs/run_1"] = [Reply(early), Reply(RUN)]
    events = await events_of(platform, ask())
    assert [e for e in events if isinstance(e, UsageReported)] == [
        UsageReported(
            usage=Usage(input_tokens=120, output_tokens=30, total_tokens=150), model="seekr-large"
        )
    ]


async def test_clean_end_without_a_word_invents_nothing(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[STREAM] = recorded(FIXTURES / "seekr" / "no_end.sse")
    found = fold(await events_of(platform, ask()))
    assert found.text == "The current stock price of NVIDIA"
    assert not found.is_final
    # Whoever asks for its state needs the id.
    assert found.run_id == "run_1"


async def test_cut_stream_raises_and_what_came_was_yielded(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[STREAM] = stream(TEXT, cut=True)
    found: list[Event] = []

    async def consume() -> None:
        async for batch in platform.stream(ask()):
            found.extend(batch)

    with pytest.raises(StreamCutError):
        await consume()
    assert fold(found).text == "875.40"
    # Whoever joins the run again needs the id.
    assert fold(found).run_id == "run_1"


async def test_closing_the_generator_closes_the_connection(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[STREAM] = stream(TEXT, hang=True)
    batches = platform.stream(ask())
    async for batch in batches:
        if any(isinstance(event, TextDelta) for event in batch):
            break
    await batches.aclose()
    async with asyncio.timeout(5):
        await server.left.wait()


async def test_cancelling_the_task_closes_the_connection(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[STREAM] = stream(TEXT, hang=True)
    started = asyncio.Event()

    async def consume() -> None:
        async for batch in platform.stream(ask()):
            if any(isinstance(event, TextDelta) for event in batch):
                started.set()

    task = asyncio.create_task(consume())
    async with asyncio.timeout(5):
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.left.wait()


async def test_half_characters_of_a_prompt_can_be_sent(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    await events_of(platform, ask(prompt="caf\u00e9 \ud83d"))
    assert server.only("POST /v1/threads/thread_1/messages").json["content"] == "café \ufffd"
