"""Execute a run: start, stream, cancel, deadline, end; also at the end of the process."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from agentnb import _loop
from agentnb._http import RequestOptions, detached_context, without_frames
from agentnb._http.timeout import deadline_hint
from agentnb._support.at_exit import call_at_exit
from agentnb._support.fork import after_fork_in_child
from agentnb.errors import AgentnbError, DeadlineError
from agentnb.event.transcript import Transcript
from agentnb.event.types import Event, RunCancelled, RunFailed
from agentnb.recording.recording import Recording
from agentnb.run.clients import close_clients
from agentnb.run.hints import add_hint
from agentnb.run.outcome import failure_end
from agentnb.run.reconnect import Backoff
from agentnb.run.request import forget_refused_key
from agentnb.run.stream_reader import Interruption, Resume, RunStreamReader, Source

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, RunRequest

_log = logging.getLogger(__name__)

# How long the end of the process may be delayed, in seconds: by cancelling runs on their platforms,
# and by closing connections.
_CANCEL_TIMEOUT: Final = 0.7
_CLOSE_TIMEOUT: Final = 0.3

_CANCELLED: Final = RunCancelled(reason="cancelled by the user")

# The active executors, and the tasks that nothing awaits; the loop keeps only weak references.
_active: set[RunExecutor] = set()
_cancellations: set[asyncio.Task[None]] = set()
_is_registered = False


class RunExecutor:
    """Executes one request on the background loop and writes its events to the recording.

    ``resume`` resumes the stream where it broke off, None if nothing can.  ``request_options`` are
    for all requests of the run; their ``total`` is for the run as a whole.  ``attached`` says that
    the run continues on its platform without this connection.
    """

    def __init__(
        self,
        source: Source,
        recording: Recording,
        *,
        platform: Platform,
        request: RunRequest,
        resume: Resume | None = None,
        request_options: RequestOptions | None = None,
        attached: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        #: Done when the run has ended; waiting for it cannot cancel it.
        self.ended = _uncancellable_future()
        #: What the run failed by.
        self.exception: BaseException | None = None
        self._recording = recording
        self._platform = platform
        self._request = request
        self._request_options = request_options or RequestOptions()
        self._attached = attached
        self._interruption = Interruption()
        self._entered = False
        #: Reads the stream into the recording.
        self.reader = RunStreamReader(
            source,
            recording,
            platform=platform,
            request=request,
            resume=resume,
            request_options=self._request_options,
            backoff=backoff,
            interruption=self._interruption,
        )

    # -- called from any thread ------------------------------------------------------------------

    def start(self) -> None:
        """Send the request; a second call does nothing."""
        register_shutdown()
        if self.task is None and not self._recording.ended:
            _active.add(self)
        if _loop.is_background_thread():
            # Without the wake-up of the loop, a map of many runs starts each a turn earlier.
            self._create_task()
        else:
            _loop.background_loop().call_soon_threadsafe(self._create_task)

    def cancel(self) -> None:
        """Close the connection and cancel the run on its platform; no effect after the end."""
        if not self._is_over:
            _loop.background_loop().call_soon_threadsafe(self.cancel_here)

    def abandon(self) -> None:
        """End a run that continues in the parent process; called in a forked child."""
        self.ended = _uncancellable_future()
        if not self._recording.ended and (self.task is not None or self in _active):
            message = "This process was forked; the run continues in its parent process."
            self._recording.abandon(RunFailed(message=message, status="interrupted", code="forked"))
        if self._recording.ended:
            self.ended.set_result(None)

    # -- on the background loop ------------------------------------------------------------------

    def cancel_here(self) -> None:
        """Do as `cancel` does, on the background loop."""
        if self._is_over or self._interruption.by_user:
            return
        self._interruption.by_user = True
        if self._recording.ended:
            # It paused and its stream ended; on the platform it still waits for a decision.
            self._recording.add([self._cancelled_end()])
            self._cancel_remote()
            return
        self._create_task()
        # A task cancelled before its first step never enters its `try`; it checks the flag itself.
        if self._entered:
            self._interruption.interrupt()

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that executes the run, None before it starts."""
        return self._interruption.task

    @property
    def _transcript(self) -> Transcript:
        return self._recording.transcript

    @property
    def _is_over(self) -> bool:
        return self._recording.ended and self._transcript.is_final

    def _create_task(self) -> None:
        if self.task is None and not self._recording.ended:
            _active.add(self)
            # A run that a function or listener of another one starts has its own options.
            work, context = self._execute(), detached_context()
            self._interruption.task = asyncio.create_task(work, context=context)

    def _expire(self, total: float) -> None:
        if not (self._interruption.by_user or self._transcript.is_final):
            self._interruption.expired = self._total_error(total)
            self._interruption.interrupt()

    async def _execute(self) -> None:
        end: Event | None = None
        expiry: asyncio.TimerHandle | None = None
        self._entered = True
        try:
            self._recording.clock.start()
            if (total := self._total) is not None:
                expiry = asyncio.get_running_loop().call_later(total, self._expire, total)
            if self._interruption.by_user:
                raise asyncio.CancelledError
            end = await self.reader.read()
            if self.reader.error is not None:
                self._fail(self.reader.error)
        # BaseException, because nothing awaits this task: an escaping exception would leave the run
        # without an end, and SystemExit would leave the loop.
        except BaseException as error:
            await self._add_hint(error)
            end = self._end_by(error)
        finally:
            if expiry is not None:
                expiry.cancel()
            self._finish(end)

    def _finish(self, end: Event | None) -> None:
        """Record the end, without waiting, so that nothing can come in between."""
        _active.discard(self)
        self._interruption.close()
        is_unreported = end is not None and not self._transcript.is_final
        self.reader.close(end)
        # A deadline limits what the run may take, so it must not continue on the platform.
        error = self.exception
        is_overdue = isinstance(error, DeadlineError) and error.deadline == "total"
        if is_unreported and (end is _CANCELLED or (is_overdue and not self._attached)):
            self._cancel_remote()
        self._recording.end()
        self.ended.set_result(None)
        self._recording.notify()

    async def _add_hint(self, error: BaseException) -> None:
        if self._interruption.is_requested:
            return
        # The run ends by its own error, whatever fails here or interrupts it.
        try:
            await add_hint(self._platform, self._request.agent, error)
        except (Exception, asyncio.CancelledError) as problem:
            _log.info("No hint was found for an error", exc_info=problem)

    def _end_by(self, error: BaseException) -> Event:
        task = asyncio.current_task()
        is_cancelled = isinstance(error, asyncio.CancelledError)
        if self._interruption.is_requested and not is_cancelled:
            # The stream was torn down, whatever it raises then.
            _log.info("A cancelled stream raised", exc_info=error)
        if self._interruption.expired and not self._interruption.by_user:
            return self._failure_end(self._interruption.expired)
        # Without a request to cancel, a CancelledError is a fault of the stream.
        if self._interruption.by_user or (is_cancelled and task is not None and task.cancelling()):
            return self._cancelled_end()
        if isinstance(error, DeadlineError) and (error.deadline, error.seconds) == (
            "total",
            self._total,
        ):
            # One of its requests reached the run's deadline first.
            error = self._total_error(error.seconds)
        return self._failure_end(error)

    def _failure_end(self, error: BaseException) -> RunFailed:
        self._fail(error)
        return failure_end(error)

    def _fail(self, error: BaseException) -> None:
        """Set the exception of the run."""
        if isinstance(error, AgentnbError) and self._platform.name != "local":
            # Frames of a platform hold received data, in which servers repeat keys; those of a
            # function are the user's own.
            without_frames(error)
        self.exception = error
        forget_refused_key(self._platform, error)

    def _cancelled_end(self) -> Event:
        """Return the end of a cancelled run; one that continues on its platform says so."""
        if not self._attached or self._platform.capabilities.cancel:
            return _CANCELLED
        return RunFailed(
            message=f"Left, not stopped: {self._platform.name} cannot stop a run, and it "
            "continues there.",
            status="interrupted",
            code="left",
        )

    @property
    def _total(self) -> float | None:
        return self._request_options.deadlines.total if self._request_options.deadlines else None

    def _total_error(self, total: float) -> DeadlineError:
        return DeadlineError(
            f"The run did not finish within {total:g} s.",
            deadline="total",
            seconds=total,
            hint=deadline_hint("total", by_timeout=self._request_options.by_timeout),
        )

    def _cancel_remote(self) -> None:
        # Before it is sent, a run exists nowhere.
        if not self.reader.sent and self._transcript.run_id is None:
            return
        # Not awaited: the end must not wait for a slow platform.  The run's deadlines do not apply.
        work = self.reader.remote.cancel(RequestOptions(retries=self._request_options.retries))
        task = asyncio.create_task(work)
        _cancellations.add(task)
        task.add_done_callback(_cancellations.discard)


