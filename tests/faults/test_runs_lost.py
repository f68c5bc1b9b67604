"""A run whose stream is gone for good: asked for, else cut short, and never sent twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from agentnb._http.retry import Retries
from agentnb.errors import RunTruncatedError, StreamCutError
from agentnb.event.types import TextDelta
from agentnb.redaction.secrets import MASK, remember_secret
from agentnb.run import reconnect
from tests.faults.numbered import (
    ANSWER,
    STARTED,
    TEXT,
    Answer,
    PlainPlatform,
    asked,
    finish,
    lines,
    reply,
    reset,
    serving,
    tell,
    waits_of,
)
from tests.faults.rawserver import Connection, Received
from tests.played import LONG, until

pytestmark = pytest.mark.usefixtures("quickly")


def broken_for_good(state: dict[str, Any] | None, *, refusal: str = "503 Later") -> Answer:
    """A stream that breaks off after two events and never comes back; ``state`` is the run's."""

    async def answer(c: Connection, request: Received) -> None:
        if request.method == "POST":
            await c.stream_head()
            await tell(c, *ANSWER[:2])
            await reset(c)
        elif "/events" in request.target:
            await reply(c, {}, status=refusal)
        elif state is None:
            await reply(c, {}, status="404 Unknown")
        else:
            await reply(c, state)

    return answer


