"""Drives one run: from the platform's stream into its recording, to whatever end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agentnb._http import RequestOptions, detached_context, without_frames
from agentnb._http.timeout import deadline_hint
from agentnb._loop import background_loop, is_background_thread
from agentnb._support.fork import after_fork_in_child
from agentnb.errors import AgentnbError, DeadlineError, UnsupportedError
from agentnb.event.transcript import Transcript
from agentnb.event.types import Event, RunCancelled, RunFailed
from agentnb.recording.recording import Recording
from agentnb.run.hints import add_hint
from agentnb.run.outcome import failure_end
from agentnb.run.stream_consumer import Resume, Source, StreamConsumer

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, RunRequest

__all__ = ["RunExecutor", "stop_all"]

_log = logging.getLogger(__name__)

# How long a stream may take to close before it is interrupted again, in seconds.
_CLOSE: Final = 2.0
# How long telling the platform of a cancellation may take, in seconds.
_CANCEL_CALL: Final = 5.0
# The drivers at work, and the tasks that nobody awaits; the loop itself keeps only weak references.
_live: set[RunExecutor] = set()
_pending: set[asyncio.Future[None]] = set()


class RunExecutor:
    """Runs the stream of one request on the background loop.

    ``resume`` takes the stream up again where it broke off, None where nothing can.
    ``request_options`` are for all requests of the run; their ``total`` is for the run as a whole.
    ``joined`` says that it goes on without this connection, so that closing that stops nothing.
    ``is_decided`` tells that all was decided that it waits for.

    Both are called on that loop: ``failed`` with what was raised inside, before the run ends by it,
    and ``finished`` once, after the last event was recorded.
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
        resume: Resume | None = None,
        request_options: RequestOptions | None = None,
        joined: bool = False,
        is_decided: Callable[[], bool] = lambda: False,
    ) -> None:
        self.exception: BaseException | None = None
        self._recording = recording
        self._platform = platform
        self._request = request
        self._finished = finished
        self._failed = failed
        self._joined = joined
        self._total = (
            request_options.deadlines.total
            if request_options and request_options.deadlines
            else None
        )
        self._by_timeout = request_options is not None and request_options.by_timeout
        # Telling the platform of the end is not bounded by what the run could take.
        self._afterwards = RequestOptions(
            retries=request_options.retries if request_options else None
        )
        self._follower = StreamConsumer(
            source,
            recording,
            platform=platform,
            request=request,
            resume=resume,
            request_options=request_options,
            is_decided=is_decided,
            is_stopping=lambda: self._cancelling or self._expired is not None,
            is_ending=lambda seconds: self._interrupt_in(seconds + _CLOSE),
        )
        self._task: asyncio.Task[None] | None = None
        self._cancelling = False
        self._expired: DeadlineError | None = None
        self._entered = False
        self._interruption: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send the request; from any thread, a second call changes nothing."""
        if self._task is None and not self._recording.ended:
            _live.add(self)
        if is_background_thread():
            # Nobody need be woken up, and those who start many start each a turn earlier.
            self._begin()
        else:
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
        """End a run that goes on in the parent process; called in a forked child."""
        if self._recording.ended or (self._task is None and self not in _live):
            return
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
            # Another run may have started this one, in its function or by its listener.
            self._task = asyncio.create_task(self._drive(), context=detached_context())

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
        expiry: asyncio.TimerHandle | None = None
        self._entered = True
        try:
            self._recording.begin()
            self._recording.clock.make_current()
            expiry = self._expire_later()
            if self._cancelling:
                raise asyncio.CancelledError
            end = await self._follower.follow()
            if self._follower.error is not None:
                self._note(self._follower.error)
        # BaseException, because nobody awaits this task: what leaves it would leave the run without
        # an end, and SystemExit would leave the loop, too.
        except BaseException as error:
            await self._advise(error)
            end = self._end_of(error)
        finally:
            if expiry is not None:
                expiry.cancel()
            self._close(end)

    async def _advise(self, error: BaseException) -> None:
        """Say in the error's hint what to do next, unless the run is being stopped."""
        if self._cancelling or self._expired:
            return
        # The run ends by its own error, whatever goes wrong here or interrupts it.
        try:
            await add_hint(self._platform, self._request.agent, error)
        except (Exception, asyncio.CancelledError) as problem:
            _log.info("There is no advice on an error", exc_info=problem)

    def _expire_later(self) -> asyncio.TimerHandle | None:
        if (total := self._total) is None:
            return None

        def expire() -> None:
            if not (self._cancelling or self._transcript.is_final):
                self._expired = self._overdue(total)
                self._interrupt()

        return asyncio.get_running_loop().call_later(total, expire)

    def _overdue(self, total: float) -> DeadlineError:
        return DeadlineError(
            f"The run did not finish within {total:g} s.",
            deadline="total",
            seconds=total,
            hint=deadline_hint("total", by_timeout=self._by_timeout),
        )

    def _close(self, end: Event | None) -> None:
        """Record the end; nothing here waits, so that nothing can come in between."""
        _live.discard(self)
        if self._interruption is not None:
            self._interruption.cancel()
        untold = end is not None and not self._transcript.is_final
        self._follower.end(end)
        # Who limits what a run may take does not want it to go on unseen.
        if untold and (end is _CANCELLED or (self._is_overdue and not self._joined)):
            self._tell_platform_later()
        self._recording.end()
        self._finished()
        self._recording.notify()

    @property
    def _is_overdue(self) -> bool:
        error = self.exception
        return isinstance(error, DeadlineError) and error.deadline == "total"

    def _end_of(self, error: BaseException) -> Event:
        task = asyncio.current_task()
        cancelled = isinstance(error, asyncio.CancelledError)
        if (self._cancelling or self._expired) and not cancelled:
            # Whatever a stream raises while it is torn down, it ended because of that.
            _log.info("A cancelled stream raised", exc_info=error)
        if self._expired and not self._cancelling:
            return self._failure(self._expired)
        # A CancelledError that nobody sent is a fault of the stream.
        if self._cancelling or (cancelled and task is not None and task.cancelling()):
            return self._stopped()
        return self._failure(error)

    def _failure(self, error: BaseException) -> RunFailed:
        match error:
            case DeadlineError(deadline="total", seconds=total) if total == self._total:
                # One of its requests saw first that the run's time was up.
                error = self._overdue(total)
            case _:
                pass
        self._note(error)
        return failure_end(error)

    def _note(self, error: BaseException) -> None:
        """Remember what the run ended by."""
        if isinstance(error, AgentnbError) and self._platform.name != "local":
            # Those of a platform hold what was received, in which servers repeat keys; those of a
            # function are the user's own.
            without_frames(error)
        self.exception = error
        if self._failed is not None:
            self._failed(error)

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

    def _tell_platform_later(self) -> None:
        # What was never sent runs nowhere.
        if self._follower.sent or self._transcript.run_id is not None:
            # Not awaited: nobody is to wait for a platform that is slow to listen.
            tell = asyncio.ensure_future(self._tell_platform())
            _pending.add(tell)
            tell.add_done_callback(_pending.discard)

    @property
    def _has_own_session(self) -> bool:
        """Whether the session was made for this run, so that whatever runs in it is this run."""
        session_id, request = self._transcript.session_id, self._request
        given = (request.session_id, *request.params.values())
        return session_id is not None and request.session_id is None and session_id not in given

    async def _tell_platform(self) -> None:
        run_id, session_id = self._transcript.run_id, self._transcript.session_id
        if run_id is None and not self._has_own_session:
            return  # the platform could only guess, and stop what somebody else runs there
        try:
            if self._platform.capabilities.cancel:
                async with asyncio.timeout(_CANCEL_CALL):
                    with self._afterwards.applied():
                        await self._platform.cancel(
                            run_id, agent=self._request.agent, session_id=session_id
                        )
        except UnsupportedError:
            pass
        except Exception as error:
            _log.info("The platform could not be told of a cancelled run: %s", error)


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
    # Each run has ended its copy, see `RunExecutor.abandon`.
    _live.clear()
    _pending.clear()


after_fork_in_child(_after_fork)
