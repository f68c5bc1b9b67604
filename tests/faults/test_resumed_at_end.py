"""A run whose stream never comes back while it goes on, and that can be told once it has ended."""

from __future__ import annotations

import json

import pytest

import agentnb
from agentnb._http.retry import Retries
from agentnb.errors import StreamCutError
from agentnb.sandbox import Sandbox
from tests.faults.cutting import Cut, cutting
from tests.faults.numbered import (
    ANSWER,
    TEXT,
    Answer,
    after,
    asked,
    finish,
    lines,
    reply,
    reset,
    serving,
    tell,
)
from tests.faults.rawserver import Connection, Received

pytestmark = pytest.mark.usefixtures("quickly")

BEGUN = 2


def told_late(*, tells: bool, goes_on: int = 2) -> Answer:
    """A run that is not told again before it has ended, and then only where ``tells``.

    Its state has no output.  It goes on for ``goes_on`` questions how it is.
    """
    questions = 0

    async def answer(c: Connection, request: Received) -> None:
        nonlocal questions
        if request.method == "POST":
            await c.stream_head()
            await tell(c, *ANSWER[:BEGUN])
            await reset(c)
        elif "/events" not in request.target:
            questions += 1
            await reply(c, {"status": "running" if questions <= goes_on else "completed"})
        elif questions <= goes_on or not tells:
            await reply(c, {}, status="503 Later")
        else:
            await c.stream_head()
            await tell(c, *ANSWER[after(request) :])
            await finish(c)

    return answer


@pytest.mark.parametrize("goes_on", [0, 2])
def test_the_rest_comes_when_it_has_ended(goes_on: int) -> None:
    with (
        serving(told_late(tells=True, goes_on=goes_on)) as server,
        asked(server, retries=Retries(requests=0, reconnects=2)) as agent,
    ):
        run = agent.run("count")
    assert (run.status, run.text, run.events) == ("completed", TEXT, tuple(ANSWER))
    again = "GET /runs/r1/events?after=2"
    questions = ["GET /runs/r1"] * (goes_on + 1)
    assert lines(server) == ["POST /runs", again, again, *questions, again]


def test_what_is_not_told_then_either_is_missing() -> None:
    with (
        serving(told_late(tells=False)) as server,
        asked(server, retries=Retries(requests=0, reconnects=2)) as agent,
    ):
        run = agent.run("count", check=False)
    assert (run.status, run.text) == ("truncated", "One, ")
    assert run.error is not None
    assert "The run completed on its platform" in run.error
    assert isinstance(run.exception, StreamCutError)
    # Once more, and no more than that.
    assert lines(server).count("GET /runs/r1/events?after=2") == 3


def test_who_wants_no_further_attempts_has_none_then_either() -> None:
    with (
        serving(told_late(tells=True, goes_on=0)) as server,
        asked(server, retries=Retries(requests=0, reconnects=0)) as agent,
    ):
        run = agent.run("count", check=False)
    assert run.status == "truncated"
    assert lines(server) == ["POST /runs", "GET /runs/r1"]


@pytest.mark.parametrize("delay_ms", [0, 10])
@pytest.mark.parametrize("after_bytes", [0, 400])
def test_a_thread_has_what_its_stream_never_tells(delay_ms: int, after_bytes: int) -> None:
    """Joined again it breaks off each time, while the run goes on and when it has ended."""
    said = "Grüße, 你好 😀 and so on. " * 20
    prompt = {"text": said, "size": 7, "delay_ms": delay_ms, "reasoning": 2, "tools": 2}
    with (
        Sandbox(pace=0) as sandbox,
        cutting(
            sandbox.base_url("seekr"), applies=lambda line: line.endswith(("/stream", "/attach"))
        ) as relay,
    ):
        agent = agentnb.agent(
            "seekr:echo",
            base_url=relay.url,
            api_key=sandbox.api_key,
            retries=Retries(requests=0, reconnects=2),
        )
        relay.plan([Cut(1500, "reset"), *[Cut(after_bytes, "reset")] * 200])
        run = agent.run(json.dumps(prompt))
    assert (run.status, run.text) == ("completed", said)
    assert len(run.tool_calls) == 2
    assert run.usage is not None
    assert sum(line.startswith("POST") for line in relay.requests) == 3
    assert any("/messages?" in line for line in relay.requests)
