"""Request options of a run: its total time and its retries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import agentnb
from agentnb import _loop
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.agents import Agent
from agentnb.errors import ConfigError, DeadlineError, RequestError, RunFailedError
from agentnb.event.types import RunFinished, TextDelta
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.recording.clock import Clock
from agentnb.run.run import Run
from tests.driver.scripts import settle
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player

SHORT = 0.3


async def endless(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("partial")]
    await asyncio.Event().wait()


def timed_out(run: Run) -> None:
    run.wait(LONG, check=False)
    assert run.status == "failed"
    assert isinstance(run.exception, DeadlineError)
    assert (run.exception.deadline, run.exception.seconds) == ("total", SHORT)
    assert run.error == f"The run did not finish within {SHORT:g} s. {run.exception.hint}"


class TestTotal:
    @pytest.mark.parametrize(
        "options", [{"timeout": SHORT}, {"deadlines": Deadlines(total=SHORT)}, {}], ids=str
    )
    def test_of_a_call_and_of_an_agent(self, options: dict[str, Any]) -> None:
        platform = PlayedPlatform(endless)
        own = Deadlines(total=60.0) if options else Deadlines(total=SHORT)
        run = Agent(platform, "player", deadlines=own).start("hi", **options)
        timed_out(run)
        assert run.text == "partial"
        assert platform.closed.is_set()
        # Nobody reads what it does from here on.
        assert platform.was_told.wait(LONG)
        assert platform.told == [("run_1", "session_1")]
        with pytest.raises(RunFailedError, match="did not finish") as caught:
            run.raise_for_status()
        hint, other = caught.value.hint or "", {"timeout=", "deadlines="}
        told = "timeout=" if "timeout" in options else "deadlines="
        assert told in hint
        assert not any(word in hint for word in other - {told})

    def test_a_run_that_was_joined_is_only_left(self) -> None:
        platform = PlayedPlatform(endless)
        timed_out(player(platform).attach("run_1", timeout=SHORT))
        settle()
        assert platform.told == []

    def test_it_covers_what_comes_before_the_stream(self) -> None:
        async def silent(request: RunRequest) -> Batches:
            await asyncio.sleep(60)
            yield []

        timed_out(player(PlayedPlatform(silent)).start("hi", timeout=SHORT))

    def test_an_answer_in_one_piece(self) -> None:
        timed_out(player(PlayedPlatform(endless)).start("hi", timeout=SHORT, stream=False))

    def test_it_covers_asking_for_the_end(self) -> None:
        async def half(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hel")]

        class Slow(PlayedPlatform):
            async def status(self, run_ids: Any, **place: Any) -> Any:
                self.asked += run_ids
                await asyncio.sleep(60)

        platform = Slow(half, capabilities=Capabilities(run_status=True))
        run = player(platform).start("hi", timeout=SHORT)
        timed_out(run)
        assert platform.asked == ["run_1"]
        assert run.text == "Hel"

    def test_a_stream_that_swallows_it(self) -> None:
        async def stubborn(request: RunRequest) -> Batches:
            yield [STARTED]
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
                yield [TextDelta(".")]

        timed_out(player(PlayedPlatform(stubborn)).start("hi", timeout=SHORT))

    def test_what_came_in_time_is_complete(self) -> None:
        async def lingering(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hello"), RunFinished()]
            await asyncio.sleep(60)

        run = player(PlayedPlatform(lingering)).start("hi", timeout=0.1)
        assert run.wait(LONG).text == "Hello"

    def test_who_cancels_first_is_obeyed(self) -> None:
        platform = PlayedPlatform(endless)
        run = player(platform).start("hi", timeout=SHORT)
        run.cancel()
        assert run.wait(LONG, check=False).status == "cancelled"

    def test_a_function_in_a_thread(self) -> None:
        stopped = threading.Event()

        def slow(prompt: str) -> Iterator[str]:
            try:
                while True:
                    yield "."
                    stopped.wait(0.01)
            finally:
                stopped.set()

        run = agentnb.agent(slow, deadlines=Deadlines(total=SHORT)).start("hi")
        timed_out(run)
        assert run.text.startswith(".")
        assert stopped.wait(LONG)

    def test_a_function_on_the_loop(self) -> None:
        async def slow(prompt: str) -> str:
            await asyncio.sleep(60)
            return "never"

        timed_out(agentnb.agent(slow).start("hi", timeout=SHORT))

    @pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "5", True])
    def test_what_is_no_timeout(self, wrong: Any) -> None:
        platform = PlayedPlatform(endless)
        with pytest.raises(RequestError, match="A timeout is a number of seconds above 0"):
            player(platform).start("hi", timeout=wrong)
        assert platform.requests == []

    def test_what_a_run_limits_is_no_limit_of_another(self) -> None:
        async def nested(prompt: str) -> str:
            inner = await agentnb.agent(quick).arun("hi")
            return inner.text

        async def quick(prompt: str) -> str:
            await asyncio.sleep(SHORT * 2)
            return "took its time"

        timed_out(agentnb.agent(nested).start("hi", timeout=SHORT))
        assert agentnb.agent(quick).run("hi").text == "took its time"


class TestWhereTheyComeFrom:
    def test_a_timeout_leaves_the_other_deadlines_as_they_are(self) -> None:
        agent = player(PlayedPlatform(endless))
        agent.deadlines = Deadlines(idle=7.0, total=60.0)
        agent.retries = Retries(requests=1)
        run = agent.prepare("hi", timeout=5)
        assert run.request_options is not None
        assert run.request_options.deadlines == Deadlines(idle=7.0, total=5.0)
        assert run.request_options.retries == Retries(requests=1)
        run = agent.prepare("hi", retries=Retries(requests=9))
        assert run.request_options is not None
        assert run.request_options.retries == Retries(requests=9)

    def test_an_agent_has_what_is_configured(self) -> None:
        given = Deadlines(total=5.0), Retries(reconnects=1)
        agent = agentnb.agent("sandbox:echo", deadlines=given[0], retries=given[1])
        assert (agent.deadlines, agent.retries) == given
        agent = agentnb.agent("sandbox:echo")
        assert (agent.deadlines, agent.retries) == (Deadlines(), Retries())

    def test_a_function_tries_nothing_again(self) -> None:
        def quick(prompt: str) -> str:
            return prompt

        with pytest.raises(ConfigError, match="A function needs no"):
            agentnb.agent(quick, retries=Retries())


class TestNoTimes:
    @pytest.mark.parametrize("name", ["connect", "first_event", "idle", "progress", "total"])
    @pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), "5", True])
    def test_what_is_no_deadline(self, name: str, wrong: Any) -> None:
        with pytest.raises(ConfigError, match=f"^The deadline {name} is a number of seconds"):
            Deadlines(**{name: wrong})
        values: dict[str, Any] = {name: None}
        assert getattr(Deadlines(**values), name) is None

    @pytest.mark.parametrize("name", ["requests", "reconnects"])
    @pytest.mark.parametrize("wrong", [-1, 1.5, float("nan"), "5", True, None])
    def test_what_is_no_number_of_attempts(self, name: str, wrong: Any) -> None:
        with pytest.raises(ConfigError, match=f"^{name} is a number of attempts, 0 or more"):
            Retries(**{name: wrong})

    @pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "5", True])
    def test_what_bounds_no_reconnecting(self, wrong: Any) -> None:
        with pytest.raises(ConfigError, match=r"^reconnect_timeout is a number of seconds above 0"):
            Retries(reconnect_timeout=wrong)


def test_a_run_that_cannot_even_begin_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(clock: Clock) -> None:
        raise OverflowError("no such time")

    monkeypatch.setattr(Clock, "start", broken)
    platform = PlayedPlatform(endless)
    run = player(platform).start("hi").wait(LONG, check=False)
    assert (run.status, run.error) == ("failed", "OverflowError: no such time")
    assert platform.requests == []


def test_a_timer_ends_with_its_run() -> None:
    async def answer(request: RunRequest) -> Batches:
        yield [STARTED, RunFinished()]

    async def timers() -> int:
        loop: Any = asyncio.get_running_loop()
        return sum(not handle.cancelled() for handle in loop._scheduled)

    # Those of other tests in this process may still be there.
    before = _loop.wait(timers())
    for _ in range(50):
        player(PlayedPlatform(answer)).run("hi", timeout=3600)
    assert _loop.wait(timers()) < before + 10
