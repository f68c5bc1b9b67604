"""Cancelling a run: from every thread, at every moment, and what is told of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import Any

import pytest

import agentnb
from agentnb.errors import (
    NotFoundError,
    RunCancelledError,
    StreamCutError,
    UnsupportedError,
)
from agentnb.event.transcript import Status
from agentnb.event.types import RunCancelled, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Capabilities, RunRequest
from tests.driver.scripts import answer, pausing, settle, unsent
from tests.platforms.scripted import scripted_server, stream
from tests.played import LONG, STARTED, Batches, PlayedPlatform, eventually, player, until


async def endless(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("partial ")]
    await asyncio.Event().wait()


async def placed(request: RunRequest) -> Batches:
    yield [RunStarted(session_id="session_1")]
    await asyncio.Event().wait()


async def silent(request: RunRequest) -> Batches:
    await asyncio.sleep(60)
    yield []


class TestCancelling:
    def test_before_it_was_started(self) -> None:
        platform = PlayedPlatform(endless)
        run = unsent(platform)
        run.cancel()
        run.wait(LONG, check=False)
        assert run.status == "cancelled"
        assert platform.requests == []
        # Nothing was sent, and another run of that session is none of its business.
        settle()
        assert platform.told == []
        assert run.start().wait(LONG, check=False).status == "cancelled"
        assert platform.requests == []

    def test_right_after_it_was_started(self) -> None:
        for _ in range(20):
            run = player(PlayedPlatform(endless)).start("hi")
            run.cancel()
            with pytest.raises(RunCancelledError) as caught:
                run.wait(LONG)
            assert caught.value.run is run

    def test_before_the_first_event(self) -> None:
        platform = PlayedPlatform(silent)
        run = player(platform).start("hi", session="session_0")
        until(lambda: platform.requests)
        run.cancel()
        run.wait(LONG, check=False)
        assert run.status == "cancelled"
        assert platform.closed.is_set()
        # The run has no id yet, and what else runs in that session is none of its business.
        settle()
        assert platform.told == []

    def test_by_the_session_that_was_made_for_it(self) -> None:
        platform = PlayedPlatform(placed)
        run = player(platform).start("hi")
        until(lambda: run.session_id)
        run.cancel()
        run.wait(LONG, check=False)
        assert platform.was_told.wait(LONG)
        assert platform.told == [(None, "session_1")]

    @pytest.mark.parametrize(
        "given", [{"session": "session_1"}, {"thread_id": "session_1"}], ids=str
    )
    def test_never_by_one_that_was_there_before(self, given: dict[str, Any]) -> None:
        platform = PlayedPlatform(placed)
        run = player(platform).start("hi", **given)
        until(lambda: run.session_id)
        run.cancel()
        assert run.wait(LONG, check=False).status == "cancelled"
        settle()
        assert platform.told == []

    def test_without_any_id_the_platform_is_not_asked_to_guess(self) -> None:
        platform = PlayedPlatform(silent)
        run = player(platform).start("hi")
        until(lambda: platform.requests)
        run.cancel()
        run.wait(LONG, check=False)
        settle()
        assert platform.told == []

    def test_in_the_middle(self) -> None:
        platform = PlayedPlatform(endless)
        run = player(platform).start("hi")
        until(lambda: run.text)
        run.cancel()
        run.wait(LONG, check=False)
        assert run.status == "cancelled"
        assert run.text == "partial "
        assert run.events[-1] == RunCancelled(reason="cancelled by the user")
        assert run.error == "The run was cancelled."
        assert platform.closed.is_set()
        assert platform.was_told.wait(LONG)
        assert platform.told == [("run_1", "session_1")]

    def test_after_the_end(self) -> None:
        platform = PlayedPlatform(answer)
        run = player(platform).run("hi")
        run.cancel()
        settle()
        assert run.status == "completed"
        assert len(run.events) == 3
        assert platform.told == []

    def test_twice(self) -> None:
        platform = PlayedPlatform(endless)
        run = player(platform).start("hi")
        until(lambda: run.text)
        run.cancel()
        run.cancel()
        run.wait(LONG, check=False)
        run.cancel()
        assert platform.was_told.wait(LONG)
        settle()
        assert len(platform.told) == 1
        assert sum(isinstance(e, RunCancelled) for e in run.events) == 1

    def test_from_many_threads_at_once(self) -> None:
        platform = PlayedPlatform(endless)
        run = player(platform).start("hi")
        threads = [threading.Thread(target=run.cancel) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run.wait(LONG, check=False)
        assert sum(isinstance(e, RunCancelled) for e in run.events) == 1

    def test_from_the_loop_itself(self) -> None:
        run = unsent(PlayedPlatform(endless))
        run.subscribe(lambda: run.cancel() if run.text else None)
        run.start().wait(LONG, check=False)
        assert run.status == "cancelled"

    def test_while_a_consumer_holds_it_up(self) -> None:
        async def flood(request: RunRequest) -> Batches:
            yield [STARTED]
            while True:
                yield [TextDelta("x") for _ in range(100)]

        run = player(PlayedPlatform(flood)).start("hi")

        async def take_one_and_cancel() -> None:
            events = run.iterate()
            await anext(events)
            before = -1
            while len(run.events) != before:  # until it is held up
                before = len(run.events)
                await asyncio.sleep(0.05)
            run.cancel()
            await asyncio.wait_for(run.wait_async(check=False), LONG)
            rest = [event async for event in events]
            assert rest[-1] == RunCancelled(reason="cancelled by the user")

        asyncio.run(take_one_and_cancel())
        assert run.status == "cancelled"

    def test_after_the_terminal_event_it_is_too_late(self) -> None:
        async def lingering(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hello"), RunFinished()]
            await asyncio.sleep(60)

        platform = PlayedPlatform(lingering)
        run = player(platform).start("hi")
        until(lambda: run.status == "completed")
        run.cancel()
        assert run.wait(LONG).status == "completed"
        settle()
        assert platform.told == []

    def test_an_end_on_the_platform_is_not_told_to_it(self) -> None:
        async def stopped(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hel"), RunCancelled(reason="by an administrator")]

        platform = PlayedPlatform(stopped)
        with pytest.raises(RunCancelledError):
            player(platform).run("hi")
        settle()
        assert platform.told == []

    @pytest.mark.parametrize(
        "refusal", [UnsupportedError("no"), NotFoundError("gone"), ValueError("a fault")]
    )
    def test_a_platform_that_refuses_changes_nothing(
        self, refusal: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        platform = PlayedPlatform(endless, refuses_cancel=refusal)
        run = player(platform).start("hi")
        until(lambda: run.text)
        with caplog.at_level(logging.WARNING):
            run.cancel()
            run.wait(LONG, check=False)
            assert platform.was_told.wait(LONG)
            settle()
        assert run.status == "cancelled"
        assert caplog.records == []

    def test_a_platform_without_such_a_call_is_not_asked(self) -> None:
        platform = PlayedPlatform(endless, capabilities=Capabilities())
        run = player(platform).start("hi")
        until(lambda: run.text)
        run.cancel()
        run.wait(LONG, check=False)
        settle()
        assert platform.told == []
        assert platform.closed.is_set()

    def test_what_a_stream_raises_while_it_is_torn_down(self) -> None:
        async def bad_loser(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("partial")]
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise StreamCutError("The connection broke.") from None

        run = player(PlayedPlatform(bad_loser)).start("hi")
        until(lambda: run.text)
        run.cancel()
        run.wait(LONG, check=False)
        assert run.status == "cancelled"
        assert run.exception is None

    def test_a_stream_that_swallows_it(self) -> None:
        async def stubborn(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("partial")]
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
                yield [TextDelta(".")]

        run = player(PlayedPlatform(stubborn)).start("hi")
        until(lambda: run.text)
        run.cancel()
        run.wait(LONG, check=False)
        assert run.status == "cancelled"

    def test_a_stream_that_hangs_while_it_closes(self) -> None:
        async def sticky(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("partial")]
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(60)

        run = player(PlayedPlatform(sticky)).start("hi")
        until(lambda: run.text)
        run.cancel()
        run.wait(LONG, check=False)
        assert run.status == "cancelled"
        assert run.text == "partial"

    def test_a_paused_run_is_given_up(self) -> None:
        platform = PlayedPlatform(pausing)
        run = player(platform).run("hi")
        told: list[Status] = []
        run.subscribe(lambda: told.append(run.status))
        run.cancel()
        run.cancel()
        until(lambda: told)
        assert told == ["cancelled"]
        assert platform.was_told.wait(LONG)
        settle()
        assert platform.told == [("run_1", "session_1")]

    @pytest.mark.anyio
    async def test_over_http_the_connection_is_closed_and_the_platform_told(self) -> None:
        frames = [
            {"event": "START", "data": '{"runId":"r9","sessionId":"s9"}'},
            {"event": "CONTENT_DELTA", "data": "partial"},
        ]
        async with asyncio.timeout(LONG), scripted_server() as server:
            server.routes["POST /api/agents/echo/runs/stream"] = stream(*frames, hang=True)
            agent = agentnb.agent("operativus:echo", base_url=server.url, api_key="k")
            run = agent.start("hi")
            await eventually(lambda: run.text)
            run.cancel()
            await run.wait_async(check=False)
            await server.left.wait()
            await eventually(lambda: "DELETE /api/agents/echo/runs/r9" in server.calls)
        assert run.status == "cancelled"
        assert run.text == "partial"
