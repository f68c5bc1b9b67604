"""Read a run's stream to the run's end, resumed where it breaks off."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from agentnb._http import RequestOptions, RetryDelay
from agentnb._http.retry import Retries
from agentnb._support.text import printable
from agentnb.errors import DeadlineError
from agentnb.event.transcript import Transcript
from agentnb.event.types import ApprovalRequested, Event, RunStarted
from agentnb.platforms.base import Forgets
from agentnb.recording.clock import PlayedBatch
from agentnb.recording.recording import Recording, Waiting
from agentnb.redaction.secrets import mask
from agentnb.run import reconnect
from agentnb.run.outcome import one_line, remote_end, truncated_end
from agentnb.run.reconnect import Backoff, ReconnectPolicy, is_disconnect, is_retryable
from agentnb.run.remote import STATUS_TIMEOUT, RemoteControl
from agentnb.run.sink import EventSink

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, Resumes, RunRequest

_log = logging.getLogger(__name__)

# How long a stream may take to close before it is interrupted again, in seconds.
_CLOSE_TIMEOUT: Final = 2.0
# How long a stream may continue after its terminal event, in seconds: late usage still counts, and
# a connection whose response was read to its end is reused.
_DRAIN_TIMEOUT: Final = 0.25
# How long a stream that never waits may occupy the loop, in seconds, and the number of events after
# which that is checked.
_MAX_BUSY: Final = 0.01
_MAX_BATCH: Final = 512

Source = Callable[[], AsyncGenerator[list[Event], None]]
# Takes all events yielded so far, in order, and yields those that follow.
Resume = Callable[[Sequence[Event]], AsyncGenerator[list[Event], None]]


def resume_by(platform: Resumes, request: RunRequest, transcript: Transcript) -> Resume:
    """Return how the stream of a run is resumed by the ids that it has by then."""
    return lambda delivered: platform.resume(
        request,
        run_id=transcript.run_id,
        session_id=transcript.session_id,
        delivered=delivered,
    )


class Interruption:
    """Why and when the task of a run is cancelled; a stream may swallow that, so it is repeated."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        #: Whether the user cancelled the run.
        self.by_user = False
        #: The run's deadline, once it has passed.
        self.expired: DeadlineError | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_requested(self) -> bool:
        return self.by_user or self.expired is not None

    def interrupt(self) -> None:
        """Cancel the task now, and again until it has ended."""
        if self.task is not None and not self.task.done():
            self.task.cancel()
            self.interrupt_in(_CLOSE_TIMEOUT)

    def interrupt_in(self, seconds: float) -> None:
        """Cancel the task in ``seconds``, in place of an earlier schedule."""
        self.close()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.interrupt)

    def close(self) -> None:
        """Cancel no more."""
        if self._timer is not None:
            self._timer.cancel()


