"""`Run`: one question to one agent, live and afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agentnb._http import RequestOptions
from agentnb._loop import is_background_thread, submit
from agentnb._loop import wait as wait_for
from agentnb._support.fork import renew_after_fork
from agentnb._support.tracebacks import short_interrupts
from agentnb.cassettes import record_run
from agentnb.cassettes.offline import OfflinePlatform
from agentnb.errors import (
    AgentnbError,
    NotRecordedError,
    PlaybackError,
    RequestError,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunTruncatedError,
    UnsupportedError,
)
from agentnb.event.types import ApprovalRequested, Event
from agentnb.platforms.base import Resumes
from agentnb.recording.base_run import BaseRun, Via
from agentnb.recording.feed import EventIterator
from agentnb.recording.recording import Recording
from agentnb.run.approvals import ApprovalRef, Decided, all_decided, waiting_approval
from agentnb.run.executor import RunExecutor
from agentnb.run.output import OutputValidator, parse_output
from agentnb.run.stream_consumer import Resume, Source, resume_of
from agentnb.store import recent

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, RunRequest
    from agentnb.render import RunView

__all__ = ["Run"]

# How long a paused run's stream may take to end before it counts as staying open, in seconds.
_MAY_END: Final = 0.5
# How often a waiting thread or loop looks up, in seconds: Ctrl-C does not wake it everywhere.
_TICK: Final = 0.1


def _new_ending() -> Future[None]:
    """Return what wakes those who wait; whoever merely waits for it cannot cancel it."""
    ending: Future[None] = Future()
    ending.set_running_or_notify_cancel()
    return ending


class Run(BaseRun):
    """One execution of an agent.

    Made by `Agent.run`, `Agent.start` and their like, never directly.  Its properties may be read
    from any thread at any moment and show what has arrived so far; what has arrived is never lost,
    however the run ends.

    ``await run`` waits for its end and returns it; `wait` does the same for blocking code.
    """

    def __init__(
        self,
        source: Source,
        *,
        platform: Platform,
        request: RunRequest,
        title: str,
        via: Via = "stream",
        output_type: Any = None,
        failed: Callable[[BaseException], None] | None = None,
        request_options: RequestOptions | None = None,
        resume: Resume | None = None,
        recording: Recording | None = None,
        notice: str | None = None,
    ) -> None:
        super().__init__(platform, request, title=title, recording=recording)
        #: How the platform was asked for it.
        self.via: Via = via
        #: How long it may take and how often it tries again; None: as its platform is set.
        self.request_options = request_options
        #: Whether it is kept in the history's store; what is only played is not.
        self.durable = not isinstance(platform, OfflinePlatform)
        self._client = platform
        self._output = None if output_type is None else OutputValidator(output_type)
        self._recording.check = self._output and self._output.check
        # One line that is shown above it.
        self._notice = notice
        self._failed = failed
        self._decided: tuple[str | None, ...] = ()
        # Those of its approvals that were decided while its stream was open.
        self._decided_here: list[ApprovalRequested] = []
        self._deciding = asyncio.Lock()
        self._successor: Run | None = None
        self._watched = False
        self._ending = _new_ending()
        self._driver = RunExecutor(
            source,
            self._recording,
            platform=platform,
            request=request,
            finished=lambda: self._ending.set_result(None),
            failed=failed,
            resume=resume
            or (None if via == "invoke" else resume_of(platform, request, self.transcript)),
            request_options=request_options,
            # What is played goes on nowhere.
            joined=via == "attach" and not isinstance(platform, OfflinePlatform),
            is_decided=lambda: all_decided(self.transcript.pending_approvals, self._decided_here),
        )
        renew_after_fork(self)

    def after_fork(self) -> None:
        """End the copy of a run that goes on in the parent process; keep one that has ended."""
        self._deciding = asyncio.Lock()
        self._ending = _new_ending()
        self._driver.abandon()
        if self._recording.ended:
            self._ending.set_result(None)

    @classmethod
    def recorded(cls, facts: BaseRun, *, platform: Platform) -> Run:
        """Return a run of another process that has ended, as it was recorded.

        ``platform`` is where it ran: one that waits for an approval can be decided here.  It is in
        the history already, and not recorded again.
        """

        async def nothing_more() -> AsyncGenerator[list[Event], None]:
            return
            yield []

        run = cls(
            nothing_more,
            platform=platform,
            request=facts.request,
            title=facts.title,
            recording=facts._recording,
        )
        run.local_id = facts.local_id
        run.durable = False
        run._ending.set_result(None)
        return run

    def view(self) -> RunView:
        """Return what the renderers need of it."""
        return replace(super().view(), notice=self._notice)

    @property
    def client(self) -> Platform:
        """The platform's client, of which the same agent can be asked more."""
        return self._client

    @property
    def exception(self) -> BaseException | None:
        """What was raised inside, where the run failed by an exception."""
        return self._driver.exception

    @property
    def parsed(self) -> Any:
        """The answer as structured data, where the run was given an ``output_type``.

        An instance of the pydantic model, or the parsed JSON for a schema given as a dict; None
        where neither was given.

        Raises:
            OutputError: the answer is not of the asked form, as `parse_error` says, too.
        """
        return self._output and parse_output(self.structured_text, self._output.type)

    @property
    def structured_text(self) -> str:
        """The text that `parsed` reads: the answer, or its final form where that alone parses."""
        found = self._output and self._output.text
        return self.transcript.text if found is None else found

    # -- driving it ------------------------------------------------------------------------------

    def start(self) -> Run:
        """Send it, on the background loop; return it at once.  A second call changes nothing."""
        if not self._watched:
            self._watched = True
            record_run(self)
        self._driver.start()
        return self

    def cancel(self) -> None:
        """Stop it: close the connection, tell the platform, keep what arrived.

        Returns at once, from any thread; after the end it does nothing.  A run that ended paused
        is given up on the platform; of one that was decided, what goes on is stopped.  One that was
        joined where nothing stops a run ends here as ``interrupted``, and goes on there.
        """
        if self._successor is not None:
            self._successor.cancel()
            return
        self._driver.cancel()

    @short_interrupts()
    def wait(self, timeout: float | None = None, *, check: bool = True) -> Run:
        """Block until it has ended and return it.

        ``timeout`` is in seconds, None for ever.  Waiting does not own the run: when the wait is
        interrupted the run goes on, see `cancel`.

        Raises:
            RunError: it did not complete, and ``check`` is true.
            TimeoutError: it goes on still.
        """
        if is_background_thread():
            raise RuntimeError("wait() blocks; on an event loop write 'await run'.")
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            left = _TICK if end is None else end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The run goes on after {timeout:g} s.")
            with suppress(TimeoutError):
                self._ending.result(min(left, _TICK))
        return self.raise_for_status() if check else self

    async def wait_async(self, *, check: bool = True) -> Run:
        """Wait for its end on the running event loop and return it.

        Raises:
            RunError: it did not complete, and ``check`` is true.
        """
        future = asyncio.wrap_future(self._ending)
        try:
            while not self.done:
                # A loop that sleeps in select() does not see a signal whose handler is in Python.
                await asyncio.wait({future}, timeout=_TICK)
        finally:
            # Else the end of the run would be told to a loop that may be closed by then.
            future.cancel()
        return self.raise_for_status() if check else self

    def __await__(self) -> Generator[Any, None, Run]:
        return self.wait_async().__await__()

    def raise_for_status(self) -> Run:
        """Return the run where it completed, paused or goes on.

        Raises:
            RunError: it failed, was cut off or cancelled; the error's ``run`` is this run.
            NotRecordedError: it failed since it is not in the recording that is played back; a
                `RunFailedError` and a `PlaybackError`.
        """
        error: RunError
        failure, raised = self.transcript.failure, self.exception
        # What is raised says what to do by itself, so it is not in the message, too.
        said = None if failure is None else failure.message
        hint = raised.hint if isinstance(raised, AgentnbError) else failure and failure.next_step
        match self.status:
            case "queued" | "running" | "paused" | "completed":
                return self
            case "cancelled":
                error = RunCancelledError("The run was cancelled.", run=self)
            case "failed":
                kind = NotRecordedError if isinstance(raised, PlaybackError) else RunFailedError
                error = kind(said or "The run failed.", run=self, hint=hint)
            case "truncated" | "interrupted":
                error = RunTruncatedError(
                    said or f"The run was {self.status}.", run=self, hint=hint
                )
        raise error from raised or error.__cause__

    # -- deciding --------------------------------------------------------------------------------

    @property
    def successor(self) -> Run | None:
        """The run as which this one goes on after a decision; None where none took its place."""
        return self._successor

    def approve(self, approval_id: ApprovalRef = None) -> Run:
        """Approve what the run waits for (blocks until the platform knows); return how it goes on.

        What is returned is live: this run, where its stream is still open, else one that takes its
        place, in `agentnb.runs()` too, and tells everything from the beginning.  ``approval_id`` is
        needed only where several are pending: an id, or one of ``transcript.pending_approvals``,
        which is then approved as it was read or not at all.

        Raises:
            RequestError: the run waits for no such approval, was decided already, or first
                requested something else by this id.
            UnsupportedError: the platform takes no decisions.
        """
        return wait_for(self._decide(approval_id, approved=True))

    def deny(self, approval_id: ApprovalRef = None) -> Run:
        """Refuse what the run waits for; otherwise as `approve`.

        Whether the run then ends or goes on without is the platform's or the agent's own choice.
        """
        return wait_for(self._decide(approval_id, approved=False))

    async def approve_async(self, approval_id: ApprovalRef = None) -> Run:
        """Do as `approve`, for async code: the running event loop is not held up."""
        return await asyncio.wrap_future(submit(self._decide(approval_id, approved=True)))

    async def deny_async(self, approval_id: ApprovalRef = None) -> Run:
        """Do as `deny`, for async code: the running event loop is not held up."""
        return await asyncio.wrap_future(submit(self._decide(approval_id, approved=False)))

    async def _decide(self, named: ApprovalRef, *, approved: bool) -> Run:
        platform, request = self._client, self.request
        if not platform.capabilities.approvals:
            raise UnsupportedError(f"{platform.name} does not take decisions on approvals.")
        async with self._deciding:
            if self._successor is not None:
                raise RequestError(
                    "The run was decided already.",
                    hint="It goes on as the run that approve() or deny() returned.",
                )
            decided = (*self._decided, *(each.approval_id for each in self._decided_here))
            asked = waiting_approval(self, named, approved=approved, decided=decided)
            # A stream that is about to end with the pause could not tell how the run goes on.
            await self._wait_briefly()
            asked = waiting_approval(self, asked, approved=approved, decided=decided)
            run_id, session_id = self.id, self.session_id
            await platform.decide(
                run_id,
                asked.approval_id,
                approved=approved,
                agent=request.agent,
                session_id=session_id,
            )
            if not self.done:
                self.decisions.append((asked.approval_id, approved))
                self._decided_here.append(asked)
                return self
            decided = (*decided, asked.approval_id)
            again = Decided(
                platform,
                run_id,
                agent=request.agent,
                session_id=session_id,
                decided=decided,
                text=self.transcript.text,
            )
            successor = Run(
                again.joined,
                platform=platform,
                request=request,
                title=self.title,
                via="decision",
                output_type=self._output and self._output.type,
                failed=self._failed,
                request_options=self.request_options,
                resume=(lambda so_far: again.resumed(platform, request, so_far))
                if isinstance(platform, Resumes)
                else None,
            )
            successor.transcript.run_id = run_id
            successor.transcript.session_id = session_id
            successor._recording.clock.sent_at = self.created_at
            successor._decided = decided
            successor.decisions.append((asked.approval_id, approved))
            self._successor = successor
            recent.replace(self, successor)
            successor.start()
            self._recording.notify()
            return successor

    async def _wait_briefly(self) -> None:
        ending = asyncio.wrap_future(self._ending)
        try:
            await asyncio.wait({ending}, timeout=_MAY_END)
        finally:
            ending.cancel()

    # -- listening -------------------------------------------------------------------------------

    def iterate(self) -> EventIterator:
        """Return its events from the first on, for ``async for``, as they arrive.

        The run is slowed down to the pace of the consumer, until that stops taking events.
        """
        return self._recording.iterate()
