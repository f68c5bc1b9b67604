"""Joining a run that goes on, watching it and stopping it, on every platform that can."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

import agentnb
from agentnb import _loop
from agentnb.agents import Agent
from agentnb.errors import (
    NotFoundError,
    RequestError,
    RunFailedError,
    RunTruncatedError,
    UnsupportedError,
)
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.render import to_html, to_text
from agentnb.run.run import Run
from agentnb.sandbox import FunctionContext, Sandbox
from agentnb.sandbox import agent as sandbox_agent
from tests.played import PlayedPlatform

PLATFORMS = ("seekr", "operativus", "runtools")

gates: dict[str, asyncio.Event] = {}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    @sandbox_agent("halfway")
    async def halfway(prompt: str, context: FunctionContext) -> AsyncGenerator[str, None]:
        gates[context.run_id] = asyncio.Event()
        yield "Before. "
        await gates[context.run_id].wait()
        yield "After."

    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def agent(sandbox: Sandbox, platform: str) -> Agent:
    return agentnb.agent(
        f"{platform}:halfway",
        base_url=sandbox.base_url(platform),
        api_key=sandbox.api_key,
        options={"poll_seconds": 0.02} if platform == "runtools" else None,
    )


def eventually(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to be")


@pytest.fixture
def going(agent: Agent) -> Iterator[tuple[str, str]]:
    """The id and the session of a run that somebody else started."""
    client: Any = agent.platform
    request = RunRequest(agent=agent.id, prompt="Go")
    if hasattr(client, "start_background"):
        started = _loop.wait(client.start_background(request))
        eventually(lambda: started.id in gates)
        yield started.id, started.session_id
        return
    told: queue.Queue[Any] = queue.Queue()

    async def read() -> None:
        async for batch in client.stream(request):
            told.put(batch[0])

    reading = _loop.submit(read())
    first = told.get(timeout=20)
    eventually(lambda: first.run_id in gates)
    yield first.run_id, first.session_id
    reading.cancel()


def go_on(sandbox: Sandbox, run_id: str) -> None:
    server = sandbox._server  # pyright: ignore[reportPrivateUsage]
    assert server is not None
    assert server.loop is not None
    server.loop.call_soon_threadsafe(gates[run_id].set)


def joined(sandbox: Sandbox, platform: str, agent: Agent, place: tuple[str, str]) -> Run:
    run_id, session = place
    options: dict[str, Any] = {"base_url": sandbox.base_url(platform), "api_key": sandbox.api_key}
    if platform == "runtools":
        options["options"] = {"poll_seconds": 0.02}
    run = agentnb.attach(f"{platform}:{agent.id}", run_id, session=session, **options)
    assert run.client is agent.platform
    return run


def test_what_came_before_and_what_comes_after(
    sandbox: Sandbox, platform: str, agent: Agent, going: tuple[str, str]
) -> None:
    run = joined(sandbox, platform, agent, going)
    eventually(lambda: run.text == "Before. ")
    assert (run.status, run.id, run.session_id) == ("running", *going)
    go_on(sandbox, run.id)
    run.wait(30)
    assert (run.status, run.text) == ("completed", "Before. After.")


def test_stopping_it_stops_it_on_the_platform(
    sandbox: Sandbox, platform: str, agent: Agent, going: tuple[str, str]
) -> None:
    run = joined(sandbox, platform, agent, going)
    eventually(lambda: run.text)

    def remote() -> str:
        return agent.remote_status([going[0]], session=going[1])[going[0]].status

    run.cancel()
    run.wait(30, check=False)
    assert run.text == "Before. "
    if agent.platform.capabilities.cancel:
        assert run.status == "cancelled"
        eventually(lambda: remote() == "cancelled")
        return
    # It is the stream of who started it that keeps it going: nobody may believe that it stopped.
    assert remote() == "running"
    said = "Left, not stopped: runtools cannot stop a run, and it continues there."
    assert (run.status, run.error) == ("interrupted", said)
    with pytest.raises(RunTruncatedError, match="Left, not stopped"):
        run.raise_for_status()
    shown = run.view()
    for text in (to_text(shown), to_html(shown)):
        assert said in text
        assert "went away" not in text
    kept = agentnb.runs(agent=agent.id, status=["cancelled", "interrupted"], platform=platform)
    row = kept[kept["local_id"] == run.local_id]
    assert row["status"].tolist() == ["interrupted"]
    assert row["error"].tolist() == [said]
    go_on(sandbox, run.id)


def test_a_run_that_was_sent_here_is_stopped_by_closing_it(
    sandbox: Sandbox, platform: str, agent: Agent
) -> None:
    run = agent.start("Go")
    eventually(lambda: run.text)
    run.cancel()
    run.wait(30, check=False)
    assert (run.status, run.error) == ("cancelled", "The run was cancelled.")

    def remote() -> str:
        assert run.session_id is not None
        return agent.remote_status([run.id], session=run.session_id)[run.id].status

    if run.transcript.run_id is not None:
        # Else only the session's list would tell of it.
        eventually(lambda: remote() == "cancelled")


def test_a_run_that_is_not_there(sandbox: Sandbox, platform: str, agent: Agent) -> None:
    run = agent.attach("run_nobody", session="thr_nobody").wait(30, check=False)
    assert isinstance(run.exception, NotFoundError), run.error
    told = run.exception.hint
    assert told == "agent.remote_runs() lists the runs there are."
    with pytest.raises(RunFailedError, match="remote_runs"):
        run.raise_for_status()


def test_the_filters_of_a_platforms_runs(
    sandbox: Sandbox, agent: Agent, going: tuple[str, str]
) -> None:
    for found in (agent.remote_runs(session=going[1]), agent.remote_runs(session_id=going[1])):
        assert [each.id for each in found] == [going[0]]
    with pytest.raises(RequestError, match=r"by 'sesion'.*Did you mean 'session_id'.*limit"):
        agent.remote_runs(sesion=going[1])
    with pytest.raises(RequestError, match="by 'agent'"):
        agent.remote_runs(agent="a")
    with pytest.raises(RequestError, match="the same filter"):
        agent.remote_runs(session="s", session_id="s")
    go_on(sandbox, going[0])


def test_watching_and_waiting_for_it(
    sandbox: Sandbox, platform: str, agent: Agent, going: tuple[str, str]
) -> None:
    from agentnb.monitoring.wait import wait

    run = joined(sandbox, platform, agent, going)
    waiting = _loop.submit(wait([run, (agent, going[0], None, going[1])], interval=0.02))
    eventually(lambda: run.text)
    assert not waiting.done()
    go_on(sandbox, run.id)
    # Both name the same run of this process.
    assert waiting.result(30) == [run]
    assert run.status == "completed"


def test_a_platform_that_lets_nobody_join() -> None:
    async def nothing(request: RunRequest) -> AsyncGenerator[list[Any], None]:
        yield []

    for knows, hint in (
        (True, r"agentnb\.monitor and agentnb\.wait"),
        (False, r"attach to a run\.$"),
    ):
        platform = PlayedPlatform(nothing, capabilities=Capabilities(run_status=knows))
        with pytest.raises(UnsupportedError, match=hint):
            Agent(platform, "a").attach("run_1")
