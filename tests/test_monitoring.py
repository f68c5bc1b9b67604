"""`Watch`: what can be watched, and what is told of runs of this process."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.errors import RequestError
from agentnb.event.types import Event, ReasoningDelta, TextDelta, ToolCallFinished, ToolCallStarted
from agentnb.monitoring import Watch
from agentnb.platforms.base import RemoteRun
from agentnb.sandbox import Sandbox
from agentnb.store.recorder import flush, use
from tests.simulated import SimulatedTime, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


def agent_of(sandbox: Sandbox, platform: str, **options: Any) -> agentnb.Agent:
    return agentnb.agent(
        f"{platform}:echo",
        base_url=sandbox.base_url(platform),
        api_key=sandbox.api_key,
        **options,
    )


class Steps:
    """An agent that goes on when it is told to; a step is an event, an exception or an end."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.agent = agentnb.agent(self._serve)

    async def _serve(self, prompt: str) -> AsyncGenerator[Event, None]:
        self.loop = asyncio.get_running_loop()
        while (step := await self.steps.get()) is not None:
            if isinstance(step, Exception):
                raise step
            yield step

    async def go(self, step: Event | Exception | None) -> None:
        await until(lambda: self.loop is not None)
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.steps.put_nowait, step)


class TestRunsOfThisProcess:
    async def test_how_far_one_is(self) -> None:
        steps = Steps()
        run = steps.agent.start("Go")
        watch = Watch(run).start()
        told = threading.Event()
        watch.subscribe(told.set)

        async def detail(step: Event, expected: str) -> None:
            await steps.go(step)
            await until(lambda: watch.rows()[0].detail == expected)
            # Progress is told soon, if not at once.
            await until(told.is_set)
            told.clear()

        await detail(ReasoningDelta("Hm"), "Thinks")
        call = ToolCallStarted(call_id="c1", name="look_up", arguments="{}")
        await detail(call, "Calls look_up")
        await detail(ToolCallFinished(call_id="c1", result="1"), "Has called look_up")
        await detail(TextDelta("x" * 1234), "Answers: 1,234 characters")
        (row,) = watch.rows()
        assert (row.key, row.run_id, row.status) == (run.local_id, run.id, "running")
        assert (row.final, row.can_cancel, row.started_at) == (False, True, run.created_at)
        assert row.elapsed is not None
        await steps.go(None)
        (row,) = await asyncio.wait_for(watch.wait(), 20)
        assert (row.status, row.detail) == ("completed", "1,234 characters, 1 tool call")
        assert (row.final, row.can_cancel, row.error) == (True, False, None)
        assert row.elapsed == run.duration

    async def test_one_that_fails(self) -> None:
        steps = Steps()
        watch = Watch(steps.agent.start("Go"))
        await steps.go(ValueError("no luck"))
        (row,) = await asyncio.wait_for(watch.wait(), 20)
        assert (row.status, row.final) == ("failed", True)
        assert "no luck" in (row.error or "")

    async def test_one_that_is_cancelled_from_here(self) -> None:
        steps = Steps()
        run = steps.agent.start("Go")
        watch = Watch([run]).start()
        await steps.go(TextDelta("x"))
        watch.cancel(run.local_id)
        (row,) = await asyncio.wait_for(watch.wait(), 20)
        assert (row.status, row.error, row.can_cancel) == ("cancelled", None, False)
        assert run.status == "cancelled"

    async def test_one_that_goes_on_after_a_decision(self, sandbox: Sandbox) -> None:
        agent = agent_of(sandbox, "operativus")
        run = await agent.arun('{"approval": "Really?", "text": "Done."}', check=False)
        watch = Watch(run).start()
        (row,) = watch.rows()
        assert (row.status, row.detail) == ("paused", "Waits for a decision on echo_tool")
        assert (row.final, row.settled, row.can_cancel) == (False, True, True)
        successor = await run.approve_async()
        (row,) = await asyncio.wait_for(watch.wait(), 20)
        assert successor is not run
        assert (row.key, row.status) == (run.local_id, "completed")
        assert watch.results() == [successor]

    async def test_one_that_ended_before(self) -> None:
        def repeat(prompt: str) -> str:
            return prompt

        run = agentnb.agent(repeat).run("Hello")
        watch = Watch(run)
        assert watch.rows()[0].final
        assert not watch.done
        await asyncio.wait_for(watch.wait(), 20)
        assert watch.done


