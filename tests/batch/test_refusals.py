"""A platform that is asked too often: all rows wait for it, and none is lost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import pytest

import agentnb
from agentnb import Retries, history
from agentnb._loop import wait
from agentnb.batch.executor import LocalExecutor
from agentnb.batch.rate_limiter import RateLimiter
from agentnb.batch.rows import Row, RowResult
from agentnb.event.types import Event, RunFailed, TextDelta
from agentnb.run.run import Run
from agentnb.sandbox import Sandbox
from tests.faults.rawserver import Connection, Received, running

TOO_MANY: Final = "429 Too Many Requests"
Reply = Callable[[Connection, Received], Awaitable[None]]


def said(text: str) -> bytes:
    """A whole answer as OperativusAI streams it."""
    started = json.dumps({"runId": f"run_{text}", "sessionId": f"s_{text}"})
    told = [("START", started), ("CONTENT_DELTA", text), ("STOP", "")]
    frames = [{"event": event, "data": data, "timestamp": 1} for event, data in told]
    return b"".join(f"data: {json.dumps(frame)}\n\n".encode() for frame in frames)


async def accept(c: Connection, request: Received) -> None:
    body = said(request.json()["message"])
    await c.answer(body, headers="Content-Type: text/event-stream")


async def refuse(c: Connection, *, after: str = "", status: str = TOO_MANY) -> None:
    lines = ["Content-Type: application/json", *([f"Retry-After: {after}"] if after else [])]
    await c.answer(b'{"message": "slow down"}', status=status, headers="\n".join(lines))


@contextmanager
def replying(reply: Reply) -> Generator[agentnb.Agent]:
    """An agent of a server that replies to each question, over as many connections as it likes."""

    async def script(c: Connection) -> None:
        while True:
            request = await c.request()
            if request.method == "POST":
                await reply(c, request)
            else:
                await c.answer(b"{}", headers="Content-Type: application/json")

    with running(script) as server:
        yield agentnb.agent("operativus:echo", base_url=server.url, api_key="a-key-of-tests")


class TestOneForAll:
    def test_none_starts_before_retry_after_and_fewer_do_then(self) -> None:
        refused_at: list[float] = []
        came_at: list[float] = []
        inside = most = 0
        meeting = asyncio.Barrier(4)

        async def reply(c: Connection, request: Received) -> None:
            nonlocal inside, most
            if len(refused_at) < 4 and not came_at:
                # All that are under way, so that none comes late of those that are.
                await meeting.wait()
                refused_at.append(time.monotonic())
                await refuse(c, after="1")
                return
            came_at.append(time.monotonic())
            inside += 1
            if len(came_at) <= 2:
                # As long as the first two have no answer, nobody else is let in.
                most = max(most, inside)
                await asyncio.sleep(0.3)
                most = max(most, inside)
            inside -= 1
            await accept(c, request)

        with replying(reply) as agent:
            table = agent.map([f"q{n}" for n in range(12)], concurrency=4, progress=False)
        assert list(table["answer"]) == [f"q{n}" for n in range(12)]
        assert len(refused_at) == 4
        assert len(came_at) == 12
        assert min(came_at) - min(refused_at) >= 0.95
        assert most == 2
        # A refusal is none of the run's failures.
        assert list(table["attempts"]) == [1] * 12

    @pytest.mark.parametrize(
        ("status", "after"),
        [(TOO_MANY, ""), (TOO_MANY, "0.05"), ("503 Service Unavailable", "0.05")],
        ids=["429", "429 after", "503 after"],
    )
    def test_a_row_that_is_refused_on_and_on_goes_again(self, status: str, after: str) -> None:
        refusals: dict[str, int] = {}

        async def reply(c: Connection, request: Received) -> None:
            message = request.json()["message"]
            refusals[message] = refusals.get(message, 0) + 1
            if refusals[message] <= 2:
                await refuse(c, status=status, after=after)
            else:
                await accept(c, request)

        with replying(reply) as agent:
            # No request is made again by itself: the map alone goes on.
            once = Retries(requests=0)
            table = agent.map(["a", "b"], concurrency=2, progress=False, retries=once)
        assert list(table["status"]) == ["completed"] * 2
        assert list(table["attempts"]) == [3] * 2
        assert refusals == {"a": 3, "b": 3}

    def test_a_retry_after_that_is_too_long(self) -> None:
        async def reply(c: Connection, request: Received) -> None:
            if request.json()["message"] == "tomorrow":
                await refuse(c, after="86400")
            else:
                await accept(c, request)

        with replying(reply) as agent:
            table = agent.map(["tomorrow", "now"], progress=False)
        assert list(table["status"]) == ["failed", "completed"]
        assert table["error_code"][0] == "RateLimitError"

    def test_waiting_does_not_count_as_duration(self) -> None:
        seen: dict[str, int] = {}

        async def reply(c: Connection, request: Received) -> None:
            message = request.json()["message"]
            seen[message] = seen.get(message, 0) + 1
            if message == "first" and seen[message] == 1:
                await refuse(c, after="2")
            else:
                await accept(c, request)

        with replying(reply) as agent:
            table = agent.map(["first"], timeout=1.5, progress=False)
        assert list(table["status"]) == ["completed"]

    def test_the_end_is_not_waited_for(self) -> None:
        refused = asyncio.Event()

        async def reply(c: Connection, request: Received) -> None:
            message = request.json()["message"]
            if message == "wrong":
                await refused.wait()
                await c.answer(b"{}", status="400 Bad Request")
            else:
                await refuse(c, after="100")
                refused.set()

        with replying(reply) as agent, pytest.raises(agentnb.BatchError) as raised:
            agent.map(["wrong", "waits"], concurrency=2, on_error="raise", progress=False)
        assert list(raised.value.table["status"]) == ["failed", "cancelled"]

    def test_one_that_is_refused_when_it_has_ended_already(self) -> None:
        """It was to go again, and nothing may: that is no failure of the row."""

        async def reply(c: Connection, request: Received) -> None:
            await refuse(c, after="100")

        async def ask(agent: agentnb.Agent) -> RowResult:
            gate = RateLimiter(1)
            slot = gate.slot()
            await slot.acquire()
            gate.close()
            return await LocalExecutor(agent, {}).attempt(Row(position=0, prompt="late"), slot)

        with replying(reply) as agent:
            result = wait(ask(agent))
        assert (result.status, result.error, result.error_code) == ("cancelled", None, None)


class TestElsewhere:
    def test_in_the_stream_itself(self) -> None:
        seen: dict[str, int] = {}

        async def busy(prompt: str) -> Any:
            seen[prompt] = seen.get(prompt, 0) + 1
            event: Event = TextDelta("there")
            if seen[prompt] == 1:
                event = RunFailed(message="slow down", code="rate_limit_exceeded", retry_after=0.05)
            yield event

        table = agentnb.agent(busy).map(["a", "b"], progress=False)
        assert list(table["answer"]) == ["there"] * 2
        assert list(table["attempts"]) == [2, 2]

    def test_on_every_platform(self, sandbox: Sandbox) -> None:
        with sandbox.faults("status 429 retry_after=0.05 times=1 on=start"):
            for platform in ("seekr", "runagent", "operativus", "runtools"):
                agent = agentnb.agent(
                    f"{platform}:echo",
                    base_url=sandbox.base_url(platform),
                    api_key=sandbox.api_key,
                )
                table = agent.map([f"{platform} {n}" for n in range(5)], progress=False)
                assert list(table["answer"]) == list(table["item"])


def test_the_starts_of_all_rows_are_spaced(echo: agentnb.Agent) -> None:
    began = time.monotonic()
    table = echo.map([str(n) for n in range(10)], rpm=1_200, concurrency=10, progress=False)
    assert list(table["status"]) == ["completed"] * 10
    # The last one may not begin sooner than this, but for what a busy loop makes up for.
    assert time.monotonic() - began >= 9 * 0.05 - 0.06


def test_a_single_run_still_reports_its_pauses() -> None:
    async def reply(c: Connection, request: Received) -> None:
        if len(c.server.requests) == 1:
            await refuse(c, after="0.3")
        else:
            await accept(c, request)

    with replying(reply) as agent:
        table = agent.map(["a"], progress=False)
    assert list(table["status"]) == ["completed"]
    run = history.last_run()
    assert isinstance(run, Run)
    # One run, whose request was made again.
    assert run.local_id == table["local_id"][0]