def _uncancellable_future() -> Future[None]:
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


async def stop_all(grace: float) -> None:
    """Cancel every run, and wait up to ``grace`` seconds for the platforms' responses."""
    loop = asyncio.get_running_loop()
    end = loop.time() + grace
    for executor in tuple(_active):
        executor.cancel_here()
    while (left := end - loop.time()) > 0:
        tasks = {each.task for each in _active if each.task is not None} | _cancellations
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)


def register_shutdown() -> None:
    """Leave no run in progress on a platform when the process ends; a second call does nothing."""
    global _is_registered
    if not _is_registered:
        _is_registered = True
        # Before the store's callback, which writes the runs.
        call_at_exit(_at_exit, priority=10)


def _at_exit() -> None:
    if not _loop.is_running():
        return
    # No failure matters any more; a second Ctrl-C only ends the wait.
    with suppress(Exception, KeyboardInterrupt):
        _loop.submit(_shut_down()).result(timeout=_CANCEL_TIMEOUT + _CLOSE_TIMEOUT + 0.2)
    _loop.stop(timeout=0.5)


async def _shut_down() -> None:
    await stop_all(_CANCEL_TIMEOUT)
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await close_clients()


def _after_fork() -> None:
    # Each run has ended its copy, see `RunExecutor.abandon`.
    global _is_registered
    _is_registered = False
    _active.clear()
    _cancellations.clear()


after_fork_in_child(_after_fork)