class RunStreamReader:
    """Writes the events of one run to its recording, until it has ended or waits for a decision.

    ``resume`` resumes the stream where it broke off, None if nothing can.
    """

    def __init__(
        self,
        source: Source,
        recording: Recording,
        *,
        platform: Platform,
        request: RunRequest,
        resume: Resume | None,
        request_options: RequestOptions,
        backoff: Backoff | None,
        interruption: Interruption,
    ) -> None:
        #: The error that the run ended by, where its stream was lost.
        self.error: Exception | None = None
        #: Approvals decided while the stream is open.
        self.decided: list[ApprovalRequested] = []
        #: Whether a request may have been sent.
        self.sent = False
        #: The platform's other calls for the run.
        self.remote = RemoteControl(platform, request, recording.transcript)
        self._source = source
        self._recording = recording
        self._sink = EventSink(recording)
        self._platform = platform
        self._resume = resume
        self._on_retry = request_options.on_retry
        self._request_options = replace(request_options, on_retry=self._announce_retry)
        self._retries = request_options.retries or Retries()
        self._backoff = backoff or reconnect.DEFAULT_BACKOFF
        self._interruption = interruption
        # Whether content of the run arrived on this connection, and whether that is a resumed one.
        self._has_content = self._resuming = False
        # When ``total`` started, by `time.monotonic`.
        self._started_at = 0.0
        # As received: a platform resumes after what it sent, not after what was redacted of it.
        self._delivered: list[Event] = []

    async def read(self) -> Event | None:
        """Read to the end; return a terminal event that the stream did not contain."""
        self._started_at = time.monotonic()
        with self._request_options.applied(since=self._started_at):
            return await self._read_to_end()

    def close(self, end: Event | None) -> None:
        """Record withheld events and the end, and let the platform drop its state."""
        self._delivered.clear()
        self._forget()
        self._sink.close(end)

    @property
    def _transcript(self) -> Transcript:
        return self._recording.transcript

    @property
    def _is_settled(self) -> bool:
        """Whether the run has ended, or waits for a decision, which takes no connection."""
        transcript = self._transcript
        if transcript.status != "paused":
            return transcript.is_final
        # By identity: two approvals without an id may be equal.
        decided = set(map(id, self.decided))
        return any(id(approval) not in decided for approval in transcript.pending_approvals)

    async def _read_to_end(self) -> Event | None:
        policy = ReconnectPolicy(self._retries, self._backoff)
        # The error after the latest event, and that of the last attempt.
        first = last = await self._read_connection(self._source)
        resumable = self._resume is not None
        has_ended = False
        while not self._is_settled:
            if not resumable or (delay := policy.delay(last, has_ended=has_ended)) is None:
                return await self._poll_end(policy, first, last, resumable=resumable)
            await self._wait(delay, policy, one_line(last))
            count = len(self._delivered)
            last, resumable = await self._reconnect(policy)
            if len(self._delivered) > count:
                first = last
            elif last is None and not (has_ended or self._is_settled):
                with self._single_attempt.applied(since=self._started_at):
                    has_ended = await self.remote.has_ended()
        return None

    async def _reconnect(self, policy: ReconnectPolicy) -> tuple[Exception | None, bool]:
        """Resume the stream once; return its error, and whether another attempt may succeed."""
        assert self._resume is not None
        resume, delivered = self._resume, tuple(self._delivered)
        self._resuming = True
        since = time.monotonic()
        try:
            with self._single_attempt.applied(since=self._started_at):
                return await self._read_connection(lambda: resume(delivered)), True
        except Exception as error:
            is_final = isinstance(error, DeadlineError) and error.deadline in ("progress", "total")
            if is_final or self._interruption.is_requested:
                raise
            if not is_retryable(error):
                _log.info("A stream cannot be resumed: %s", error)
            return error, is_retryable(error)
        finally:
            progressed = len(self._delivered) > len(delivered)
            policy.attempted(time.monotonic() - since, progressed=progressed)

    @property
    def _single_attempt(self) -> RequestOptions:
        """Options of a request that the policy repeats, so that the client must not."""
        return replace(self._request_options, retries=replace(self._retries, requests=0))

    async def _read_connection(self, source: Source) -> Exception | None:
        """Record the events of one connection; return the error that it broke off by.

        None where it ended.  Other errors are raised.
        """
        self._has_content, known = False, self._transcript.run_id is not None
        try:
            await self._consume(source)
        except Exception as error:
            # An error after the terminal event does not change the end.
            if not self._transcript.is_final and (
                self._interruption.is_requested
                or not is_disconnect(error, started=self._has_content, known=known)
            ):
                raise
            _log.info("A stream broke off: %s", error)
            return error
        if self._interruption.is_requested and not self._transcript.is_final:
            # The stream swallowed the cancellation.
            raise asyncio.CancelledError
        return None

    async def _consume(self, source: Source) -> None:
        loop, clock = asyncio.get_running_loop(), self._recording.clock
        # Closing a platform's stream closes its connection.
        async with asyncio.timeout(None) as drain, aclosing(source()) as batches:
            self.sent = True
            busy_since = loop.time()
            async for batch in batches:
                if self._interruption.is_requested:
                    raise asyncio.CancelledError
                played = batch if isinstance(batch, PlayedBatch) else None
                if played is not None:
                    clock.set(played.at)
                    if played.sent_at is not None:
                        clock.sent_at, self._recording.played_id = played.sent_at, played.run_id
                elif not self._has_content and _is_content(batch):
                    self._has_content = True
                    if self._resuming:
                        self._recording.reconnects = (self._recording.reconnects or 0) + 1
                if not batch and self._recording.waiting is not None:
                    # The connection is back, without new events.
                    self._recording.wait_for(None)
                # A copy, since the platform may reuse its list.
                events = tuple(batch)
                for start in range(0, len(events), _MAX_BATCH):
                    part = events[start : start + _MAX_BATCH]
                    if self._resume is not None:
                        self._delivered += part
                    if redacted := self._sink.redact(part):
                        self._recording.add(redacted)
                    if not self._transcript.is_final:
                        await self._recording.room()
                    elif drain.when() is None:
                        drain.reschedule(loop.time() + _DRAIN_TIMEOUT)
                        self._interruption.interrupt_in(_DRAIN_TIMEOUT + _CLOSE_TIMEOUT)
                    if loop.time() - busy_since > _MAX_BUSY:
                        await asyncio.sleep(0)
                        busy_since = loop.time()
                if played is not None:
                    clock.set(played.at, rate=played.rate)

    async def _poll_end(
        self,
        policy: ReconnectPolicy,
        first: Exception | None,
        last: Exception | None,
        *,
        resumable: bool,
    ) -> Event | None:
        """Return the end of a run whose stream is lost by its platform, polled while in progress.

        None: the stream delivered it after all.
        """
        attempts, in_progress = policy.total, False
        while self.remote.has_status:
            delay = None
            try:
                async with asyncio.timeout(STATUS_TIMEOUT):
                    remote = await self.remote.status()
            except Exception as error:
                _log.info("The status of a run whose stream is lost is unknown: %s", error)
                if is_retryable(error):
                    delay = policy.delay(error)
            else:
                if remote is not None and (end := remote_end(remote)) is not None:
                    if (
                        resumable
                        and self._retries.reconnects
                        and self._sink.lacks_rest_of_answer(end)
                    ):
                        # A platform may stream the whole of a run once that has ended.
                        await self._reconnect(policy)
                        if self._is_settled:
                            return None
                    if (truncated := self._sink.incomplete_end(end, first)) is None:
                        return end
                    self.error = first
                    return truncated
                in_progress = remote is not None and remote.status in ("queued", "running")
                if in_progress:
                    delay = policy.poll_delay()
            if delay is None:
                break
            reason = f"The stream is lost; the run continues at {self._platform.name}."
            await self._wait(delay, policy, reason if in_progress else one_line(first))
        self.error = first or last
        return truncated_end(first, last, attempts=attempts, in_progress=in_progress)

    async def _wait(self, seconds: float, policy: ReconnectPolicy, reason: str) -> None:
        self._announce("reconnect", policy.attempts, policy.max_attempts, seconds, reason)
        await self._backoff.sleep(seconds)

    def _announce_retry(self, pause: RetryDelay) -> None:
        """Publish that the HTTP client repeats a request."""
        if self._on_retry is not None:
            self._on_retry(pause)
        self._announce("retry", pause.attempt, pause.of, pause.seconds, one_line(pause.error))

    def _announce(
        self,
        kind: Literal["reconnect", "retry"],
        attempt: int,
        attempts: int,
        seconds: float,
        reason: str,
    ) -> None:
        """Publish a wait before an attempt."""
        if self._recording.ended:
            return
        attempt = max(attempt, 1)
        self._recording.wait_for(
            Waiting(
                kind=kind,
                attempt=attempt,
                of=max(attempts, attempt),
                until=self._recording.clock.now() + seconds,
                reason=printable(mask(reason)),
            )
        )

    def _forget(self) -> None:
        """Let the platform drop its state for resuming."""
        run_id = self._transcript.run_id
        if self._resume is None or run_id is None or not isinstance(self._platform, Forgets):
            return
        try:
            self._platform.forget(run_id)
        except Exception:
            # A third party's platform must not keep the run from ending.
            _log.exception("A platform could not forget a run")


def _is_content(batch: Sequence[Event]) -> bool:
    """Return whether a batch is from the run's own stream, not from a preliminary request.

    An empty one means that frames arrived; a preliminary request may yield `RunStarted` without the
    run's id.
    """
    return not batch or any(
        not isinstance(event, RunStarted) or event.run_id is not None for event in batch
    )
