"""A run from its sending to whatever end, against platforms that behave and ones that do not."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from contextlib import suppress

import pytest

import agentnb
from agentnb import _loop
from agentnb.errors import (
    AuthenticationError,
    ContentTypeError,
    NotFoundError,
    RateLimitError,
    RequestError,
    RunCancelledError,
    RunFailedError,
    RunTruncatedError,
    StreamCutError,
    UnsupportedError,
)
from agentnb.events import (
    ApprovalRequested,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import Capabilities, Platform, RemoteRun, RunRequest
from agentnb.run import Run
from agentnb.transcript import Status
from tests.platforms.scripted import scripted_server, stream
from tests.played import LONG, STARTED, Batches, PlayedPlatform, eventually, player, until

ASKS = Capabilities(cancel=True, run_status=True)

where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


async def endless(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("partial ")]
    await asyncio.Event().wait()


async def silent(request: RunRequest) -> Batches:
    await asyncio.sleep(60)
    yield []


async def answer(request: RunRequest) -> Batches:
    yield [STARTED]
    yield [TextDelta("Hello"), RunFinished()]


async def half(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("Hel")]


def unsent(platform: Platform) -> Run:
    """A run that nobody has started yet."""
    request = RunRequest(agent="player", prompt="hi", session_id="session_0")
    return Run(lambda: platform.stream(request), platform=platform, request=request, title="player")


def settle() -> None:
    """Let the background loop do what it has before it."""
    _loop.wait(asyncio.sleep(0.02))


# -- cancelling ----------------------------------------------------------------------------------


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
        # The run has no id yet; its session finds it.
        assert platform.was_told.wait(LONG)
        assert platform.told == [(None, "session_0")]

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


# -- ends ----------------------------------------------------------------------------------------


class TestEnds:
    def test_late_events_still_count(self) -> None:
        async def late(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hello"), RunFinished()]
            await asyncio.sleep(0.05)
            yield [UsageReported(usage=Usage(total_tokens=7))]
            yield [RunFailed(message="too late to fail")]

        run = player(PlayedPlatform(late)).run("hi")
        assert run.status == "completed"
        assert run.usage == Usage(total_tokens=7)
        assert run.error is None
        assert len(run.events) == 5
        # The clock stood still when the answer was complete.
        assert run.duration == run.event_times[2] < run.event_times[3]

    def test_a_stream_that_never_ends_after_its_terminal_event(self) -> None:
        async def lingering(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hello"), RunFinished()]
            await asyncio.sleep(600)

        platform = PlayedPlatform(lingering)
        run = player(platform).start("hi").wait(LONG)
        assert run.status == "completed"
        assert platform.closed.is_set()

    def test_one_that_does_not_even_close(self) -> None:
        async def sticky(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hello"), RunFinished()]
            try:
                await asyncio.sleep(600)
            finally:
                await asyncio.sleep(600)

        run = player(PlayedPlatform(sticky)).start("hi").wait(LONG)
        assert run.status == "completed"
        assert [type(e) for e in run.events] == [RunStarted, TextDelta, RunFinished]

    @pytest.mark.parametrize("error", [StreamCutError("cut"), ValueError("a fault")])
    def test_what_breaks_after_the_terminal_event(self, error: Exception) -> None:
        async def breaking(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hello"), RunFinished()]
            raise error

        run = player(PlayedPlatform(breaking)).run("hi")
        assert run.status == "completed"
        assert run.exception is None

    def test_a_failure_that_the_platform_tells(self) -> None:
        async def failing(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hel"), RunFailed(message="No more credit.", code="E7")]

        with pytest.raises(RunFailedError, match=r"No more credit\.") as caught:
            player(PlayedPlatform(failing)).run("hi")
        assert caught.value.run.text == "Hel"
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize(
        ("error", "status", "kind"),
        [
            (StreamCutError("The stream broke off."), "truncated", RunTruncatedError),
            (AuthenticationError("No.", hint="Check it."), "failed", RunFailedError),
            (ContentTypeError("HTML.", content_type="text/html"), "failed", RunFailedError),
            (RequestError("Out of range."), "failed", RunFailedError),
            (ZeroDivisionError("division by zero"), "failed", RunFailedError),
            (SystemExit(3), "failed", RunFailedError),
            (KeyboardInterrupt(), "failed", RunFailedError),
        ],
    )
    def test_an_exception(
        self,
        error: BaseException,
        status: Status,
        kind: type[agentnb.RunError],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async def raising(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("Hel")]
            raise error

        with caplog.at_level(logging.WARNING), pytest.raises(kind) as caught:
            player(PlayedPlatform(raising)).run("hi")
        run = caught.value.run
        assert run.status == status
        assert run.text == "Hel"
        assert run.exception is error
        assert caught.value.__cause__ is error
        assert caught.value.hint == getattr(error, "hint", None)
        failure = run.transcript.failure
        assert failure is not None
        assert failure.error_type == type(error).__name__
        # It is raised, and needs no second message in the cell.
        assert caplog.records == []

    def test_the_message_of_a_strange_exception_is_one_line(self) -> None:
        async def raising(request: RunRequest) -> Batches:
            raise ValueError("first\n  second")
            yield []

        async def speechless(request: RunRequest) -> Batches:
            raise ValueError
            yield []

        run = player(PlayedPlatform(raising)).run("hi", check=False)
        assert run.error == "ValueError: first second"
        run = player(PlayedPlatform(speechless)).run("hi", check=False)
        assert run.error == "ValueError"

    def test_what_a_platform_told_of_its_error_is_kept(self) -> None:
        async def refusing(request: RunRequest) -> Batches:
            raise RateLimitError(
                "Slow down.", status=429, code="rate", request_id="req_1", retry_after=3.0
            )
            yield []

        run = player(PlayedPlatform(refusing)).run("hi", check=False)
        failure = run.transcript.failure
        assert failure is not None
        assert (failure.code, failure.retry_after) == ("rate", 3.0)
        assert failure.details == {"status": 429, "request_id": "req_1"}

    def test_an_error_before_there_is_a_stream(self) -> None:
        class Refusing(PlayedPlatform):
            def stream(self, request: RunRequest) -> Batches:
                raise RequestError("This is not sent.")

        with pytest.raises(RunFailedError, match="not sent"):
            player(Refusing(answer)).run("hi")

    def test_a_cancellation_that_nobody_asked_for_is_a_failure(self) -> None:
        async def giving_up(request: RunRequest) -> Batches:
            yield [STARTED]
            raise asyncio.CancelledError("from inside")

        with pytest.raises(RunFailedError, match="CancelledError"):
            player(PlayedPlatform(giving_up)).run("hi")

    def test_a_time_out_of_the_platform_s_own_is_a_failure(self) -> None:
        async def slow(request: RunRequest) -> Batches:
            yield [STARTED]
            raise TimeoutError("its own")

        with pytest.raises(RunFailedError, match="TimeoutError: its own"):
            player(PlayedPlatform(slow)).run("hi")

    def test_empty_batches_are_nothing(self) -> None:
        async def stuttering(request: RunRequest) -> Batches:
            yield []
            yield [STARTED]
            yield []
            yield [RunFinished()]
            yield []

        run = player(PlayedPlatform(stuttering)).run("hi")
        assert run.events == (STARTED, RunFinished())

    def test_a_platform_may_use_its_list_again(self) -> None:
        async def thrifty(request: RunRequest) -> Batches:
            batch: list[agentnb.events.Event] = [STARTED]
            for word in ("one ", "two ", "three"):
                yield batch
                batch.clear()
                batch.append(TextDelta(word))
            yield batch
            yield [RunFinished()]

        run = player(PlayedPlatform(thrifty)).start("hi")

        async def take() -> str:
            return "".join([e.text async for e in run.iterate() if isinstance(e, TextDelta)])

        assert asyncio.run(take()) == "one two three" == run.text

    def test_answers_in_one_piece(self) -> None:
        run = player(PlayedPlatform(answer)).run("hi", stream=False)
        assert run.text == "Hello"


async def pausing(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("May I"), ApprovalRequested(approval_id="a1", message="May I?")]


class TestPauses:
    def test_a_stream_that_ends_paused(self) -> None:
        platform = PlayedPlatform(pausing, capabilities=ASKS)
        run = player(platform).run("hi")
        assert run.status == "paused"
        assert run.done
        assert run.duration is not None
        assert run.elapsed == run.duration
        assert run.error is None
        assert run.raise_for_status() is run
        assert platform.asked == []

    def test_one_that_goes_on(self) -> None:
        async def approved(request: RunRequest) -> Batches:
            yield [STARTED, ApprovalRequested(approval_id="a1")]
            await asyncio.sleep(0.02)
            yield [TextDelta("Done"), RunFinished()]

        assert player(PlayedPlatform(approved)).run("hi").status == "completed"


# -- a clean end without a terminal event --------------------------------------------------------


class TestUnsaidEnds:
    @pytest.mark.parametrize(
        ("state", "status", "text"),
        [
            (RemoteRun(id="run_1", status="completed"), "completed", "Hel"),
            (RemoteRun(id="run_1", status="completed", output="Hello!"), "completed", "Hello!"),
            (RemoteRun(id="run_1", status="completed", output="Another"), "completed", "Hel"),
            (RemoteRun(id="run_1", status="failed", error="Out of memory."), "failed", "Hel"),
            (RemoteRun(id="run_1", status="cancelled"), "cancelled", "Hel"),
            (RemoteRun(id="run_1", status="paused"), "paused", "Hel"),
            (RemoteRun(id="run_1", status="running"), "truncated", "Hel"),
            (NotFoundError("no such run"), "truncated", "Hel"),
            (ValueError("an answer that cannot be read"), "truncated", "Hel"),
            (None, "truncated", "Hel"),
        ],
    )
    def test_the_platform_is_asked(
        self, state: RemoteRun | Exception | None, status: Status, text: str
    ) -> None:
        platform = PlayedPlatform(half, capabilities=ASKS, state=state)
        run = player(platform).run("hi", check=False)
        assert run.status == status
        assert run.text == text
        assert platform.asked == ["run_1"]
        settle()
        assert platform.told == []

    def test_its_words_are_kept(self) -> None:
        state = RemoteRun(id="run_1", status="failed", error="Out of memory.")
        platform = PlayedPlatform(half, capabilities=ASKS, state=state)
        with pytest.raises(RunFailedError, match="Out of memory"):
            player(platform).run("hi")

    def test_an_answer_that_did_not_stream_at_all(self) -> None:
        async def mute(request: RunRequest) -> Batches:
            yield [STARTED]

        state = RemoteRun(id="run_1", status="completed", output="All of it.")
        run = player(PlayedPlatform(mute, capabilities=ASKS, state=state)).run("hi")
        assert run.text == "All of it."

    def test_a_platform_that_cannot_be_asked(self) -> None:
        with pytest.raises(RunTruncatedError, match="may be incomplete") as caught:
            player(PlayedPlatform(half)).run("hi")
        assert caught.value.run.text == "Hel"

    def test_a_run_without_an_id_cannot_be_asked_for(self) -> None:
        async def nameless(request: RunRequest) -> Batches:
            yield [TextDelta("Hel")]

        platform = PlayedPlatform(nameless, capabilities=ASKS)
        with pytest.raises(RunTruncatedError):
            player(platform).run("hi")
        assert platform.asked == []

    def test_nothing_at_all(self) -> None:
        async def nothing(request: RunRequest) -> Batches:
            return
            yield []

        with pytest.raises(RunTruncatedError):
            player(PlayedPlatform(nothing)).run("hi")


# -- company -------------------------------------------------------------------------------------


def test_listeners_that_raise_hurt_nobody(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    run = unsent(PlayedPlatform(answer))

    def raising() -> None:
        raise ValueError("a listener's own fault")

    def giving_up() -> None:
        raise asyncio.CancelledError

    run.subscribe(raising)
    run.subscribe(giving_up)
    run.subscribe(lambda: heard.append(run.status))
    with caplog.at_level(logging.ERROR, logger="agentnb.recording"):
        run.start().wait(LONG)
        until(lambda: len(heard) == 3)
    assert heard == ["running", "completed", "completed"]
    assert "a listener's own fault" in caplog.text


def test_a_listener_leaves_once() -> None:
    heard: list[int] = []

    def listen() -> None:
        heard.append(1)

    run = unsent(PlayedPlatform(answer))
    leave = run.subscribe(listen)
    run.subscribe(listen)
    leave()
    leave()
    run.start().wait(LONG)
    until(lambda: len(heard) == 3)
    settle()
    assert len(heard) == 3


def test_the_last_notice_comes_when_the_run_is_done() -> None:
    seen: list[tuple[bool, bool]] = []
    run = unsent(PlayedPlatform(answer))
    run.subscribe(lambda: seen.append((run.done, run.duration is not None)))
    run.start().wait(LONG)
    until(lambda: len(seen) == 3)
    assert seen[-1] == (True, True)
    assert seen[0] == (False, False)


def test_a_run_starts_once() -> None:
    platform = PlayedPlatform(answer)
    run = unsent(platform)
    assert run.status == "queued"
    assert run.elapsed == 0
    run.start()
    run.start()
    run.wait(LONG)
    run.start()
    settle()
    assert len(platform.requests) == 1
    assert run.text == "Hello"


def test_a_run_sees_the_context_of_the_cell_that_sent_it() -> None:
    async def looking(request: RunRequest) -> Batches:
        await asyncio.sleep(0)
        yield [TextDelta(where.get()), RunFinished()]

    agent = player(PlayedPlatform(looking))

    def from_cell(name: str) -> Run:
        where.set(name)
        return agent.start("hi")

    runs = {name: contextvars.Context().run(from_cell, name) for name in ("cell 1", "cell 2")}
    assert {name: run.wait(LONG).text for name, run in runs.items()} == {
        "cell 1": "cell 1",
        "cell 2": "cell 2",
    }


def test_many_runs_at_once_do_not_mix() -> None:
    async def counting(request: RunRequest) -> Batches:
        yield [RunStarted(run_id=request.prompt, session_id=f"of {request.prompt}")]
        for n in range(20):
            await asyncio.sleep(0)
            yield [TextDelta(f"{request.prompt}.{n} ")]
        if int(request.prompt) % 3 == 0:
            yield [RunFailed(message=f"{request.prompt} fails")]
        yield [RunFinished()]

    agent = player(PlayedPlatform(counting))
    runs = [agent.start(str(n)) for n in range(50)]
    for n, run in enumerate(runs):
        run.wait(LONG, check=False)
        assert run.id == str(n)
        assert run.session_id == f"of {n}"
        assert run.text == "".join(f"{n}.{i} " for i in range(20))
        assert run.error == (f"{n} fails" if n % 3 == 0 else None)


def test_the_loop_takes_a_hundred_thousand_events() -> None:
    async def fast(request: RunRequest) -> Batches:
        yield [STARTED]
        for n in range(1000):
            yield [TextDelta(f"{n * 100 + i} ") for i in range(100)]
        yield [RunFinished()]

    run = player(PlayedPlatform(fast)).start("hi")
    beats: list[float] = []

    async def take() -> int:
        count = 0
        async for _ in run.iterate():
            count += 1
            if count % 1000 == 0:
                beats.append(time.monotonic())
                await asyncio.sleep(0)
        return count

    assert asyncio.run(take()) == 100_002
    run.wait(LONG)
    assert run.text.split() == [str(n) for n in range(100_000)]
    assert len(beats) == 100


def test_a_waiting_consumer_keeps_the_rest_from_being_fetched() -> None:
    """Back-pressure reaches the platform, and with it the socket."""
    made = 0

    async def fast(request: RunRequest) -> Batches:
        nonlocal made
        yield [STARTED]
        while made < 100_000:
            made += 10
            yield [TextDelta("x") for _ in range(10)]
        yield [RunFinished()]

    run = player(PlayedPlatform(fast)).start("hi")

    async def take_slowly() -> tuple[int, int]:
        events = run.iterate()
        await anext(events)
        held = -1
        while held != made:
            held = made
            await asyncio.sleep(0.1)
        return held, len([event async for event in events])

    # Whatever came before the consumer did is there already; from then on it is held up.
    held, rest = asyncio.run(take_slowly())
    assert held < 100_000
    assert rest == 100_001
    assert run.wait(LONG).status == "completed"
