"""Requests that a run makes beside its stream have request options of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import agentnb
from agentnb._http import HttpClient, RequestOptions, RetryDelay, current_options, side_request
from agentnb._http.options import remaining_time
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.agents import Agent
from agentnb.errors import ServerError
from agentnb.event.types import RunFinished, TextDelta
from agentnb.platforms.base import RunRequest
from agentnb.run.run import Run
from tests.driver.scripts import answer
from tests.platforms.scripted import Reply, scripted_server
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player, until

TIME = Deadlines(total=60.0)


class Noting(PlayedPlatform):
    """Records the request options of a cancellation."""

    request_options: RequestOptions | None = None

    async def cancel(self, run_id: str | None, **place: Any) -> None:
        self.request_options = current_options()
        self.was_told.set()


def test_the_time_of_a_run_that_another_s_listener_starts_is_its_own() -> None:
    left: list[float | None] = []

    async def slow(request: RunRequest) -> Batches:
        deadlines = current_options().deadlines
        left.append(None if deadlines is None else remaining_time(deadlines))
        yield [STARTED]
        await asyncio.sleep(2)
        yield [TextDelta("Hello"), RunFinished()]

    agent = Agent(PlayedPlatform(slow), "player", deadlines=TIME)
    first = agent.prepare("hi")
    begun: list[Run] = []

    def go_on() -> None:
        if first.status == "completed" and not begun:
            begun.append(agent.start("and now?"))

    first.subscribe(go_on)
    first.start().wait(LONG)
    until(lambda: begun)
    begun[0].wait(LONG)
    assert all(seconds is not None and seconds > 59.0 for seconds in left)
    assert len(left) == 2


def test_that_of_one_that_a_function_starts_too() -> None:
    left: list[float | None] = []

    async def inner(request: RunRequest) -> Batches:
        left.append(remaining_time(TIME))
        yield [STARTED, RunFinished()]

    played = Agent(PlayedPlatform(inner), "player", deadlines=TIME)

    async def outer(prompt: str) -> str:
        await asyncio.sleep(2)
        return (await played.arun(prompt)).text

    agentnb.agent(outer, deadlines=TIME).run("hi")
    assert left[0] is not None
    assert left[0] > 59.0


def test_a_listener_is_no_part_of_the_run() -> None:
    run = player(PlayedPlatform(answer)).prepare("hi", deadlines=TIME)
    heard: list[RequestOptions] = []
    run.subscribe(lambda: heard.append(current_options()))
    run.start().wait(LONG)
    assert heard
    assert set(heard) == {RequestOptions()}


def test_a_platform_is_told_of_a_cancellation_on_terms_of_its_own() -> None:
    """One run cancels another, whose platform must be told whatever time is left to the first."""

    async def endless(request: RunRequest) -> Batches:
        yield [STARTED]
        await asyncio.Event().wait()

    platform, retries = Noting(endless), Retries(requests=7)
    other = player(platform).start("hi", retries=retries)
    until(lambda: other.transcript.run_id)
    first = player(PlayedPlatform(endless)).prepare("hi", deadlines=TIME)
    first.subscribe(other.cancel)
    first.start()
    assert platform.was_told.wait(LONG)
    first.cancel()
    first.wait(LONG, check=False)
    assert platform.request_options == RequestOptions(retries=retries)


@pytest.mark.anyio
async def test_what_is_asked_aside_tells_nobody_and_has_time() -> None:
    told: list[RetryDelay] = []
    around = RequestOptions(deadlines=Deadlines(total=0.05), on_retry=told.append)
    async with asyncio.timeout(LONG), scripted_server() as server:
        server.routes["GET /beside"] = Reply({}, status=503)
        client = HttpClient(server.url, name="tested", retries=Retries(requests=9))
        with around.applied():
            await asyncio.sleep(0.1)
            with side_request():
                asking = asyncio.create_task(client.request("GET", "/beside"))
            with pytest.raises(ServerError):
                await asking
        await client.aclose()
    assert server.calls == ["GET /beside"] * 2
    assert told == []
