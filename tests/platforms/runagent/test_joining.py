"""Joining an answer that is being read here, that was left, and that is over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

import agentnb
from agentnb.errors import RequestError
from agentnb.event.transcript import fold
from agentnb.event.types import Event
from agentnb.platforms.runagent import RunAgentPlatform
from agentnb.sandbox import Sandbox
from tests.platforms.runagent.test_client import (
    DONE,
    START,
    STREAM,
    ask,
    chunk,
    events_of,
    platform,
)
from tests.platforms.scripted import ScriptedServer, stream, until_broken
from tests.played import LONG, until

__all__ = ["platform"]

TEXT = "one two three four " * 10


@pytest.mark.anyio
async def test_what_is_being_read_is_not_read_twice(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    gate = asyncio.Event()
    server.on(STREAM, stream(START, chunk("a", 0), chunk("b", 1), chunk("c", 2) + DONE, gate=gate))
    batches = platform.stream(ask())
    found: list[Event] = []
    while fold(found).text != "ab":
        found += await anext(batches)
    attached = platform.attach("run", session_id="abc123")
    resumed = platform.resume(ask(prompt=""), run_id=None, session_id="abc123", delivered=())
    for other in (attached, resumed):
        with pytest.raises(RequestError, match="another run of this process is reading"):
            await events_of(other)
    gate.set()
    found += await events_of(batches)
    assert (fold(found).text, fold(found).status) == ("abc", "completed")
    assert len(server.requests) == 1


@pytest.mark.anyio
async def test_of_two_that_join_at_once_one_does(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(
        STREAM,
        stream(START, chunk("a", 0), cut=True),
        stream(START, chunk("b", 1), chunk("c", 2), DONE),
    )
    await until_broken(platform.stream(ask()))
    told = await asyncio.gather(
        *(events_of(platform.attach("abc123")) for _ in range(2)), return_exceptions=True
    )
    joined = [found for found in told if isinstance(found, list)]
    refused = [error for error in told if isinstance(error, RequestError)]
    assert (len(joined), len(refused)) == (1, 1)
    assert fold(joined[0]).text == "bc"


@pytest.mark.anyio
async def test_what_was_left_is_joined_again(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(
        STREAM,
        stream(START, chunk("a", 0), chunk("b", 1), hang=True),
        stream(START, chunk("c", 2), hang=True),
        stream(START, chunk("d", 3), DONE),
    )
    found: list[Event] = []
    for batches in (platform.stream(ask()), platform.attach("abc123")):
        read = len(found)
        while not fold(found[read:]).text.endswith(("b", "c")):
            found += await anext(batches)
        await batches.aclose()
    found += await events_of(platform.attach("abc123"))
    assert (fold(found).text, fold(found).status) == ("abcd", "completed")
    # It is over, however it was read to its end.
    with pytest.raises(RequestError, match="no unfinished stream"):
        await events_of(platform.attach("abc123"))
    assert len(server.requests) == 3


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0, keep=LONG) as running:
        yield running


def agent(sandbox: Sandbox) -> agentnb.Agent:
    return agentnb.agent(
        "runagent:echo", base_url=sandbox.base_url("runagent"), api_key=sandbox.api_key
    )


def told(**what: object) -> str:
    return json.dumps({"text": TEXT, "size": 4, "delay_ms": 10, **what})


def test_a_run_is_not_disturbed_by_one_that_would_join_it(sandbox: Sandbox) -> None:
    asked = agent(sandbox)
    run = asked.start(told())
    until(lambda: run.text)
    assert run.session_id is not None
    joined = asked.attach(run.session_id).wait(LONG, check=False)
    assert joined.status == "failed"
    assert isinstance(joined.exception, RequestError)
    assert joined.exception.hint is not None
    assert "recent_runs" in joined.exception.hint
    assert run in agentnb.history.recent_runs()
    run.wait(LONG)
    assert (run.status, run.text) == ("completed", TEXT)


def test_a_run_that_was_left_goes_on_in_another(sandbox: Sandbox) -> None:
    asked = agent(sandbox)
    run = asked.start(told())
    until(lambda: run.text)
    assert run.session_id is not None
    run.cancel()
    run.wait(LONG, check=False)
    joined = asked.attach(run.session_id).wait(LONG)
    assert joined.status == "completed"
    # What came in the moment in which it was left, nobody may have been told.
    assert TEXT.startswith(run.text)
    assert joined.text
    assert TEXT.endswith(joined.text)
