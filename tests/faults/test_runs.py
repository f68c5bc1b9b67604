"""A run whose stream breaks off is taken up again where the platform can do that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.errors import DeadlineError, RunFailedError
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RawEvent,
    RunFailed,
    RunFinished,
    TextDelta,
)
from agentnb.redaction.secrets import MASK, remember_secret
from tests.faults.numbered import (
    ANSWER,
    STARTED,
    TEXT,
    after,
    asked,
    cut_everywhere,
    finish,
    lines,
    reply,
    reset,
    serving,
    tell,
    waits_of,
)
from tests.faults.rawserver import Connection, Received
from tests.played import LONG

pytestmark = pytest.mark.usefixtures("quickly")


class TestTakenUpAgain:
    @pytest.mark.parametrize("ends", [reset, finish])
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_nothing_is_lost_or_doubled(
        self, ends: Callable[[Connection], Awaitable[None]], size: int
    ) -> None:
        with serving(cut_everywhere(ends=ends, size=size)) as server, asked(server) as agent:
            run = agent.run("count")
        assert run.events == tuple(ANSWER)
        assert run.text == TEXT
        assert run.exception is None
        wanted = [f"GET /runs/r1/events?after={n}" for n in range(size, len(ANSWER), size)]
        assert lines(server) == ["POST /runs", *wanted]

    def test_what_it_waits_for_is_told_and_taken_back(self) -> None:
        with (
            serving(cut_everywhere(ends=reset, size=3)) as server,
            asked(server, retries=Retries(reconnects=4)) as agent,
        ):
            run = agent.prepare("count")
            seen = waits_of(run)
            run.start().wait(LONG)
        assert [(w.kind, w.attempt, w.of) for w in seen] == [("reconnect", 1, 4)] * 2
        assert all("broke off" in w.reason for w in seen)
        assert run.waiting is None
        assert "reconnect" not in repr(run)

    def test_silence_is_no_stream(self) -> None:
        async def answer(c: Connection, request: Received) -> None:
            await c.stream_head()
            if request.method == "POST":
                await tell(c, *ANSWER[:2])
                await c.gone()
            else:
                await tell(c, *ANSWER[after(request) :])
                await finish(c)

        with serving(answer) as server, asked(server, deadlines=Deadlines(idle=0.3)) as agent:
            assert agent.run("count").text == TEXT
        assert lines(server) == ["POST /runs", "GET /runs/r1/events?after=2"]

    def test_failed_attempts_count_until_an_event_comes(self) -> None:
        refusals = 0

        async def answer(c: Connection, request: Received) -> None:
            nonlocal refusals
            if request.method == "GET" and refusals % 3 != 2:
                refusals += 1
                await reply(c, {}, status="503 Later")
                return
            refusals += 1
            await cut_everywhere(ends=reset, size=2)(c, request)

        # Two of three attempts fail: with two in a row there would be no end.
        with serving(answer) as server, asked(server, retries=Retries(reconnects=3)) as agent:
            run = agent.prepare("count")
            seen = waits_of(run)
            assert run.start().wait(LONG).text == TEXT
        assert {w.attempt for w in seen} == {1, 2, 3}
        assert lines(server).count("POST /runs") == 1

    def test_a_run_that_was_joined(self) -> None:
        with serving(cut_everywhere(ends=reset, size=3)) as server, asked(server) as agent:
            run = agent.attach("r1").wait(LONG)
        assert run.events == tuple(ANSWER)
        wanted = ["after=0", "after=3", "after=6"]
        assert [line.partition("?")[2] for line in lines(server)] == wanted

    def test_a_run_that_was_decided(self) -> None:
        told: list[Event] = [
            STARTED,
            TextDelta("Before. "),
            ApprovalRequested(approval_id="a1", message="May I?"),
            TextDelta("After."),
            RunFinished(),
        ]

        async def answer(c: Connection, request: Received) -> None:
            if request.target.endswith("/decision"):
                await reply(c, {})
                return
            await c.stream_head()
            if request.method == "POST":
                await tell(c, *told[:3])
                await finish(c)
                return
            first = after(request)
            await tell(c, told[first])
            await (reset(c) if first < 4 else finish(c))

        with serving(answer) as server, asked(server) as agent:
            run = agent.run("do it")
            assert run.status == "paused"
            went_on = run.approve().wait(LONG)
        assert went_on.status == "completed"
        assert went_on.text == "Before. After."
        # The platform is told of its own events only.
        wanted = [f"GET /runs/r1/events?after={n}" for n in range(5)]
        assert lines(server) == ["POST /runs", "POST /runs/r1/decision", *wanted]

    def test_a_key_that_lies_across_the_cut_is_not_shown(self) -> None:
        key = "canary-of-a-cut-stream-4711"
        remember_secret(key)
        told: list[Event] = [STARTED, TextDelta(f"It is {key[:12]}"), TextDelta(f"{key[12:]}.")]

        async def answer(c: Connection, request: Received) -> None:
            await c.stream_head()
            first = after(request) if request.method == "GET" else 0
            await tell(c, *told[first : first + 2])
            if first:
                await tell(c, RunFinished())
            await (finish(c) if first else reset(c))

        with serving(answer) as server, asked(server) as agent:
            run = agent.run("what is it?")
        assert run.text == f"It is {MASK}."
        assert key[:12] not in str(run.to_dict())


class TestNotTakenUpAgain:
    def test_a_run_that_waits_for_a_decision(self) -> None:
        async def answer(c: Connection, request: Received) -> None:
            await c.stream_head()
            await tell(c, STARTED, ApprovalRequested(approval_id="a1"))
            await reset(c)

        with serving(answer) as server, asked(server) as agent:
            run = agent.run("do it")
        assert run.status == "paused"
        assert run.error is None
        assert lines(server) == ["POST /runs"]

    def test_an_error_that_the_platform_tells_in_the_stream(self) -> None:
        async def answer(c: Connection, request: Received) -> None:
            await c.stream_head()
            raw = RawEvent(name="odd", data="{", problem="not JSON")
            await tell(c, STARTED, TextDelta("One, "), raw, RunFailed(message="No credit."))
            await reset(c)

        with serving(answer) as server, asked(server) as agent:
            run = agent.run("count", check=False)
        assert (run.status, run.text, run.error) == ("failed", "One, ", "No credit.")
        assert len(run.transcript.raw_events) == 1
        assert lines(server) == ["POST /runs"]

    @pytest.mark.parametrize("deadline", ["first_event", "progress", "total"])
    def test_a_deadline_of_the_whole(self, deadline: str) -> None:
        async def answer(c: Connection, request: Received) -> None:
            if request.method == "DELETE":
                await reply(c, {})
                return
            await c.stream_head()
            if deadline != "first_event":
                await tell(c, STARTED, TextDelta("One, "))
            while True:
                await c.chunk(b": still here\n\n")
                await asyncio.sleep(0.02)

        terms: dict[str, float] = {deadline: 0.5}
        with (
            serving(answer) as server,
            asked(server, deadlines=Deadlines(**terms)) as agent,
            pytest.raises(RunFailedError) as caught,
        ):
            agent.run("count")
        run = caught.value.run
        assert isinstance(run.exception, DeadlineError)
        assert run.exception.deadline == deadline
        assert run.text == ("" if deadline == "first_event" else "One, ")
        assert [line for line in lines(server) if "DELETE" not in line] == ["POST /runs"]

    def test_an_answer_in_one_piece(self) -> None:
        async def answer(c: Connection, request: Received) -> None:
            await c.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            await c.send(b"Content-Length: 5000\r\n\r\n[")
            await reset(c)

        with serving(answer) as server, asked(server) as agent:
            run = agent.run("count", stream=False, check=False)
        # Nothing of it is there.
        assert run.status == "failed"
        assert run.error is not None
        assert "broke off" in run.error
        assert lines(server) == ["POST /runs"]

    def test_where_that_is_switched_off(self) -> None:
        async def answer(c: Connection, request: Received) -> None:
            if request.method == "GET":
                await reply(c, {"status": "running"})
                return
            await c.stream_head()
            await tell(c, *ANSWER[:2])
            await reset(c)

        with serving(answer) as server, asked(server, retries=Retries(reconnects=0)) as agent:
            run = agent.run("count", check=False)
        assert (run.status, run.text) == ("truncated", "One, ")
        assert run.error is not None
        assert "continues on its platform" in run.error
        # How it is was asked once, and not again and again.
        assert lines(server) == ["POST /runs", "GET /runs/r1"]
