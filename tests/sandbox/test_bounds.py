"""What the sandbox remembers is bounded, and what goes is the oldest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from agentnb.event.types import RunFinished, TextDelta
from agentnb.platforms.local import AgentFunction
from agentnb.sandbox import state
from agentnb.sandbox.engine import SandboxEngine
from agentnb.sandbox.event_log import EventLog
from agentnb.sandbox.registry import AgentRegistry
from agentnb.sandbox.state import SandboxRun, SandboxSession, SandboxStore

pytestmark = pytest.mark.anyio


def engine_with(function: AgentFunction) -> SandboxEngine:
    registry = AgentRegistry()
    registry.agent("it")(function)
    return SandboxEngine(registry, key=SecretStr("k"), pace=0)


def says(text: str) -> AgentFunction:
    def function(prompt: str) -> str:
        return text

    return function


def start(engine: SandboxEngine, store: SandboxStore, session: SandboxSession) -> SandboxRun:
    agent = engine.registry.find("it")
    assert agent is not None
    return engine.start(store, agent, session, "x", history=[], with_client=False)


async def test_a_log_gives_each_reader_everything_in_order() -> None:
    log = EventLog()
    log.append(TextDelta("a"))
    early, late = log.reader(), None
    assert await early.next(timeout=1) == [TextDelta("a")]
    assert await early.next(timeout=0.01) == []
    log.append(TextDelta("b"))
    late = log.reader()
    log.close()
    assert await early.next(timeout=1) == [TextDelta("b")]
    assert await early.next(timeout=1) is None
    assert await late.next(timeout=1) == [TextDelta("a"), TextDelta("b")]
    assert await late.next(timeout=1) is None


async def test_a_log_keeps_the_latest_events_only() -> None:
    log = EventLog(keep=100)
    for number in range(1000):
        log.append(TextDelta(str(number)))
    assert 100 <= len(log) <= 126
    kept = await log.reader().next(timeout=1)
    assert kept is not None
    assert kept[-1] == TextDelta("999")
    assert kept == [TextDelta(str(n)) for n in range(1000 - len(kept), 1000)]
    assert log.end() == 1000


async def test_a_producer_waits_for_the_slowest_reader() -> None:
    log = EventLog()
    reader = log.reader()
    for _ in range(300):
        log.append(TextDelta("x"))
    waiting = asyncio.create_task(log.wait_for_room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await reader.next(timeout=1)
    await asyncio.wait_for(waiting, 1)
    for _ in range(300):
        log.append(TextDelta("x"))
    waiting = asyncio.create_task(log.wait_for_room())
    await asyncio.sleep(0)
    reader.close()
    await asyncio.wait_for(waiting, 1)


async def test_old_sessions_go_but_never_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_MAX_SESSIONS", 3)
    store = SandboxStore()
    release = asyncio.Event()

    async def waits(prompt: str) -> str:
        await release.wait()
        return "done"

    busy = store.new_session("busy")
    run = start(engine_with(waits), store, busy)
    for number in range(6):
        store.new_session(f"s{number}")
    assert store.session("busy") is busy
    assert [s.id for s in store.sessions()][:2] == ["s5", "s4"]
    assert store.session("s0") is None
    release.set()
    await run.settled.wait()


async def test_old_runs_go_by_number_and_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_MAX_RUNS", 5)
    store = SandboxStore()
    session = store.new_session("s")
    engine = engine_with(says("short"))
    ids: list[str] = []
    for _ in range(8):
        run = start(engine, store, session)
        ids.append(run.id)
        await run.settled.wait()
    await asyncio.sleep(0.01)
    assert [r.id for r in store.runs(oldest_first=True)] == ids[3:]
    monkeypatch.setattr(state, "_MAX_WEIGHT", 1_000_000)
    engine = engine_with(says("x" * 300_000))
    for _ in range(4):
        run = start(engine, store, session)
        await run.settled.wait()
    await asyncio.sleep(0.01)
    assert len(list(store.runs())) == 1


async def test_a_session_keeps_its_latest_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_MAX_MESSAGES", 4)
    session = SandboxStore().new_session("s")
    for number in range(9):
        session.add("user", str(number))
    assert [m["content"] for m in session.history()] == ["5", "6", "7", "8"]


async def test_an_agent_that_talks_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentnb.sandbox.engine._MAX_TEXT", 10_000)

    async def endless(prompt: str) -> AsyncIterator[str]:
        while True:
            yield "x" * 100

    store = SandboxStore()
    run = start(engine_with(endless), store, store.new_session("s"))
    await asyncio.wait_for(run.settled.wait(), 10)
    assert run.status == "failed"
    assert run.transcript.failure is not None
    assert run.transcript.failure.code == "TOO_LONG"


async def test_nothing_counts_after_the_end() -> None:
    store = SandboxStore()
    run = start(engine_with(says("done")), store, store.new_session("s"))
    await run.settled.wait()
    run.add(TextDelta("more"))
    run.add(RunFinished())
    run.cancel("late")
    assert run.status == "completed"
    assert run.transcript.text == "done"
    assert len(run.session.messages) == 1


async def test_a_run_cancelled_before_its_first_step_is_cancelled() -> None:
    store = SandboxStore()
    run = start(engine_with(says("done")), store, store.new_session("s"))
    run.cancel("at once")
    assert run.status == "cancelled"
    assert run.task is not None
    await asyncio.wait({run.task})
    assert run.transcript.text == ""
    assert run.session.active == []
