"""Waiting for a run, in threads and on event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import agentnb
from agentnb import _loop
from agentnb.errors import (
    RunError,
    RunFailedError,
    RunTruncatedError,
)
from agentnb.event.types import RunFailed, RunFinished, TextDelta
from agentnb.platforms.base import RunRequest
from agentnb.run.run import Run
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player
from tests.run.asked import Gate, everything, until_text

pytestmark = pytest.mark.anyio


# -- waiting -------------------------------------------------------------------------------------


def failing(prompt: str) -> Iterator[str]:
    yield "So far "
    raise ValueError("no further")


class TestWaiting:
    def test_a_time_out_leaves_the_run_alone(self, gate: Gate) -> None:
        run = gate.agent().start("hi")
        for timeout in (0.05, 0, -1):
            with pytest.raises(TimeoutError, match="still in progress"):
                run.wait(timeout)
        assert run.status in ("queued", "running")
        gate.open()
        assert run.wait(LONG).text == "before after"
        assert run.wait(0) is run

    def test_a_failure_is_raised_with_what_arrived(self) -> None:
        with pytest.raises(RunFailedError, match="ValueError: no further") as caught:
            agentnb.agent(failing).run("hi")
        assert caught.value.run.text == "So far "
        assert caught.value.run.status == "failed"

    def test_or_returned(self) -> None:
        run = agentnb.agent(failing).run("hi", check=False)
        assert run.status == "failed"
        assert run.error == "ValueError: no further"
        assert run.wait(check=False) is run
        with pytest.raises(RunFailedError):
            run.wait()
        with pytest.raises(RunFailedError):
            run.raise_for_status()

    @pytest.mark.parametrize(
        ("end", "kind"),
        [
            (RunFailed(message="m", status="truncated"), RunTruncatedError),
            (RunFailed(message="m", status="interrupted"), RunTruncatedError),
            (RunFailed(message="m"), RunFailedError),
        ],
    )
    async def test_the_kind_of_error_says_how_it_ended(
        self, end: RunFailed, kind: type[RunError]
    ) -> None:
        async def ending(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("partial"), end]

        agent = player(PlayedPlatform(ending))
        with pytest.raises(kind, match=r"^m$") as caught:
            await agent.arun("hi")
        assert caught.value.run.text == "partial"
        assert isinstance(caught.value, agentnb.AgentnbError)
        assert (await agent.arun("hi", check=False)).status == end.status

    def test_from_the_background_loop_it_is_refused(self, gate: Gate) -> None:
        run = gate.agent().start("hi")

        async def block() -> None:
            run.wait()

        with pytest.raises(RuntimeError, match="await run"):
            _loop.wait(block())
        assert not run.done

    def test_an_agent_may_ask_another(self) -> None:
        async def outer(prompt: str) -> str:
            inner = await agentnb.agent(everything).arun(prompt)
            said = [e.text async for e in inner.iterate() if isinstance(e, TextDelta)]
            return f"It said: {''.join(said)}"

        def blocking(prompt: str) -> str:
            return agentnb.agent(outer).run(prompt).text.upper()

        assert agentnb.agent(outer).run("hi").text == "It said: The answer is **42**."
        assert agentnb.agent(blocking).run("hi").text == "IT SAID: THE ANSWER IS **42**."

    def test_an_agent_that_would_block_the_loop_is_refused_and_not_left_running(self) -> None:
        inner: list[Run] = []

        async def outer(prompt: str) -> str:
            try:
                return agentnb.agent(everything).run(prompt).text
            finally:
                last = agentnb.last_run()
                assert isinstance(last, Run)
                inner.append(last)

        with pytest.raises(RunFailedError, match="await run"):
            agentnb.agent(outer).run("hi")
        assert inner[0].wait(LONG, check=False).status in ("cancelled", "completed")

    async def test_many_may_wait(self, gate: Gate) -> None:
        run = gate.agent().start("hi")
        waiting = [asyncio.create_task(run.wait_async()) for _ in range(10)]
        threads = [asyncio.create_task(asyncio.to_thread(run.wait, LONG)) for _ in range(4)]
        await asyncio.sleep(0.02)
        gate.open()
        assert set(await asyncio.gather(*waiting, *threads)) == {run}
        assert await run is run

    async def test_who_stops_waiting_does_not_stop_the_run(self, gate: Gate) -> None:
        run = gate.agent().start("hi")
        await until_text(run)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.wait_async(), 0.05)
        task = asyncio.ensure_future(run)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert run.status == "running"
        gate.open()
        assert (await run).status == "completed"

    async def test_arun_owns_its_run(self, gate: Gate) -> None:
        task = asyncio.create_task(gate.agent().arun("hi"))
        await asyncio.sleep(0.01)
        run = agentnb.last_run()
        assert isinstance(run, Run)
        await until_text(run)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await run.wait_async(check=False)
        assert run.status == "cancelled"
        assert run.text == "before "

    def test_a_loop_that_is_closed_while_its_run_goes_on(
        self, gate: Gate, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = gate.agent().start("hi")

        async def impatient() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run.wait_async(), 0.01)

        async def consuming() -> None:
            async for _ in run.iterate():
                break

        asyncio.run(impatient())
        asyncio.run(consuming())
        gate.open()
        assert run.wait(LONG).text == "before after"
        assert caplog.records == []

    async def test_leaving_the_events_early_lets_the_run_go_on(self) -> None:
        """Also where the very next thing blocks the loop that consumed them."""

        async def long(request: RunRequest) -> Batches:
            yield [STARTED]
            for _ in range(500):
                yield [TextDelta("x") for _ in range(10)]
            yield [RunFinished()]

        run = player(PlayedPlatform(long)).start("hi")
        async for _ in run.iterate():
            break
        run.wait(LONG)
        assert len(run.text) == 5000
