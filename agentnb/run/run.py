"""`Run`: one execution of an agent, live and afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agentnb._http import RequestOptions
from agentnb._loop import is_background_thread, submit
from agentnb._loop import wait as wait_for
from agentnb._support.fork import renew_after_fork
from agentnb._support.tracebacks import short_interrupts
from agentnb.cassettes import record_run
from agentnb.errors import (
    AgentnbError,
    NotRecordedError,
    PlaybackError,
    RequestError,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunTruncatedError,
)
from agentnb.event.approvals import Decision
from agentnb.event.types import Event
from agentnb.platforms.base import Resumes
from agentnb.platforms.base_platform import OfflinePlatform
from agentnb.recording.base_run import BaseRun, Via
from agentnb.recording.clock import Clock
from agentnb.recording.recording import EventIterator, Recording
from agentnb.run.approvals import (
    ApprovalRef,
    Continuation,
    check_answer,
    check_capabilities,
    pending_approval,
)
from agentnb.run.executor import RunExecutor
from agentnb.run.output import OutputValidator, parse_output
from agentnb.run.reconnect import Backoff
from agentnb.run.rounds import RoundPlatform
from agentnb.run.stream_reader import Resume, Source, resume_by
from agentnb.store import recent

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, RunRequest
    from agentnb.render import RunView

# How long a paused run's stream may take to end before it counts as staying open, in seconds.
_PAUSE_GRACE: Final = 0.5
# How often a waiting thread or loop wakes up, in seconds: Ctrl-C does not wake it everywhere.
_TICK: Final = 0.1


class Run(BaseRun):
    """One execution of an agent.

    Made by `Agent.run`, `Agent.start` and the like, never directly.  Its properties may be read
    from any thread at any time and return what has been received so far; received content is never
    lost, however the run ends.

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
        request_options: RequestOptions | None = None,
        resume: Resume | None = None,
        recording: Recording | None = None,
        notice: str | None = None,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(platform, request, title=title, recording=recording, clock=clock)
        self.via: Via = via
        #: The options of its requests; None: as its platform is configured.
        self.request_options = request_options
        is_played = isinstance(platform, OfflinePlatform)
        self.durable = not is_played
        self._client = platform
        self._output = None if output_type is None else OutputValidator(output_type)
        self._recording.validate = self._output and self._output.check
        # One line that is displayed above it.
        self._notice = notice
        self._backoff = backoff
        # Ids of the approvals decided in runs that this one continues.
        self._decided_before: tuple[str | None, ...] = ()
        self._deciding = asyncio.Lock()
        self._successor: Run | None = None
        self._is_recorded = False
        if resume is None and via != "invoke" and isinstance(platform, Resumes):
            resume = resume_by(platform, request, self.transcript)
        self._executor = RunExecutor(
            source,
            self._recording,
            platform=platform,
            request=request,
            resume=resume,
            request_options=request_options,
            attached=via == "attach" and not is_played,
            backoff=backoff,
        )
        renew_after_fork(self)

    def after_fork(self) -> None:
        """End the copy of a run that continues in the parent process; keep one that has ended."""
        self._deciding = asyncio.Lock()
        self._executor.abandon()

    @classmethod
    def recorded(cls, facts: BaseRun, *, platform: Platform) -> Run:
        """Return an ended run of another process, as it was recorded.

        ``platform`` is where it ran: one that waits for an approval can be decided here.  It is
        not recorded in the history again.
        """

        async def empty() -> AsyncGenerator[list[Event], None]:
            return
            yield []

        run = cls(
            empty,
            platform=platform,
            request=facts.request,
            title=facts.title,
            recording=facts._recording,
        )
        run.local_id = facts.local_id
        run.durable = False
        run._executor.ended.set_result(None)
        return run

    def view(self) -> RunView:
        """Return the data that renderers display."""
        return replace(super().view(), notice=self._notice)

    @property
    def client(self) -> Platform:
        """The platform's client."""
        return self._client.platform if isinstance(self._client, RoundPlatform) else self._client

    @property
    def takes_decisions(self) -> bool:
        """Whether approvals that it waits for can be decided here."""
        return self._client.capabilities.approvals

    @property
    def exception(self) -> BaseException | None:
        return self._executor.exception

    @property
    def parsed(self) -> Any:
        """The answer as structured data, where the run was given an ``output_type``.

        An instance of the pydantic model, or the parsed JSON for a schema given as a dict; None
        without an ``output_type``.

        Raises:
            OutputError: the answer does not match it, see also `parse_error`.
        """
        return self._output and parse_output(self.structured_text, self._output.type)

    @property
    def structured_text(self) -> str:
        """The text that `parsed` reads: the answer, or its final form where only that parses."""
        text = self._output and self._output.text
        return self.transcript.text if text is None else text

    # -- execution -------------------------------------------------------------------------------

    def start(self) -> Run:
        """Send it on the background loop and return at once; a second call does nothing."""
        if not self._is_recorded:
            self._is_recorded = True
            record_run(self)
        self._executor.start()
        return self

    def cancel(self) -> None:
        """Stop it: close the connection, cancel it on the platform, keep what was received.

        Returns at once, from any thread; after the end it does nothing.  A run that ended paused is
        cancelled on the platform; of one that was decided, the continuation is.  An attached run
        of a platform that cannot stop runs ends here as ``interrupted``, and continues there.
        """
        if self._successor is not None:
            self._successor.cancel()
            return
        self._executor.cancel()

    @short_interrupts()
    def wait(self, timeout: float | None = None, *, check: bool = True) -> Run:
        """Block until it has ended and return it.

        ``timeout`` is in seconds, None for no limit.  An interrupted wait does not stop the run,
        see `cancel`.

        Raises:
            RunError: it did not complete, and ``check`` is true.
            TimeoutError: it is still in progress.
        """
        if is_background_thread():
            raise RuntimeError("wait() blocks; on an event loop write 'await run'.")
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            left = _TICK if end is None else end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The run is still in progress after {timeout:g} s.")
            with suppress(TimeoutError):
                self._executor.ended.result(min(left, _TICK))
        return self.raise_for_status() if check else self

    async def wait_async(self, *, check: bool = True) -> Run:
        """Wait for its end on the running event loop and return it.

        Raises:
            RunError: it did not complete, and ``check`` is true.
        """
        await self._wait_for_end(None)
        return self.raise_for_status() if check else self

    def __await__(self) -> Generator[Any, None, Run]:
        return self.wait_async().__await__()

    async def _wait_for_end(self, timeout: float | None) -> None:
        ended = asyncio.wrap_future(self._executor.ended)
        try:
            if timeout is not None:
                await asyncio.wait({ended}, timeout=timeout)
            # A loop that sleeps in select() does not see a signal whose handler is in Python.
            while timeout is None and not self.done:
                await asyncio.wait({ended}, timeout=_TICK)
        finally:
            # Else the end of the run would call a loop that may be closed by then.
            ended.cancel()

    def raise_for_status(self) -> Run:
        """Return the run where it completed, paused or is in progress.

        Raises:
            RunError: it failed, was truncated or cancelled; the error's ``run`` is this run.
            NotRecordedError: it failed since the played recording lacks it; a `RunFailedError` and
                a `PlaybackError`.
        """
        error: RunError
        failure, raised = self.transcript.failure, self.exception
        message = None if failure is None else failure.message
        hint = raised.hint if isinstance(raised, AgentnbError) else failure and failure.next_step
        match self.status:
            case "queued" | "running" | "paused" | "completed":
                return self
            case "cancelled":
                error = RunCancelledError(self.error or "The run was cancelled.", run=self)
            case "failed":
                kind = NotRecordedError if isinstance(raised, PlaybackError) else RunFailedError
                error = kind(message or "The run failed.", run=self, hint=hint)
            case "truncated" | "interrupted" as status:
                message = message or f"The run was {status}."
                error = RunTruncatedError(message, run=self, hint=hint)
        raise error from raised or error.__cause__

    def iterate(self) -> EventIterator:
        """Return its events from the first on, for ``async for``, as they arrive.

        The consumer's pace slows the run down, until it stops taking events.
        """
        return self._recording.iterate()

    # -- approvals -------------------------------------------------------------------------------

    @property
    def successor(self) -> Run | None:
        """The run that continues this one after a decision, None where there is none."""
        return self._successor

    def latest(self) -> Run:
        """Return the last of its successors, or itself."""
        run = self
        while (successor := run.successor) is not None:
            run = successor
        return run

    def approve(self, approval_id: ApprovalRef = None, *, payload: Any = None) -> Run:
        """Approve what the run waits for (blocks until that is sent); return its continuation.

        The returned run is live: this one, where its stream is still open, else one that replaces
        it, also in `agentnb.runs()`, with all events from the beginning.  ``approval_id`` is
        needed only where several are pending: an id, or one of ``transcript.pending_approvals``,
        which is then approved with exactly this content or not at all.

        ``payload`` is the answer, as JSON data: a value that matches the ``answer_schema`` of the
        approval, which for a tool call are arguments instead of the agent's.

        Raises:
            RequestError: the approval is not pending, was decided already, or was first requested
                with other content; or the payload does not match.
            UnsupportedError: the platform has no approvals, or they take no payload.
        """
        return wait_for(self._decide(approval_id, payload, approved=True))

    def deny(self, approval_id: ApprovalRef = None, *, payload: Any = None) -> Run:
        """Refuse what the run waits for; otherwise as `approve`.

        The platform or the agent chooses whether the run then ends or continues without it, and
        what a ``payload``, such as a reason, means.
        """
        return wait_for(self._decide(approval_id, payload, approved=False))

    async def approve_async(self, approval_id: ApprovalRef = None, *, payload: Any = None) -> Run:
        """Do as `approve`, without blocking the running event loop."""
        return await asyncio.wrap_future(submit(self._decide(approval_id, payload, approved=True)))

    async def deny_async(self, approval_id: ApprovalRef = None, *, payload: Any = None) -> Run:
        """Do as `deny`, without blocking the running event loop."""
        return await asyncio.wrap_future(submit(self._decide(approval_id, payload, approved=False)))

    async def _decide(self, named: ApprovalRef, payload: Any, *, approved: bool) -> Run:
        platform, decided_here = self._client, self._executor.reader.decided
        check_capabilities(platform, payload)
        async with self._deciding:
            if self._successor is not None:
                raise RequestError(
                    "The run was decided already.",
                    hint="It continues as the run that approve() or deny() returned.",
                )
            decided = (*self._decided_before, *(each.approval_id for each in decided_here))
            approval = pending_approval(self, named, approved=approved, decided=decided)
            # A stream that is about to end with the pause could not report the continuation.
            await self._wait_for_end(_PAUSE_GRACE)
            approval = pending_approval(self, approval, approved=approved, decided=decided)
            if approved:
                check_answer(approval, payload)
            await platform.decide(
                self.id,
                approval.approval_id,
                approved=approved,
                agent=self.request.agent,
                session_id=self.session_id,
                # Third parties' platforms may lack the parameter.
                **({} if payload is None else {"payload": payload}),
            )
            decision = Decision(approval.approval_id, approved, payload)
            if not self.done:
                self.decisions.append(decision)
                decided_here.append(approval)
                return self
            successor = self._continue((*decided, approval.approval_id))
            successor.decisions.append(decision)
            self._successor = successor
            recent.replace(self, successor)
            successor.start()
            self._recording.notify()
            return successor

    def _continue(self, decided: tuple[str | None, ...]) -> Run:
        """Return the run that attaches to this one after it was decided, not started."""
        platform, request = self._client, self.request
        continuation = Continuation(
            platform,
            self.id,
            agent=request.agent,
            session_id=self.session_id,
            decided=decided,
            text=self.transcript.text,
        )
        successor = Run(
            continuation.attach,
            platform=platform,
            request=request,
            title=self.title,
            via="decision",
            output_type=self._output and self._output.type,
            request_options=self.request_options,
            resume=(lambda delivered: continuation.resume(platform, request, delivered))
            if isinstance(platform, Resumes)
            else None,
            backoff=self._backoff,
        )
        successor.transcript.run_id = self.transcript.run_id
        successor.transcript.session_id = self.session_id
        successor._recording.clock.sent_at = self.created_at
        successor._decided_before = decided
        return successor
