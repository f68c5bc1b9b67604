"""Follows one run's stream to its end, again where it breaks off, into the recording."""

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
from agentnb.event.transcript import FINAL_STATUSES, Transcript
from agentnb.event.types import Event, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Forgets, Resumes
from agentnb.recording.recording import Recording, Waiting
from agentnb.redaction.events import StreamMask, masked_event
from agentnb.redaction.secrets import MASK, mask
from agentnb.run.outcome import incomplete_end, is_last_passage, one_line, remote_end, truncated_end
from agentnb.run.reconnect import ReconnectPolicy, is_disconnect, is_retryable

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, RemoteRun, RunRequest

__all__ = ["Resume", "Source", "StreamConsumer", "resume_of"]

_log = logging.getLogger(__name__)

# How long a stream may go on after its terminal event, in seconds: late usage still counts, and a
# connection whose answer was read to its end serves the next run.
_DRAIN: Final = 0.25
# How long a stream that never waits may keep the loop from everything else, in seconds; and how
# many events it may bring before anybody looks.
_BREATH: Final = 0.01
_GULP: Final = 512
# How long asking how a run ended may take, in seconds; and where its stream may go on instead.
_STATUS_CALL: Final = 10.0
_QUICK_STATUS_CALL: Final = 2.0

Source = Callable[[], AsyncGenerator[list[Event], None]]
# Given all events that were yielded so far, in order, it yields those that follow.
Resume = Callable[[Sequence[Event]], AsyncGenerator[list[Event], None]]


def resume_of(platform: Platform, request: RunRequest, transcript: Transcript) -> Resume | None:
    """Return what takes up the stream of a run again, None where its platform cannot."""
    if not isinstance(platform, Resumes):
        return None

    def resume(delivered: Sequence[Event]) -> AsyncGenerator[list[Event], None]:
        return platform.resume(
            request,
            run_id=transcript.run_id,
            session_id=transcript.session_id,
            delivered=delivered,
        )

    return resume


