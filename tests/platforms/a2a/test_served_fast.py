"""Against FastA2A, which keeps no artifact before its task has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import agentnb
from tests.patience import PAUSE, looks
from tests.platforms.a2a.served import Served, served

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("fasta2a"), "fasta2a") as running:
        yield running


@pytest.fixture
def agent(server: Served) -> agentnb.Agent:
    return agentnb.agent("a2a:fast", base_url=server.url, options={"poll_seconds": 0.1})


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False])
async def test_turns(agent: agentnb.Agent, stream: bool) -> None:
    run = await agent.arun("tea?", stream=stream)
    assert (run.text, run.status) == ("You said: tea? (1)", "completed")
    second = await agent.arun("more", session=run, stream=stream)
    assert second.text == "You said: more (3)"


@pytest.mark.anyio
async def test_a_failure(agent: agentnb.Agent) -> None:
    run = await agent.arun("break", check=False)
    assert run.status == "failed"


def test_attaching_waits_for_the_whole_text(agent: agentnb.Agent) -> None:
    run = agent.start("go on")
    for _ in looks():
        if " 3 " in run.text:
            break
        time.sleep(PAUSE)
    other = agent.attach(run.transcript.run_id or "")
    other.wait()
    run.wait()
    assert other.text == run.text
