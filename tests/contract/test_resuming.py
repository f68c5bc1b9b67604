"""A stream that breaks off is taken up again, on every platform that says it can be."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import agentnb
from agentnb._http.retry import Retries
from agentnb.cassettes.platform import PlaybackPlatform
from agentnb.platforms.base import Resumes
from agentnb.run.reconnect import Backoff
from agentnb.sandbox import Sandbox
from tests.contract.conftest import AgentOf
from tests.faults.cutting import Cut, CuttingRelay, How, cutting

TEXT = "Grüße, 你好 😀 and so on. " * 20
PATIENT = Retries(requests=0, reconnects=5)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for half a second in each test waits for minutes in all."""

    def pause(attempt: int, *, jitter: object) -> float:
        return 0.01

    backoff = Backoff(delay=pause, after_progress=0.01)
    monkeypatch.setattr("agentnb.run.reconnect.DEFAULT_BACKOFF", backoff)


@pytest.fixture
def relay(sandbox: Sandbox, platform: str) -> Iterator[CuttingRelay]:
    parts = ("/stream", "/attach", "/events", "/v1/run")
    with cutting(
        sandbox.base_url(platform), applies=lambda line: any(part in line for part in parts)
    ) as relaying:
        yield relaying


@pytest.fixture
def cut(relay: CuttingRelay, sandbox: Sandbox, platform: str) -> agentnb.Agent:
    return agentnb.agent(
        f"{platform}:echo", base_url=relay.url, api_key=sandbox.api_key, retries=PATIENT
    )


def told(**what: object) -> str:
    return json.dumps({"text": TEXT, "size": 7, **what})


def test_they_say_that_they_can(cut: agentnb.Agent) -> None:
    assert isinstance(cut.platform, Resumes)


def test_those_that_cannot_do_not_say_so() -> None:
    def parrot(prompt: str) -> str:
        return prompt

    assert not isinstance(agentnb.agent(parrot).platform, Resumes)
    assert not hasattr(PlaybackPlatform, "resume")


@pytest.mark.parametrize("how", ["reset", "short", "clean"])
def test_a_run_goes_on_where_its_stream_broke_off(
    cut: agentnb.Agent, relay: CuttingRelay, how: How
) -> None:
    relay.plan([Cut(1500, how), Cut(1900, how), Cut(900, how)])
    run = cut.run(told(tools=2, reasoning=3))
    assert run.status == "completed"
    assert run.text == TEXT
    assert relay.made
    assert len(run.tool_calls) in (0, 2)
    assert run.usage is not None


def test_a_run_that_is_still_going_is_joined(
    cut: agentnb.Agent, relay: CuttingRelay, is_real: bool
) -> None:
    # The real server's record of a run is short: it does not tell what was said.
    relay.plan([Cut(1200, "reset"), Cut(150 if is_real else 1700, "clean")])
    run = cut.run(told(delay_ms=2))
    assert (run.status, run.text) == ("completed", TEXT)
    assert len(relay.made) == 2


@pytest.mark.parametrize(
    "faults",
    [
        # Joined where it stands by then; told what happened and not what was said; both, often.
        "drop after=1500; live",
        "drop after=1900 times=2; record",
        "drop after=1700 times=4; live; record",
        "end after=2300 times=2; live; record",
    ],
)
def test_whatever_a_platform_tells_when_it_is_joined_again(
    agent_of: AgentOf, sandbox: Sandbox, faults: str
) -> None:
    with sandbox.faults(faults):
        run = agent_of("echo", retries=PATIENT).run(told(delay_ms=1, tools=1))
    assert (run.status, run.text) == ("completed", TEXT)
    assert len(run.tool_calls) in (0, 1)


def test_a_failure_is_told_after_a_break(
    cut: agentnb.Agent, relay: CuttingRelay, is_real: bool
) -> None:
    relay.plan([Cut(1500, "short")])
    run = cut.run(told(error_after=40, error="It broke."), check=False)
    assert run.status == "failed"
    assert "It broke." in (run.error or "")
    said = TEXT[: 40 * 7]
    # The real server does not tell what a run said that failed.
    assert said.startswith(run.text) if is_real else run.text == said
    assert run.text


def test_runs_at_the_same_time_do_not_mix(cut: agentnb.Agent, relay: CuttingRelay) -> None:
    relay.plan([Cut(700 + 90 * n, "reset") for n in range(12)])
    runs = [cut.start(told(text=f"Answer {n}. " * 60)) for n in range(6)]
    for n, run in enumerate(runs):
        assert run.wait().text == f"Answer {n}. " * 60
    assert len({run.session_id for run in runs}) == 6


def test_one_that_was_joined_is_taken_up_too(
    sandbox: Sandbox, cut: agentnb.Agent, relay: CuttingRelay, platform: str, is_real: bool
) -> None:
    if platform == "runagent":
        return  # a run of it that ended cannot be joined
    direct = agentnb.agent(
        f"{platform}:echo", base_url=sandbox.base_url(platform), api_key=sandbox.api_key
    )
    run = direct.run(told())
    sizes = (100, 150) if is_real else (1500, 1700)
    relay.plan([Cut(sizes[0], "reset"), Cut(sizes[1], "clean")])
    joined = cut.attach(run.id, session=run.session_id).wait()
    assert (joined.status, joined.text) == ("completed", TEXT)
    assert relay.made
