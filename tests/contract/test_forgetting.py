"""What a platform keeps to take a run up again is let go when the run ends."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator

import pytest

import agentnb
from agentnb._http.retry import Retries
from agentnb.platforms._replay_filter import ReplayFilter
from agentnb.platforms.base import Forgets, Resumes
from agentnb.platforms.runagent.positions import Position
from agentnb.platforms.seekr.run_state import StreamState
from agentnb.sandbox import Sandbox
from tests.contract.conftest import PLATFORMS
from tests.contract.test_resuming import quick
from tests.faults.cutting import Cut, CuttingRelay, cutting
from tests.played import LONG, until

__all__ = ["quick"]

TEXT = "Grüße, 你好 😀 and so on. " * 40
MANY = 5


@pytest.fixture(params=PLATFORMS)
def target(request: pytest.FixtureRequest) -> str:
    """All but OperativusAI's real server, whose record tells no text of a run that goes on."""
    name: str = request.param
    return name


@pytest.fixture
def relay(sandbox: Sandbox, platform: str) -> Iterator[CuttingRelay]:
    parts = ("/stream", "/attach", "/events", "/v1/run")
    with cutting(
        sandbox.base_url(platform), applies=lambda line: any(part in line for part in parts)
    ) as relaying:
        yield relaying


@pytest.fixture
def agent(relay: CuttingRelay, sandbox: Sandbox, platform: str) -> agentnb.Agent:
    retries = Retries(requests=0, reconnects=5)
    return agentnb.agent(
        f"{platform}:echo", base_url=relay.url, api_key=sandbox.api_key, retries=retries
    )


def kept() -> list[ReplayFilter | StreamState | Position]:
    """Whatever any client goes on by."""
    gc.collect()
    return [o for o in gc.get_objects() if isinstance(o, ReplayFilter | StreamState | Position)]


def test_nothing_stays_of_runs_that_were_taken_up_and_stopped(
    agent: agentnb.Agent, relay: CuttingRelay, platform: str
) -> None:
    if platform == "runagent":
        return  # a session of it that was left is joined again by what stays
    assert isinstance(agent.platform, Resumes)
    assert isinstance(agent.platform, Forgets)
    before = len(kept())
    relay.plan([Cut(1200, "reset")] * MANY)
    # Long enough that none ends by itself.
    asked = json.dumps({"text": TEXT * 10, "size": 7, "delay_ms": 20})
    runs = [agent.start(asked) for _ in range(MANY)]
    until(lambda: len(relay.made) == MANY)
    for run in runs:
        # It was taken up again.
        so_far = len(run.text)
        until(lambda run=run, so_far=so_far: run.waiting is None and len(run.text) > so_far)
        run.cancel()
    for run in runs:
        assert run.wait(LONG, check=False).status == "cancelled"
    until(lambda: len(kept()) <= before)


def test_nothing_stays_of_runs_that_were_taken_up_to_their_end(
    agent: agentnb.Agent, relay: CuttingRelay
) -> None:
    before = len(kept())
    for _ in range(MANY):
        relay.plan([Cut(1200, "reset"), Cut(1500, "clean")])
        assert agent.run(json.dumps({"text": TEXT, "size": 7})).text == TEXT
        assert relay.made
    until(lambda: len(kept()) <= before)