class TestTargets:
    async def test_ids_with_their_agent(self, sandbox: Sandbox) -> None:
        here = agent_of(sandbox, "operativus")
        runs = [here.run(f"{n}") for n in range(2)]
        # Of another client nothing is known here but the ids.
        there = agent_of(sandbox, "operativus", options={"org_id": "o"})
        ids = [run.id for run in runs]
        watch = Watch([(there, ids), (there.platform, ids[0], "echo"), runs[1]])
        rows = await asyncio.wait_for(watch.wait(), 20)
        assert [row.key for row in rows] == [*(f"operativus:{i}" for i in ids), runs[1].local_id]
        assert {row.status for row in rows} == {"completed"}
        assert watch.requests == 1
        again = Watch(ids, agent=there)
        assert [row.run_id for row in again.rows()] == ids

    async def test_runs_as_the_platform_lists_them(self, sandbox: Sandbox) -> None:
        here = agent_of(sandbox, "runtools")
        here.run("1")
        there = agent_of(sandbox, "runtools", options={"poll_seconds": 2})
        listed = there.remote_runs(limit=1)
        watch = Watch(listed, agent=there)
        (row,) = await asyncio.wait_for(watch.wait(), 20)
        assert (row.status, row.agent, watch.requests) == ("completed", "echo", 0)
        assert row.elapsed is not None

    async def test_the_runs_of_an_agent(self, sandbox: Sandbox) -> None:
        own = agent_of(sandbox, "operativus", options={"org_id": "p"})
        run = own.run("mine")
        other = agent_of(sandbox, "operativus", options={"org_id": "q"}).run("not from here")
        watch = Watch(own)
        assert watch.rows() == []
        assert not watch.listed
        rows = await asyncio.wait_for(watch.wait(), 20)
        assert watch.listed
        assert watch.problem is None
        assert [row.key for row in rows[:2]] == [run.local_id, f"operativus:{other.id}"]

    async def test_an_agent_whose_platform_lists_no_runs(self, sandbox: Sandbox) -> None:
        own = agent_of(sandbox, "runagent", deadlines=agentnb.Deadlines(total=77))
        watch = Watch(own)
        assert await asyncio.wait_for(watch.wait(), 20) == []
        assert "does not list its runs" in (watch.problem or "")
        run = own.run("mine")
        watch = Watch(own)
        (row,) = await asyncio.wait_for(watch.wait(), 20)
        assert (row.key, watch.problem) == (run.local_id, None)

    @pytest.mark.parametrize(
        "wrong", ["run_unwatched", 7, [None], RemoteRun(id="run_unwatched", status="queued")]
    )
    def test_what_names_no_run(self, wrong: Any) -> None:
        with pytest.raises(RequestError, match=r"names no run|is not known"):
            Watch(wrong)

    def test_an_interval_that_is_none(self) -> None:
        with pytest.raises(RequestError, match="more than 0"):
            Watch([], interval=0)

    async def test_nothing(self) -> None:
        assert await asyncio.wait_for(Watch([]).wait(), 20) == []

    async def test_a_thread_that_the_store_knows(self, sandbox: Sandbox, tmp_path: Path) -> None:
        use(tmp_path / "history.sqlite")
        try:
            run = agent_of(sandbox, "seekr").run("Hello")
            assert flush()
            # Another process, to whose client the run is new.
            other = agent_of(sandbox, "seekr", options={"page_size": 7})
            watch = Watch(run.id, agent=other)
            (row,) = await asyncio.wait_for(watch.wait(), 20)
            assert (row.error, row.status) == (None, "completed")
            assert row.session_id == run.session_id
            (row,) = await asyncio.wait_for(Watch("unheard_of", agent=other).wait(), 20)
            assert "session_id is needed" in (row.error or "")
        finally:
            use(None)


class TestLife:
    async def test_one_that_nobody_holds_ends(self, sandbox: Sandbox) -> None:
        client = agent_of(sandbox, "operativus").platform
        steps = Steps()
        time = SimulatedTime(1)
        watch = Watch([(client, "unknown", "echo"), steps.agent.start("Go")], clock=time).start()

        class View:
            """Listens, and holds what it listens to."""

            def __init__(self, shown: Watch) -> None:
                self.shown = shown
                shown.subscribe(self.draw)

            def draw(self) -> None:
                self.shown.rows()

        view = View(watch)
        await until(time.over.is_set)
        engine = watch._worker  # pyright: ignore[reportPrivateUsage]
        gone = weakref.ref(watch)
        del watch, view
        gc.collect()
        assert gone() is None
        await until(lambda: engine.done)
        await steps.go(None)

    async def test_a_listener_that_raises_hurts_nobody(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        steps = Steps()
        watch = Watch(steps.agent.start("Go"))
        heard: list[str] = []

        def broken() -> None:
            raise ValueError("broken listener")

        watch.subscribe(broken)
        undo = watch.subscribe(lambda: heard.append("first"))
        watch.subscribe(lambda: heard.append("second"))
        undo()
        await steps.go(None)
        await asyncio.wait_for(watch.wait(), 20)
        assert set(heard) == {"second"}
        assert "broken listener" in caplog.text

    async def test_starting_and_stopping_twice(self) -> None:
        steps = Steps()
        watch = Watch(steps.agent.start("Go"))
        watch.start().start()
        watch.stop()
        watch.stop()
        await asyncio.wait_for(watch.wait(), 20)
        assert not watch.rows()[0].final
        unstarted = Watch([])
        unstarted.stop()
        assert unstarted.done
        await steps.go(None)