class TestWithoutAStream:
    @pytest.mark.parametrize(
        ("refusal", "attempts"), [("503 Later", 2), ("404 Gone", 1), ("400 No", 1)]
    )
    def test_the_platform_is_asked_for_the_rest(self, refusal: str, attempts: int) -> None:
        state = {"status": "completed", "output": TEXT}
        with (
            serving(broken_for_good(state, refusal=refusal)) as server,
            asked(server, retries=Retries(reconnects=2)) as agent,
        ):
            run = agent.run("count")
        assert run.text == TEXT
        assert run.events[:2] == tuple(ANSWER[:2])
        assert run.events[2] == TextDelta("two, three.")
        tried = ["GET /runs/r1/events?after=2"] * attempts
        assert lines(server) == ["POST /runs", *tried, "GET /runs/r1"]

    def test_one_that_cannot_be_taken_up_at_all(self) -> None:
        state = {"status": "completed", "output": TEXT}
        with serving(broken_for_good(state)) as server, asked(server, kind=PlainPlatform) as agent:
            assert agent.run("count").text == TEXT
        assert lines(server) == ["POST /runs", "GET /runs/r1"]

    @pytest.mark.parametrize("output", [None, "Another answer.", "One"])
    def test_what_does_not_go_on_from_what_arrived_is_not_the_whole(
        self, output: str | None
    ) -> None:
        """It completed there; here is half of an answer, which must not look like all of it."""
        state = {"status": "completed", "output": output}
        with (
            serving(broken_for_good(state)) as server,
            asked(server, retries=Retries(reconnects=1)) as agent,
        ):
            run = agent.run("count", check=False)
        assert (run.status, run.text) == ("truncated", "One, ")
        assert run.error is not None
        assert "The run completed on its platform" in run.error
        assert isinstance(run.exception, StreamCutError)
        assert run.transcript.failure is not None
        assert run.transcript.failure.details.get("output") == output

    @pytest.mark.parametrize("end", [5, 8, 15])
    def test_what_breaks_off_inside_a_key_goes_on_after_it(self, end: int) -> None:
        key = "sk-canary-of-a-cut-key"
        remember_secret(key)
        whole = f"It is {key}, keep it. More."
        begun = whole[: whole.index(key) + end]

        async def answer(c: Connection, request: Received) -> None:
            if request.method == "POST":
                await c.stream_head()
                await tell(c, STARTED, TextDelta(begun))
                await reset(c)
            else:
                await reply(c, {"status": "completed", "output": whole})

        with serving(answer) as server, asked(server, kind=PlainPlatform) as agent:
            run = agent.run("what is it?", check=False)
        assert (run.status, run.text) == ("completed", f"It is {MASK}, keep it. More.")
        assert key[:5] not in str(run.to_dict())

    @pytest.mark.parametrize("output", ["It is ", "It is other"])
    def test_nothing_that_was_kept_back_is_lost(self, output: str) -> None:
        key = "sk-canary-of-a-cut-key"
        remember_secret(key)

        async def answer(c: Connection, request: Received) -> None:
            if request.method == "POST":
                await c.stream_head()
                await tell(c, STARTED, TextDelta("It is sk-c"))
                await reset(c)
            else:
                await reply(c, {"status": "completed", "output": output})

        with serving(answer) as server, asked(server, kind=PlainPlatform) as agent:
            run = agent.run("what is it?", check=False)
        assert (run.status, run.text) == ("truncated", "It is sk-c")

    def test_a_run_that_goes_on_is_asked_for_until_it_ends(self) -> None:
        asked_for = 0

        async def answer(c: Connection, request: Received) -> None:
            nonlocal asked_for
            if request.target == "/runs/r1":
                asked_for += 1
                done = {"status": "completed", "output": TEXT}
                await reply(c, done if asked_for > 3 else {"status": "running"})
            else:
                await broken_for_good(None)(c, request)

        with serving(answer) as server, asked(server, retries=Retries(reconnects=1)) as agent:
            run = agent.prepare("count")
            seen = waits_of(run)
            assert run.start().wait(LONG).text == TEXT
        assert asked_for == 4
        assert seen[-1].reason == "The stream is lost; the run continues at numbered."

    def test_but_not_for_ever(self) -> None:
        with (
            serving(broken_for_good({"status": "running"})) as server,
            asked(server, retries=Retries(reconnects=1, reconnect_timeout=0.5)) as agent,
            pytest.raises(RunTruncatedError) as caught,
        ):
            agent.run("count")
        assert caught.value.run.text == "One, "
        assert "continues on its platform" in str(caught.value)
        assert 1 < lines(server).count("GET /runs/r1") < 20

    def test_nobody_knows_how_it_ended(self) -> None:
        with (
            serving(broken_for_good(None)) as server,
            asked(server, retries=Retries(reconnects=3)) as agent,
            pytest.raises(RunTruncatedError) as caught,
        ):
            agent.run("count")
        run = caught.value.run
        assert run.text == "One, "
        assert isinstance(run.exception, StreamCutError)
        assert run.error is not None
        assert run.error.startswith("The answer of numbered broke off")
        assert "3 attempts to resume it delivered nothing more" in run.error
        assert "503" in run.error
        assert run.transcript.failure is not None
        assert run.transcript.failure.details == {"reconnects": 3}
        assert lines(server).count("POST /runs") == 1

    def test_a_server_that_is_gone(self) -> None:
        async def answer(c: Connection, request: Received) -> None:
            await c.stream_head()
            await tell(c, *ANSWER[:2])
            await c.gone()

        retries = Retries(requests=0, reconnects=2)
        with ExitStack() as stack:
            server = stack.enter_context(serving(answer))
            with asked(server, retries=retries) as agent:
                run = agent.start("count")
                until(lambda: run.text)
                stack.close()
                run.wait(LONG, check=False)
        assert (run.status, run.text) == ("truncated", "One, ")
        assert isinstance(run.exception, StreamCutError)
        assert run.error is not None
        assert "2 attempts" in run.error
        assert "No connection to numbered" in run.error

    @pytest.mark.parametrize("ends", [reset, finish])
    def test_one_event_for_each_connection_for_ever(
        self, ends: Callable[[Connection], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            reconnect, "DEFAULT_BACKOFF", replace(reconnect.DEFAULT_BACKOFF, max_reconnects=20)
        )

        async def answer(c: Connection, request: Received) -> None:
            if request.target == "/runs/r1":
                await reply(c, None, status="404 Unknown")
                return
            await c.stream_head()
            await tell(c, STARTED if request.method == "POST" else TextDelta("."))
            await ends(c)

        with serving(answer) as server, asked(server) as agent:
            run = agent.run("count", check=False)
        assert (run.status, run.text) == ("truncated", "." * 20)
        assert len(server.requests) == 22
