"""What the vendor's own server remembers, and what is left of a run whose server is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

import agentnb
from agentnb._http.retry import Retries
from agentnb.errors import TransportError, UnsupportedError
from agentnb.event.types import Event, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import PlatformSettings, RemoteRun, RunRequest
from agentnb.platforms.runagent import RunAgentPlatform
from tests.platforms.runagent.served import AGENT, Served, served_agent

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEY = "canary-key-1234567890"


@asynccontextmanager
async def platform_at(url: str, protocol: str | None = None) -> AsyncGenerator[RunAgentPlatform]:
    settings = PlatformSettings(
        platform="runagent", base_url=url, api_key=SecretStr(KEY), options={"protocol": protocol}
    )
    platform = RunAgentPlatform(settings)
    try:
        yield platform
    finally:
        await platform.aclose()


async def asked(platform: RunAgentPlatform, tag: str = "answer_stream") -> list[Event]:
    request = RunRequest(agent=AGENT, prompt="tea?", params={"entrypoint_tag": tag})
    return [event async for batch in platform.stream(request) for event in batch]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def listed(platform: RunAgentPlatform, **given: object) -> list[RemoteRun]:
    return [run async for run in platform.runs(**given)]  # pyright: ignore[reportArgumentType]


async def test_lists_depend_on_the_api_that_was_found(served: Served) -> None:
    async with platform_at(served.url) as platform:
        before = platform.capabilities
        await asked(platform)
        found = platform.capabilities
    assert (before.list_runs, before.list_agents, before.run_status) == (False,) * 3
    assert (found.list_runs, found.list_agents, found.run_status) == (True,) * 3
    assert (before.attach, found.attach) == (True, False)
    async with platform_at(served.url) as platform:
        assert [each.id for each in await platform.agents()] == [AGENT]
        assert platform.capabilities.list_runs
    async with platform_at(served.url, "sse") as platform:
        assert not platform.capabilities.list_runs
        for call in (platform.agents(), platform.status(["x"]), listed(platform)):
            with pytest.raises(UnsupportedError):
                await call


async def test_invocations_are_runs(served: Served) -> None:
    before = datetime.now(UTC)
    async with platform_at(served.url, "websocket") as platform:
        known = {run.id for run in await listed(platform)}
        streams = {
            tag: await asked(platform, tag)
            for tag in ("answer_stream", "answer", "broken_stream", "many_stream")
        }
        newest = [run for run in await listed(platform) if run.id not in known]
        some = await listed(platform, agent=AGENT, offset=1, limit=2)
        everything = await listed(platform)
        oldest_first = await listed(platform, order="asc")
        failed = await listed(platform, status="failed")
        assert await listed(platform, session_id="none") == []
        asked_again = await platform.status([*(run.id for run in newest), "unknown"])
    assert len(newest) == 4
    runs = {run.raw["entrypoint_tag"]: run for run in newest}
    assert {tag: (run.status, run.output) for tag, run in runs.items()} == {
        "answer_stream": ("completed", text_of(streams["answer_stream"])),
        "answer": ("completed", "You asked: tea?"),
        "broken_stream": ("failed", None),
        # Of a long stream the server keeps the first chunks.
        "many_stream": ("completed", None),
    }
    assert "the agent broke" in str(runs["broken_stream"].error)
    started = streams["answer_stream"][0]
    assert isinstance(started, RunStarted)
    assert started.run_id == runs["answer_stream"].id
    for run in newest:
        assert run.created_at is not None
        assert run.finished_at is not None
        assert abs(run.created_at - before) < timedelta(minutes=5)
        # The server writes the one in whole seconds.
        assert run.created_at - timedelta(seconds=1) <= run.finished_at
        assert asked_again[run.id] == run
    assert len(asked_again) == 4
    assert [run.id for run in some] == [run.id for run in everything[1:3]]
    assert [run.id for run in oldest_first] == [run.id for run in everything[::-1]]
    assert {run.status for run in failed} == {"failed"}


async def test_chunks_that_are_no_json_lose_nothing_else(served: Served) -> None:
    async with platform_at(served.url, "websocket") as platform:
        events = await asked(platform, "odd_stream")
    assert text_of(events).startswith("first ")
    assert text_of(events).endswith("last")
    assert isinstance(events[-1], RunFinished)


async def test_a_server_that_is_killed_leaves_what_came(tmp_path: Path) -> None:
    with served_agent(tmp_path) as served:
        agent = agentnb.agent(
            f"runagent:{AGENT}",
            base_url=served.url,
            api_key=KEY,
            retries=Retries(requests=0, reconnects=0),
        )
        run = agent.start("tea?", entrypoint_tag="slow_stream")
        async for event in run.iterate():
            if isinstance(event, TextDelta):
                os.kill(served.pid, signal.SIGKILL)
                break
        await run.wait_async(check=False)
    assert (run.status, run.text[:2]) == ("truncated", "0 ")
    assert isinstance(run.exception, TransportError)
