"""Drives one run: from the platform's stream into its recording, to whatever end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from agentnb._loop import background_loop
from agentnb.errors import AgentnbError, PlatformError, StreamCutError, UnsupportedError
from agentnb.event import (
    ApprovalRequested,
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    TextDelta,
)
from agentnb.recording import Recording
from agentnb.transcript import Transcript

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, RunRequest

__all__ = ["Driver", "Source", "stop_all"]

_log = logging.getLogger(__name__)

# How long a stream may go on after its terminal event, in seconds: late usage still counts, and a
# connection whose answer was read to its end serves the next run.
_DRAIN: Final = 0.25
# How long a stream that never waits may keep the loop from everything else, in seconds.
_BREATH: Final = 0.01
# How long a stream may take to close before it is interrupted again, in seconds.
_CLOSE: Final = 2.0
# How long telling the platform of a cancellation may take, in seconds.
_CANCEL_CALL: Final = 5.0
# How long asking how a run ended may take, in seconds.
_STATUS_CALL: Final = 10.0

Source = Callable[[], AsyncGenerator[list[Event], None]]

# The drivers at work, and the tasks that nobody awaits; the loop itself keeps only weak references.
_live: set[Driver] = set()
_pending: set[asyncio.Future[None]] = set()


class Driver:
    """Runs the stream of one request on the background loop.

    Both are called on that loop: ``failed`` with what was raised inside, before the run ends by it,
    and ``finished`` once, after the last event was recorded.  ``joined`` says that the run goes on
    without this connection, so that closing it stops nothing.
    """

    def __init__(
        self,
        source: Source,
        recording: Recording,
        *,
        platform: Platform,
        request: RunRequest,
        finished: Callable[[], None],
        failed: Callable[[BaseException], None] | None = None,
        joined: bool = False,
    ) -> None:
        self.exception: BaseException | None = None
        self._source = source
        self._recording = recording
        self._platform = platform
        self._request = request
        self._finished = finished
        self._failed = failed
        self._joined = joined
        self._task: asyncio.Task[None] | None = None
        self._cancelling = False
        self._entered = False
        self._sent = False
        self._interruption: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send the request; from any thread, a second call changes nothing."""
        if self._task is None and not self._recording.ended:
            _live.add(self)
        background_loop().call_soon_threadsafe(self._begin)

    def cancel(self) -> None:
        """Close the connection and tell the platform; from any thread, harmless after the end."""
        if not self._is_over:
            background_loop().call_soon_threadsafe(self.cancel_here)

    def cancel_here(self) -> None:
        """Do as `cancel` does, on the background loop itself."""
        if self._is_over or self._cancelling:
            return
        self._cancelling = True
        if self._recording.ended:
            # It paused, and its stream is over; on the platform it still waits for a decision.
            self._recording.add([self._stopped()])
            self._tell_platform_later()
            return
        self._begin()
        # A task cancelled before its first step never enters its own `try`: `_drive` looks itself.
        if self._entered:
            self._interrupt()

    def abandon(self) -> None:
        """End in a forked child, where the thread that drives the run does not exist."""
        message = "This process was forked; the run goes on in the one that it came from."
        self._recording.abandon(RunFailed(message=message, status="interrupted", code="forked"))

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What drives the run, None before it began."""
        return self._task

    @property
    def _is_over(self) -> bool:
        return self._recording.ended and self._transcript.is_final

    @property
    def _transcript(self) -> Transcript:
        return self._recording.transcript

    def _begin(self) -> None:
        if self._task is None and not self._recording.ended:
            _live.add(self)
            self._task = asyncio.create_task(self._drive())

    def _interrupt(self) -> None:
        if self._task is None or self._recording.ended:
            return
        self._task.cancel()
        # A stream may hang while it closes, or swallow this altogether.
        self._interrupt_in(_CLOSE)

    def _interrupt_in(self, delay: float) -> None:
        if self._interruption is not None:
            self._interruption.cancel()
        self._interruption = asyncio.get_running_loop().call_later(delay, self._interrupt)

    async def _drive(self) -> None:
        end: Event | None = None
        self._entered = True
        self._recording.begin()
        self._recording.clock.make_current()
        try:
            if self._cancelling:
                raise asyncio.CancelledError
            await self._consume()
            if not self._transcript.is_final and self._transcript.status != "paused":
                end = await self._after_clean_end()
        # BaseException, because nobody awaits this task: what leaves it would leave the run without
        # an end, and SystemExit would leave the loop, too.
        except BaseException as error:
            end = self._end_of(error)
        finally:
            self._close(end)

    def _close(self, end: Event | None) -> None:
        """Record the end; nothing here waits, so that nothing can come in between."""
        _live.discard(self)
        if self._interruption is not None:
            self._interruption.cancel()
        if end is not None and not self._transcript.is_final:
            for event in self._missing(end):
                self._recording.add([event])
            if end is _CANCELLED:
                self._tell_platform_later()
        self._recording.end()
        self._finished()
        self._recording.notify()

    def _end_of(self, error: BaseException) -> Event:
        task = asyncio.current_task()
        cancelled = isinstance(error, asyncio.CancelledError)
        if self._cancelling and not cancelled:
            # Whatever a stream raises while it is torn down, it ended because of that.
            _log.info("A cancelled stream raised", exc_info=error)
        # A CancelledError that nobody sent is a fault of the stream.
        if self._cancelling or (cancelled and task is not None and task.cancelling()):
            return self._stopped()
        return self._failure(error)

    def _stopped(self) -> Event:
        """Say how a run ends that the user stops: nobody may believe that what goes on was."""
        if not self._joined or self._platform.capabilities.cancel:
            return _CANCELLED
        return RunFailed(
            message=f"Left, not stopped: {self._platform.name} has no call to stop a run, and it "
            "goes on there.",
            status="interrupted",
            code="left",
        )

    def _missing(self, end: Event) -> list[Event]:
        """Return ``end``, after the rest of an answer that only the status call brought whole."""
        if isinstance(end, RunFinished) and end.output:
            arrived = self._transcript.text
            if arrived and end.output.startswith(arrived) and end.output != arrived:
                return [TextDelta(end.output[len(arrived) :]), end]
        return [end]

    async def _consume(self) -> None:
        loop = asyncio.get_running_loop()
        drain = asyncio.timeout(None)
        try:
            # Closing a platform's stream closes its connection.
            async with drain, aclosing(self._source()) as batches:
                self._sent = True
                breath = loop.time()
                async for batch in batches:
                    if self._cancelling:
                        raise asyncio.CancelledError
                    if not batch:
                        continue
                    self._recording.add(batch)
                    if not self._transcript.is_final:
                        await self._recording.room()
                    elif drain.when() is None:
                        drain.reschedule(loop.time() + _DRAIN)
                        self._interrupt_in(_DRAIN + _CLOSE)
                    if loop.time() - breath > _BREATH:
                        await asyncio.sleep(0)
                        breath = loop.time()
        except Exception as error:
            # What breaks after the terminal event, or is broken off, cannot unmake the answer.
            if not self._transcript.is_final:
                raise
            _log.info("A stream broke after its terminal event: %s", error)

    async def _after_clean_end(self) -> Event:
        """Say how a run ended whose stream stopped without saying so."""
        run_id = self._transcript.run_id
        if self._platform.capabilities.run_status and run_id is not None:
            try:
                async with asyncio.timeout(_STATUS_CALL):
                    found = await self._platform.status(
                        [run_id], agent=self._request.agent, session_id=self._transcript.session_id
                    )
            except Exception as error:
                _log.info("The status of a run whose stream ended early is unknown: %s", error)
                found = {}
            if (remote := found.get(run_id)) is not None:
                match remote.status:
                    case "completed":
                        return RunFinished(output=remote.output)
                    case "failed":
                        return RunFailed(
                            message=remote.error or "The platform reports the run as failed."
                        )
                    case "cancelled":
                        return RunCancelled(reason="cancelled on the platform")
                    case "paused":
                        return ApprovalRequested(message="The run waits for a decision.")
                    case _:
                        pass
        return RunFailed(
            message="The stream ended before the agent had finished; the answer may be incomplete.",
            status="truncated",
            code="no_terminal_event",
        )

    def _tell_platform_later(self) -> None:
        # What was never sent runs nowhere.
        if self._sent or self._transcript.run_id is not None:
            # Not awaited: nobody is to wait for a platform that is slow to listen.
            tell = asyncio.ensure_future(self._tell_platform())
            _pending.add(tell)
            tell.add_done_callback(_pending.discard)

    async def _tell_platform(self) -> None:
        run_id, session_id = self._transcript.run_id, self._transcript.session_id
        if run_id is None and session_id is None:
            return  # the platform could only guess
        try:
            if self._platform.capabilities.cancel:
                async with asyncio.timeout(_CANCEL_CALL):
                    await self._platform.cancel(
                        run_id, agent=self._request.agent, session_id=session_id
                    )
        except UnsupportedError:
            pass
        except Exception as error:
            _log.info("The platform could not be told of a cancelled run: %s", error)

    def _failure(self, error: BaseException) -> RunFailed:
        self.exception = error
        if self._failed is not None:
            self._failed(error)
        name = type(error).__name__
        if not isinstance(error, AgentnbError):
            _log.info("A run broke off", exc_info=error)
            message = " ".join(str(error).split())
            return RunFailed(message=f"{name}: {message}" if message else name, error_type=name)
        platform = error if isinstance(error, PlatformError) else None
        told: dict[str, Any] = {}
        if platform is not None:
            told = {"status": platform.status, "request_id": platform.request_id}
        return RunFailed(
            message=error.message,
            status="truncated" if isinstance(error, StreamCutError) else "failed",
            code=platform.code if platform else None,
            retry_after=platform.retry_after if platform else None,
            error_type=name,
            details={key: value for key, value in told.items() if value is not None},
        )


_CANCELLED: Final = RunCancelled(reason="cancelled by the user")


async def stop_all(grace: float) -> None:
    """Cancel every run and wait until the platforms are told, at most ``grace`` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + grace
    for driver in tuple(_live):
        driver.cancel_here()
    while (left := end - loop.time()) > 0:
        tasks: set[asyncio.Future[None]] = {d.task for d in _live if d.task is not None} | _pending
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)


def _after_fork() -> None:
    for driver in tuple(_live):
        driver.abandon()
    _live.clear()
    _pending.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
