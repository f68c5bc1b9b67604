"""How a run ends: by the platform's word, by a failure, by a pause, and without a word."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

import agentnb
from agentnb.errors import (
    AuthenticationError,
    ContentTypeError,
    NotFoundError,
    RateLimitError,
    RequestError,
    RunFailedError,
    RunTruncatedError,
    StreamCutError,
)
from agentnb.event.transcript import Status
from agentnb.event.types import (
    ApprovalRequested,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import Capabilities, RemoteRun, RunRequest
from agentnb.render import to_html, to_text
from tests.driver.scripts import answer, pausing, settle
from tests.played import LONG, STARTED, Batches, PlayedPlatform, eventually, player

ASKS = Capabilities(cancel=True, run_status=True)


async def half(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("Hel")]


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
        if failure.hint is not None:
            # In all that is shown and kept, and never twice.
            shown = [run.error or "", str(caught.value), run.to_markdown()]
            shown += [render(run.view()) for render in (to_text, to_html)]
            shown += [run.to_dict()["error"]["message"], agentnb.runs(limit=1)["error"].iloc[0]]
            assert [text.count(failure.hint) for text in shown] == [1] * len(shown)
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
            batch: list[agentnb.event.types.Event] = [STARTED]
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

    @pytest.mark.anyio
    @pytest.mark.parametrize("ends", [None, StreamCutError("It broke off.")], ids=str)
    @pytest.mark.parametrize("left", [0, 1])
    async def test_one_that_was_decided_waits_no_more(
        self, ends: Exception | None, left: int
    ) -> None:
        decided = threading.Event()
        asks: list[agentnb.event.types.Event] = [ApprovalRequested(message="Twice?")] * left

        async def breaking(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("May I? "), ApprovalRequested(approval_id="a1"), *asks]
            # Well after what `approve` waits for a stream that ends with the pause.
            await asyncio.to_thread(decided.wait, LONG)
            if ends is not None:
                raise ends

        state = RemoteRun(id="run_1", status="completed", output="May I? Done.")
        abilities = Capabilities(attach=True, approvals=True, run_status=True)
        platform = PlayedPlatform(breaking, capabilities=abilities, state=state)
        run = player(platform).start("hi")
        async with asyncio.timeout(LONG):
            await eventually(lambda: run.status == "paused")
            assert await run.approve_async("a1") is run
            decided.set()
            await run.wait_async(check=False)
        if left:
            assert (run.status, platform.asked) == ("paused", [])
        else:
            assert (run.status, run.text) == ("completed", "May I? Done.")


class TestUnsaidEnds:
    @pytest.mark.parametrize(
        ("state", "status", "text"),
        [
            # It completed there, and half of an answer must not look like all of it here.
            (RemoteRun(id="run_1", status="completed"), "truncated", "Hel"),
            (RemoteRun(id="run_1", status="completed", output="Another"), "truncated", "Hel"),
            (RemoteRun(id="run_1", status="completed", output="Hello!"), "completed", "Hello!"),
            (RemoteRun(id="run_1", status="completed", output="Hel"), "completed", "Hel"),
            (RemoteRun(id="run_1", status="failed", error="Out of memory."), "failed", "Hel"),
            (RemoteRun(id="run_1", status="cancelled"), "cancelled", "Hel"),
            (RemoteRun(id="run_1", status="paused"), "paused", "Hel"),
            (RemoteRun(id="run_1", status="interrupted"), "truncated", "Hel"),
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

    @pytest.mark.parametrize(
        ("output", "said"),
        [
            (None, "the rest of its answer is not available."),
            ("Another", "its answer there does not continue the received text."),
        ],
    )
    def test_an_answer_that_may_be_half(self, output: str | None, said: str) -> None:
        state = RemoteRun(id="run_1", status="completed", output=output)
        run = player(PlayedPlatform(half, capabilities=ASKS, state=state)).run("hi", check=False)
        assert run.error is not None
        assert run.error.endswith(f"The run completed on its platform, but {said}")
        assert run.transcript.failure is not None
        assert run.transcript.failure.details.get("output") == output

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
