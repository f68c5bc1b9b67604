"""Streams of LangGraph's development server that break off, at every event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

import agentnb
from agentnb.event import (
    CustomEvent,
    Event,
    RawEvent,
    RunFinished,
    RunStarted,
    StateSnapshot,
    TextDelta,
)
from agentnb.platforms.langgraph import LangGraphPlatform
from agentnb.plugin import PlatformSettings, RunRequest
from tests.relayed import Relay, relay

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


@asynccontextmanager
async def platform_at(url: str, **options: Any) -> AsyncGenerator[LangGraphPlatform, None]:
    platform = LangGraphPlatform(
        PlatformSettings(platform="langgraph", base_url=url, options=options)
    )
    yield platform
    await platform.aclose()


async def collected(batches: AsyncGenerator[list[Event], None]) -> list[Event]:
    return [event async for batch in batches for event in batch]


def started(events: list[Event]) -> tuple[str | None, str | None]:
    assert isinstance(events[0], RunStarted)
    return events[0].run_id, events[0].session_id


async def attached(url: str, events: list[Event]) -> list[Event]:
    """Return what another process receives of the run."""
    run_id, session_id = started(events)
    async with platform_at(url) as other:
        return await collected(other.attach(run_id or "", session_id=session_id))


async def cut_after(platform: LangGraphPlatform, request: RunRequest, count: int) -> list[Event]:
    """Return a run's first events: those of ``count`` batches."""
    got: list[Event] = []
    async with aclosing(platform.stream(request)) as batches:
        async for batch in batches:
            got += batch
            count -= 1
            if not count:
                break
    return got


@pytest.mark.parametrize("mode", ["values", "custom", "tasks", "checkpoints", "debug", "events"])
async def test_every_mode_is_repeated(url: str, mode: str) -> None:
    params: dict[str, Any] = {"stream_mode": [mode], "stream_subgraphs": True, "input": {"log": []}}
    fields = {"prompt_field": "question"} if mode == "custom" else {}
    request = RunRequest(agent="fields" if fields else "outer", prompt="tea?", params=params)
    if not fields:
        del params["input"]
    async with platform_at(url, **fields) as platform:
        events = await collected(platform.stream(request))
    raw = {event.name.partition("|")[0] for event in events if isinstance(event, RawEvent)}
    known = {"values": StateSnapshot, "custom": CustomEvent}.get(mode)
    assert any(isinstance(event, known) for event in events) if known else mode in raw
    assert isinstance(events[-1], RunFinished)
    assert await attached(url, events) == events


@pytest.mark.parametrize(
    ("prompt", "graph"),
    [
        *(("use a tool", "helper"), ("tea?", "helper"), ("break", "helper"), ("think", "helper")),
        *(("use a tool", "nested"), ("break", "nested")),
    ],
)
async def test_a_run_is_resumed_after_every_event(url: str, prompt: str, graph: str) -> None:
    params = {"stream_subgraphs": graph == "nested"}
    request = RunRequest(agent=graph, prompt=prompt, params=params)
    async with platform_at(url) as platform:
        events = await collected(platform.stream(request))
        run_id, session_id = started(events)
        assert await attached(url, events) == events
        for count in range(1, len(events) + 1):
            rest = platform.resume(
                request, run_id=run_id, session_id=session_id, delivered=events[:count]
            )
            assert events[:count] + await collected(rest) == events


async def test_a_run_in_progress_is_resumed_after_every_batch(url: str) -> None:
    """What is read after a cut is what another process reads of the same run."""
    request = RunRequest(agent="helper", prompt="go on a bit")

    async def check(platform: LangGraphPlatform, count: int) -> None:
        got = await cut_after(platform, request, count)
        run_id, session_id = started(got)
        # Twice: the second connection breaks off, too.
        for batches in (3, None):
            rest = platform.resume(request, run_id=run_id, session_id=session_id, delivered=got)
            async with aclosing(rest):
                async for batch in rest:
                    got = got + batch
                    if batches is not None and (batches := batches - 1) == 0:
                        break
        assert isinstance(got[-1], RunFinished)
        text = "".join(event.text for event in got if isinstance(event, TextDelta))
        assert text == "".join(f"{n} " for n in range(30))
        assert got == await attached(url, got)

    async with platform_at(url) as platform:
        for first in range(1, 28, 9):
            await asyncio.gather(*(check(platform, first + n) for n in range(9)))


async def test_attaching_in_the_middle(url: str) -> None:
    """Others attach while frames arise: none is lost or doubled."""
    request = RunRequest(agent="helper", prompt="go on a bit")
    async with platform_at(url) as platform:
        others: list[asyncio.Task[list[Event]]] = []
        events: list[Event] = []
        async for batch in platform.stream(request):
            events += batch
            others.append(asyncio.create_task(attached(url, events)))
        for other in await asyncio.gather(*others):
            assert other == events


class CuttingRelay(Relay):
    """Breaks each connection off after the fourth event of a stream."""

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool = False
    ) -> None:
        events = 0
        while events < 5 and (data := await reader.read(65536)):
            if count:
                writer.write(data.replace(self._own.encode(), self._target.netloc.encode()))
                continue
            first, *others = data.split(b"event: ")
            writer.write(first)
            for other in others:
                events += 1
                if events < 5:
                    writer.write(b"event: " + other)
        await writer.drain()
        writer.close()


async def test_every_connection_breaks(url: str) -> None:
    with relay(url, CuttingRelay) as cutting:
        agent = agentnb.agent("langgraph:helper", base_url=cutting.url)
        run = await agent.arun("go on a bit")
    assert run.status == "completed", run.error
    assert run.reconnects
    assert list(run.events) == await attached(url, list(run.events))


async def test_a_decided_run_is_resumed_after_every_event(url: str) -> None:
    request = RunRequest(agent="both", prompt="go")
    async with platform_at(url) as platform:
        events = await collected(platform.stream(request))
        run_id, session_id = started(events)
        for approval in events[-2:]:
            key = getattr(approval, "approval_id", None)
            await platform.decide(
                run_id or "", key, approved=True, agent="both", session_id=session_id
            )
            events = await collected(platform.attach(run_id or "", session_id=session_id))
        assert isinstance(events[-1], RunFinished)
        for count in range(1, len(events)):
            rest = platform.resume(
                request, run_id=run_id, session_id=session_id, delivered=events[:count]
            )
            assert events[:count] + await collected(rest) == events
