"""What watching asks of a platform, counted at the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import agentnb
from agentnb import _loop
from agentnb.monitoring import Watch
from agentnb.platforms.base import Platform, RunRequest
from agentnb.run.run import Run
from agentnb.sandbox import FunctionContext, Sandbox
from agentnb.sandbox import agent as sandbox_agent
from tests.relayed import Relay, relay
from tests.simulated import SimulatedTime

RUNS = 10


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    @sandbox_agent("never_ends")
    async def never_ends(prompt: str, context: FunctionContext) -> str:
        await asyncio.sleep(3600)
        return "never"

    with Sandbox(pace=0) as running:
        yield running


def agent_at(url: str, platform: str, sandbox: Sandbox) -> agentnb.Agent:
    return agentnb.agent(f"{platform}:never_ends", base_url=url, api_key=sandbox.api_key)


def in_background(agent: agentnb.Agent, session: str | None = None) -> tuple[str, str | None]:
    """Start a run that nobody streams; return its id and its session."""
    client: Any = agent.platform
    request = RunRequest(agent=agent.id, prompt="Wait", session_id=session)
    started = _loop.wait(client.start_background(request))
    return started.id, started.session_id


Place = tuple[Platform, str] | tuple[Platform, str, str | None, str | None]


def watched_minute(targets: list[Place], *, max_interval: float) -> tuple[SimulatedTime, Watch]:
    """Watch for a simulated minute, every 3 s at first."""
    time = SimulatedTime(60.0)
    watch = Watch(targets, interval=3.0, max_interval=max_interval, clock=time).start()
    assert time.over.wait(60), watch.rows()
    return time, watch


def check(relaying: Relay, watch: Watch, expected: range) -> None:
    assert len(relaying.lines) in expected
    assert [row.status for row in watch.rows()] == ["running"] * RUNS
    assert not watch.done
    watch.stop()


def test_operativus_is_asked_for_all_runs_of_an_agent_at_once(sandbox: Sandbox) -> None:
    own = agent_at(sandbox.base_url("operativus"), "operativus", sandbox)
    ids = [in_background(own)[0] for _ in range(RUNS)]
    with relay(sandbox.base_url("operativus")) as relaying:
        client = agent_at(relaying.url, "operativus", sandbox).platform
        targets: list[Place] = [(client, run_id, "never_ends", None) for run_id in ids]
        _, watch = watched_minute(targets, max_interval=3.0)
        assert all("/runs/status?runIds=" in line for line in relaying.lines)
        assert watch.requests == len(relaying.lines)
        check(relaying, watch, range(18, 22))


def test_operativus_tells_whose_runs_they_are(sandbox: Sandbox) -> None:
    own = agent_at(sandbox.base_url("operativus"), "operativus", sandbox)
    ids = [in_background(own)[0] for _ in range(RUNS)]
    with relay(sandbox.base_url("operativus")) as relaying:
        client = agent_at(relaying.url, "operativus", sandbox).platform
        _, watch = watched_minute([(client, run_id) for run_id in ids], max_interval=3.0)
        first, *others = relaying.lines
        assert first.startswith("GET /operativus/api/v1/runs?")
        assert all("/agents/never_ends/runs/status?runIds=" in line for line in others)
        check(relaying, watch, range(18, 22))


def test_seekr_is_asked_for_the_list_of_a_thread(sandbox: Sandbox) -> None:
    own = agent_at(sandbox.base_url("seekr"), "seekr", sandbox)
    run_id, thread = in_background(own)
    ids = [run_id, *(in_background(own, thread)[0] for _ in range(RUNS - 1))]
    with relay(sandbox.base_url("seekr")) as relaying:
        client = agent_at(relaying.url, "seekr", sandbox).platform
        targets: list[Place] = [(client, each, None, thread) for each in ids]
        _, watch = watched_minute(targets, max_interval=3.0)
        assert all(f"/threads/{thread}/runs?" in line for line in relaying.lines)
        check(relaying, watch, range(18, 22))


def test_seekr_is_asked_less_often_for_runs_of_many_threads(sandbox: Sandbox) -> None:
    own = agent_at(sandbox.base_url("seekr"), "seekr", sandbox)
    places = [in_background(own) for _ in range(RUNS)]
    with relay(sandbox.base_url("seekr")) as relaying:
        client = agent_at(relaying.url, "seekr", sandbox).platform
        targets: list[Place] = [(client, each, None, thread) for each, thread in places]
        time, watch = watched_minute(targets, max_interval=3.0)
        assert time.pauses == [30.0, 30.0]
        check(relaying, watch, range(18, 22))


@pytest.fixture
def streamed(sandbox: Sandbox) -> Iterator[Callable[[agentnb.Agent], list[Run]]]:
    """Runs that end with their streams, which this process holds."""
    runs: list[Run] = []

    def start(agent: agentnb.Agent) -> list[Run]:
        runs.extend(agent.start("Wait") for _ in range(RUNS))
        while any(run.status == "queued" for run in runs):
            assert not any(run.done for run in runs)
        return runs

    yield start
    for run in runs:
        run.cancel()
        run.wait(30, check=False)


def test_runtools_is_asked_for_its_list_of_runs(
    sandbox: Sandbox, streamed: Callable[[agentnb.Agent], list[Run]]
) -> None:
    runs = streamed(agent_at(sandbox.base_url("runtools"), "runtools", sandbox))
    with relay(sandbox.base_url("runtools")) as relaying:
        client = agent_at(relaying.url, "runtools", sandbox).platform
        _, watch = watched_minute([(client, run.id) for run in runs], max_interval=3.0)
        # Whose runs they are is learnt from the first answer.
        assert relaying.lines[1] == "GET /runtools/v1/run?agent=never_ends&limit=100"
        check(relaying, watch, range(18, 22))


def test_runs_of_this_process_cost_no_request(
    sandbox: Sandbox, streamed: Callable[[agentnb.Agent], list[Run]]
) -> None:
    with relay(sandbox.base_url("runtools")) as relaying:
        agent = agent_at(relaying.url, "runtools", sandbox)
        runs = streamed(agent)
        sent = len(relaying.lines)
        # Those that are named by their ids are found here, too.
        watch = Watch([*runs[:5], *(run.id for run in runs[5:])], agent=agent, interval=0.01)
        watch.start()
        assert [row.status for row in watch.rows()] == ["running"] * RUNS
        assert len(relaying.lines) == sent == RUNS
        assert watch.requests == 0
        for run in runs:
            run.cancel()
            run.wait(30, check=False)
        assert [row.status for row in watch.rows()] == ["cancelled"] * RUNS


def test_the_pause_grows_while_nothing_changes(sandbox: Sandbox) -> None:
    own = agent_at(sandbox.base_url("operativus"), "operativus", sandbox)
    ids = [in_background(own)[0] for _ in range(RUNS)]
    with relay(sandbox.base_url("operativus")) as relaying:
        client = agent_at(relaying.url, "operativus", sandbox).platform
        targets: list[Place] = [(client, run_id, "never_ends", None) for run_id in ids]
        time, watch = watched_minute(targets, max_interval=10.0)
        assert time.pauses == [3.0, 4.5, 6.75, *[10.0] * 5]
        check(relaying, watch, range(8, 9))


def test_more_than_a_hundred_runs_take_several_requests(sandbox: Sandbox) -> None:
    with relay(sandbox.base_url("operativus")) as relaying:
        client = agent_at(relaying.url, "operativus", sandbox).platform
        targets = [(client, f"run_{n}", "never_ends") for n in range(250)]
        time = SimulatedTime(60.0)
        watch = Watch(targets, interval=3.0, clock=time)
        asyncio.run(watch.wait())
        asked = [line.count("%2C") + 1 for line in relaying.lines if "runIds" in line]
        assert sorted(asked[:3]) == [50, 100, 100]
        # Three times, and never again.
        assert len(asked) == 9
        rows = watch.rows()
        assert {row.detail for row in rows} == {"Unknown to the platform"}
        assert all(row.final and "does not know" in (row.error or "") for row in rows)