class StreamConsumer:
    """Takes the stream of one run to its end; ``request`` is what the platform was asked.

    ``resume`` takes it up again where it broke off, None where nothing can.  ``is_decided`` tells
    that all was decided that it waits for, so that it goes on.  ``is_stopping`` tells that the run
    is being ended, for streams that do not heed a cancellation; ``is_ending`` is told, in seconds,
    how soon a stream should be over that has brought its terminal event.
    """

    def __init__(
        self,
        source: Source,
        recording: Recording,
        *,
        platform: Platform,
        request: RunRequest,
        resume: Resume | None,
        request_options: RequestOptions | None,
        is_decided: Callable[[], bool],
        is_stopping: Callable[[], bool],
        is_ending: Callable[[float], None],
    ) -> None:
        #: Whether anything may have been sent.
        self.sent = False
        #: What the stream broke off by, where the run ended by that.
        self.error: Exception | None = None
        self._source = source
        self._recording = recording
        self._platform = platform
        self._request = request
        self._resume = resume
        # The caller may have a callback, too.
        self._on_outer_retry = None if request_options is None else request_options.on_retry
        self._request_options = replace(
            request_options or RequestOptions(), on_retry=self._on_retry
        )
        self._retries = self._request_options.retries or Retries()
        self._is_decided = is_decided
        self._is_stopping = is_stopping
        self._is_ending = is_ending
        self._mask = StreamMask()
        # As they came: a platform goes on after what it sent, not after what is shown of that.
        self._delivered: list[Event] = []
        self._began = self._is_taken_up = False
        # What the mask kept back, where the end was compared with it.
        self._kept_back: list[Event] = []
        # When the time of the whole run began to count.
        self._since = 0.0

    async def follow(self) -> Event | None:
        """Record the stream to its end; return an end that it left out, None where it did not.

        What a run fails by is raised.
        """
        self._since = time.monotonic()
        with self._request_options.applied(since=self._since):
            return await self._follow()

    def end(self, event: Event | None) -> None:
        """Record how the run ended, where that was not told, and what was kept back before it."""
        self._delivered.clear()
        self._forget()
        self._kept_back += self._mask.flush()
        told = self._kept_back
        if event is not None and not self._transcript.is_final:
            shown = self._mask.feed([event])
            rest = self._rest_of(shown[0].output) if isinstance(shown[0], RunFinished) else None
            told = [*(told if rest is None else rest), *shown]
        if told:
            self._recording.add(told)

    @property
    def _transcript(self) -> Transcript:
        return self._recording.transcript

    @property
    def _is_settled(self) -> bool:
        """Whether the run has ended, or waits for a decision, which takes no connection."""
        transcript = self._transcript
        return transcript.is_final or (transcript.status == "paused" and not self._is_decided())

    # -- the stream ------------------------------------------------------------------------------

    async def _follow(self) -> Event | None:
        tries = ReconnectPolicy(self._retries)
        # What the stream broke off by after its latest event, and what the latest attempt did.
        first = last = await self._take(self._source)
        resumable = self._resume is not None
        # Whether the platform says that the run has ended.
        is_over = False
        while not self._is_settled:
            if not resumable or (pause := tries.pause(last, is_over=is_over)) is None:
                return await self._ask_for_end(tries, first, last, resumable=resumable)
            await self._wait(pause, tries, one_line(last))
            had = len(self._delivered)
            last, resumable = await self._take_up(tries)
            if len(self._delivered) > had:
                first = last
            elif last is None and not (is_over or self._is_settled):
                is_over = await self._is_over()
        return None

    async def _take_up(self, tries: ReconnectPolicy) -> tuple[Exception | None, bool]:
        """Make one attempt; return what it failed by, and whether there is use in another."""
        loop = asyncio.get_running_loop()
        self._is_taken_up = True
        had, began = len(self._delivered), loop.time()
        # Counted here: each attempt is one request.
        once = replace(self._request_options, retries=replace(self._retries, requests=0))
        try:
            with once.applied(since=self._since):
                return await self._take(self._again), True
        except Exception as error:
            is_final = isinstance(error, DeadlineError) and error.deadline in ("progress", "total")
            if is_final or self._is_stopping():
                raise
            if not is_retryable(error):
                _log.info("A stream cannot be taken up again: %s", error)
            return error, is_retryable(error)
        finally:
            tries.tried(loop.time() - began, brought=len(self._delivered) > had)

    def _again(self) -> AsyncGenerator[list[Event], None]:
        assert self._resume is not None
        return self._resume(tuple(self._delivered))

    async def _take(self, source: Source) -> Exception | None:
        """Record what a stream brings; return what it broke off by, None where it ended.

        What it fails by otherwise is raised.
        """
        self._began, known = False, self._transcript.run_id is not None
        try:
            await self._consume(source)
        except Exception as error:
            # What breaks after the terminal event, or is broken off, cannot unmake the answer.
            if not self._transcript.is_final and (
                self._is_stopping() or not is_disconnect(error, began=self._began, known=known)
            ):
                raise
            _log.info("A stream broke off: %s", error)
            return error
        if self._is_stopping() and not self._transcript.is_final:
            # It swallowed the cancellation, and nothing may follow that.
            raise asyncio.CancelledError
        return None

    async def _consume(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        # Closing a platform's stream closes its connection.
        async with asyncio.timeout(None) as drain, aclosing(source()) as batches:
            self.sent = True
            breath = loop.time()
            async for batch in batches:
                if self._is_stopping():
                    raise asyncio.CancelledError
                if not self._began and _is_word_of_run(batch):
                    self._began = True
                    if self._is_taken_up:
                        self._recording.taken_up()
                if not batch and self._recording.waiting is not None:
                    # The connection is there, though nothing new is said.
                    self._recording.wait_for(None)
                # A copy: whoever made the batch may use its list again.
                events = tuple(batch)
                for start in range(0, len(events), _GULP):
                    self._record(events[start : start + _GULP])
                    if not self._transcript.is_final:
                        await self._recording.room()
                    elif drain.when() is None:
                        drain.reschedule(loop.time() + _DRAIN)
                        self._is_ending(_DRAIN)
                    if loop.time() - breath > _BREATH:
                        await asyncio.sleep(0)
                        breath = loop.time()

    def _record(self, events: Sequence[Event]) -> None:
        if self._resume is not None:
            self._delivered += events
        # Without the keys that a server may repeat.
        if shown := self._mask.feed(events):
            self._recording.add(shown)

    def _forget(self) -> None:
        """Have the platform let go of what it kept to go on by."""
        run_id = self._transcript.run_id
        if self._resume is None or run_id is None or not isinstance(self._platform, Forgets):
            return
        try:
            self._platform.forget(run_id)
        except Exception:
            # A platform may be anybody's, and the run is to end.
            _log.exception("A platform could not forget a run")

    # -- without the stream ----------------------------------------------------------------------

    async def _is_over(self) -> bool:
        """Return whether the platform says that the run has ended; asked once, and shortly."""
        run_id = self._transcript.run_id
        if not self._platform.capabilities.run_status or run_id is None:
            return False
        once = replace(self._request_options, retries=replace(self._retries, requests=0))
        try:
            async with asyncio.timeout(_QUICK_STATUS_CALL):
                with once.applied(since=self._since):
                    remote = await self._remote(run_id)
        except Exception as error:
            _log.info("The status of a run whose stream ended is unknown: %s", error)
            return False
        return remote is not None and remote.status in FINAL_STATUSES

    async def _remote(self, run_id: str) -> RemoteRun | None:
        found = await self._platform.status(
            [run_id], agent=self._request.agent, session_id=self._transcript.session_id
        )
        return found.get(run_id)

    async def _ask_for_end(
        self,
        tries: ReconnectPolicy,
        first: Exception | None,
        last: Exception | None,
        *,
        resumable: bool,
    ) -> Event | None:
        """Ask the platform how a run ended whose stream is gone; wait a while where it goes on.

        None: its stream told that after all.
        """
        run_id, attempts, goes_on = self._transcript.run_id, tries.made, False
        while self._platform.capabilities.run_status and run_id is not None:
            pause = None
            try:
                async with asyncio.timeout(_STATUS_CALL):
                    remote = await self._remote(run_id)
            except Exception as error:
                _log.info("The status of a run whose stream is gone is unknown: %s", error)
                if is_retryable(error):
                    pause = tries.pause(error)
            else:
                if remote is not None and (end := remote_end(remote)) is not None:
                    if resumable and self._retries.reconnects and self._lacks(end):
                        # A platform may tell the whole of a run once that has ended.
                        await self._take_up(tries)
                        if self._is_settled:
                            return None
                    return self._whole(end, first)
                goes_on = remote is not None and remote.status in ("queued", "running")
                if goes_on:
                    pause = tries.pause_before_question()
            if pause is None:
                break
            there = f"The stream is gone, and the run goes on at {self._platform.name}."
            await self._wait(pause, tries, there if goes_on else one_line(first))
        self.error = first or last
        return truncated_end(first, last, attempts=attempts, goes_on=goes_on)

    def _whole(self, end: Event, first: Exception | None) -> Event:
        """Return ``end``, unless what arrived may be a part of the answer and would look whole."""
        if not isinstance(end, RunFinished):
            return end
        shown = masked_event(end)
        output = shown.output if isinstance(shown, RunFinished) else None
        self._kept_back += self._mask.flush()
        if self._rest_of(output) is not None:
            return end
        if first is None and is_last_passage(output, of=self._transcript.text):
            return end
        self.error = first
        return incomplete_end(first, output)

    def _lacks(self, end: Event) -> bool:
        """Tell whether the rest of the answer is not to be had from ``end``."""
        if not isinstance(end, RunFinished):
            return False
        return end.output is None or not end.output.startswith(self._transcript.text)

    def _rest_of(self, output: str | None) -> list[Event] | None:
        """Return what is to be shown before the end that has ``output``, masked, as its answer.

        None: that is not known, or not how the answer goes on from what arrived.
        """
        arrived = self._transcript.text
        if output is None or not output.startswith(arrived):
            return None
        rest = output[len(arrived) :]
        kept = "".join(event.text for event in self._kept_back if isinstance(event, TextDelta))
        # Half of a key was kept back, and here that is whole, and masked as such.
        is_half = rest != "" and (kept == MASK or rest.startswith(MASK))
        if not (rest.startswith(kept) or is_half):
            return None
        told: list[Event] = [event for event in self._kept_back if not isinstance(event, TextDelta)]
        # Where nothing was said, the end says it all.
        return [*told, TextDelta(rest)] if rest and arrived else told

    async def _wait(self, seconds: float, tries: ReconnectPolicy, reason: str) -> None:
        self._say("reconnect", tries.attempts, tries.most, seconds, reason)
        await asyncio.sleep(seconds)

    def _on_retry(self, pause: RetryDelay) -> None:
        """Say that a request is made again: the HTTP client calls this."""
        if self._on_outer_retry is not None:
            self._on_outer_retry(pause)
        self._say("retry", pause.attempt, pause.of, pause.seconds, one_line(pause.error))

    def _say(
        self,
        kind: Literal["reconnect", "retry"],
        attempt: int,
        most: int,
        seconds: float,
        reason: str,
    ) -> None:
        if not self._recording.ended:
            attempt = max(attempt, 1)
            until = self._recording.clock.now() + seconds
            self._recording.wait_for(
                Waiting(
                    kind=kind,
                    attempt=attempt,
                    of=max(most, attempt),
                    until=until,
                    reason=printable(mask(reason)),
                )
            )


def _is_word_of_run(batch: Sequence[Event]) -> bool:
    """Tell whether a batch can only come from the run's own stream.

    An empty one says that frames came; `RunStarted` without the run's id may come from a request
    before it.
    """
    return not batch or any(
        not isinstance(event, RunStarted) or event.run_id is not None for event in batch
    )
