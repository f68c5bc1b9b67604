"""Connections that nothing uses any more: closed within seconds, but for the last one."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Generator

import pytest

import agentnb
from agentnb import _loop
from agentnb.agents import Agent
from agentnb.sandbox import Sandbox
from tests.faults.test_runs_left import MANY, OPEN, WAYS, sockets, tasks
from tests.http.conftest import BOTH
from tests.played import LONG, until

pytestmark = pytest.mark.skipif(not OPEN.is_dir(), reason="counts sockets by /proc")


@pytest.fixture
def agent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[Agent]:
    monkeypatch.setenv("AGENTNB_TRANSPORT", request.param)
    with Sandbox(pace=0.5) as sandbox:
        made = agentnb.agent(
            "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=sandbox.api_key
        )
        made.run("one")
        yield made
        _loop.wait(made.platform.aclose())


def start_and_cancel(agent: Agent) -> None:
    runs = [agent.start(f"question {number}") for number in range(MANY)]
    for run in runs:
        run.cancel()
    for run in runs:
        run.wait(LONG, check=False)


def fail(agent: Agent) -> None:
    missing = Agent(agent.platform, "missing")
    runs = [missing.start("question") for _ in range(MANY)]
    for run in runs:
        assert run.wait(LONG, check=False).status == "failed"


def complete(agent: Agent) -> None:
    runs = [agent.start(f"question {number}") for number in range(MANY)]
    assert {run.wait(LONG).status for run in runs} == {"completed"}


LEFT = {
    **{way: WAYS[way] for way in ("broken out of", "cancelled", "timed out", "failed")},
    "started and cancelled": start_and_cancel,
    "failed at once": fail,
    "completed": complete,
}


@pytest.mark.parametrize("agent", BOTH, indirect=True)
@pytest.mark.parametrize("way", LEFT)
def test_many_at_once_leave_one(way: str, agent: Agent) -> None:
    # Both ends of a connection are in this process.
    before = sockets(), tasks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LEFT[way](agent)
        gc.collect()
        until(lambda: sockets() <= before[0])
        until(lambda: tasks() <= before[1])
    assert agent.run("again").text == "again"


@pytest.mark.parametrize("agent", BOTH, indirect=True)
def test_the_next_run_has_the_connection_of_the_last(agent: Agent) -> None:
    before = sockets()
    for number in range(20):
        assert agent.run(f"question {number}").text == f"question {number}"
        assert sockets() <= before + 2
