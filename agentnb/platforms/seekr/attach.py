"""Resume a run's stream after it broke off, without losing or repeating text.

The platform does not say whether a reattached stream restarts or continues.  It is taken for

- the same stream, if its event ids continue the previous ones or begin with one of them;
- the whole stream, replayed, if it repeats all that was delivered;
- else the rest of the stream after a gap of unknown size: its text is withheld, and after the end
  of the run the rest of the answer is read from the thread's messages.

The messages are also used if the run has ended and its reattached stream breaks off before anything
new.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from agentnb.errors import (
    AgentnbError,
    ConnectionFailedError,
    DeadlineError,
    PlatformError,
    ServerError,
    TransportError,
)
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    FollowupsSuggested,
    RunFinished,
    RunStarted,
    TextDelta,
    UsageReported,
)
from agentnb.platforms._replay_filter import ReplayFilter, has_content, incomplete
from agentnb.platforms.seekr.messages import answer_messages, message_events
from agentnb.platforms.seekr.responses import final_event, is_over, record_events
from agentnb.platforms.seekr.run_state import ReattachedStream, StreamState
from agentnb.platforms.seekr.stream_reader import StreamReader
from agentnb.platforms.seekr.wire import Run

if TYPE_CHECKING:
    from agentnb._http.response import Response

# A stream that repeats so many characters is a replay; fewer may repeat by chance, so then its
# first frame has to be the first of the run.
_MIN_REPLAYED: Final = 16
_RUN_FACTS: Final = (RunStarted, UsageReported, FollowupsSuggested)
# Statuses for "there is no stream", maybe because the run has ended.
_NO_STREAM: Final = frozenset({400, 404, 405, 409, 410, 422})
# Errors that an immediate second attempt would meet again.
_LASTING_ERRORS: Final = (ConnectionFailedError, DeadlineError, ServerError)


class ResumeAttempt:
    """One attempt to resume the stream of a run.

    ``reader`` has the run's id; ``previous`` is the state of its stream, if still known;
    ``delivered`` are the events delivered so far.
    """

    def __init__(
        self, reader: StreamReader, previous: StreamState | None, delivered: Sequence[Event]
    ) -> None:
        self.ended = False
        self._reader = reader
        self._stream = reader.decoder = ReattachedStream(previous)
        self._delivered = list(delivered)
        self._filter = ReplayFilter(delivered)
        # Whether the stream is known to be a replay of what was delivered.
        self._is_replay = False

    @property
    def next_state(self) -> StreamState | None:
        """The state for the next attempt."""
        return self._stream.next_state(is_delivered=self._is_replay)

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Yield new events; an empty list where only known ones arrived."""
        api, thread_id = self._reader.api, self._reader.thread_id
        run_id = self._reader.run_id or ""
        for is_last in (False, True):
            refusal: PlatformError | None = None
            broken: AgentnbError | None = None
            has_news = False
            try:
                attached = api.attach_run(thread_id, run_id, last_event_id=self._stream.last_id)
                async with attached as response, aclosing(self._read(response)) as batches:
                    api.check_deprecation(response.headers, "the stream of a run")
                    async for batch in batches:
                        has_news = has_news or bool(batch)
                        yield batch
            except (PlatformError, TransportError) as error:
                if isinstance(error, PlatformError) and error.status in _NO_STREAM:
                    refusal = error
                elif self.ended or has_news or not _is_break(error):
                    raise
                else:
                    broken = error
            if self.ended or has_news:
                return
            # A stream without news may be that of a run that has ended.
            run = await self._record(broken)
            if not is_over(run):
                if problem := refusal or broken:
                    raise problem
                return
            if is_last or refusal is not None or isinstance(broken, _LASTING_ERRORS):
                record = [*record_events(run, thread_id), final_event(run)]
                rest = await self._complete(record, broken=broken)
                self.ended = True
                yield rest
                return
            # Try once more, since a stream holds more than the record.
            self._stream = self._reader.decoder = ReattachedStream(self.next_state)
            self._filter = ReplayFilter(self._delivered)

    async def _record(self, broken: AgentnbError | None) -> Run:
        try:
            return await self._reader.api.run(self._reader.thread_id, self._reader.run_id or "")
        except (PlatformError, TransportError):
            if broken is not None:
                raise broken from None
            raise

    async def _read(self, response: Response) -> AsyncGenerator[list[Event], None]:
        """Yield what the reattached stream adds, once it is known where it began."""
        received: list[Event] = []
        withheld: list[Event] = []
        async with aclosing(self._reader.read(response)) as batches:
            async for batch in batches:
                self.ended = self.ended or any(isinstance(e, TERMINAL_EVENTS) for e in batch)
                if self._stream.continues and not self._stream.has_gap:
                    news = self._complete_end(self._filter.news(batch))
                    self._delivered += news
                    yield news
                    continue
                if self._is_replay:
                    yield self._filter.feed(batch)
                    continue
                received += batch
                withheld += self._filter.feed(batch)
                self._is_replay = not self._stream.has_gap and self._matches_replay()
                if self.ended and not self._is_replay:
                    yield await self._complete(received)
                    return
                yield withheld if self._is_replay else []

    def _complete_end(self, news: list[Event]) -> list[Event]:
        """Insert, before the run's end, the part of the answer that may have been missed."""
        end = news[-1] if news else None
        if self._stream.is_gapless or not isinstance(end, RunFinished) or not end.output:
            return news
        rest = self._filter.complete(end.output)
        if rest is None:
            return [*news[:-1], *incomplete(end.output, platform=self._reader.api.name)]
        return [*news[:-1], *rest, end]

    def _matches_replay(self) -> bool:
        if self._filter.diverged or not self._filter.caught_up:
            return False
        return self._stream.restarts or self._filter.weight >= _MIN_REPLAYED

    # --- the end of a run whose stream has a gap ----------------------------------------------

    async def _complete(
        self, received: Sequence[Event], *, broken: AgentnbError | None = None
    ) -> list[Event]:
        """Return the missing events of a run that has ended, and its end.

        ``received`` are the events of the reattached stream.  ``broken`` is the error that it broke
        off with, raised if the answer is not available: the next attempt may get it.
        """
        end = next(event for event in received if isinstance(event, TERMINAL_EVENTS))
        facts = ReplayFilter(self._delivered).news(
            event
            for event in received
            if not isinstance(event, TERMINAL_EVENTS)
            and not has_content([event])
            and (isinstance(event, _RUN_FACTS) or event not in self._delivered)
        )
        output = end.output if isinstance(end, RunFinished) else None
        has_more = broken is not None or has_content(received)
        rest = await self._rest_of_answer(output or "", has_more=has_more)
        if rest is not None or not isinstance(end, RunFinished):
            starts = [event for event in facts if isinstance(event, RunStarted)]
            others = [event for event in facts if not isinstance(event, RunStarted)]
            return [*starts, *(rest or ()), *others, end]
        if broken is not None:
            raise broken
        text = "".join(event.text for event in received if isinstance(event, TextDelta))
        return [*facts, *incomplete(output or text, platform=self._reader.api.name)]

    async def _rest_of_answer(self, output: str, *, has_more: bool) -> list[Event] | None:
        """Return the part of the answer that was not delivered; None if it is not available.

        ``output`` is the whole answer, if the run's end repeats it; ``has_more``: something
        followed what was delivered.
        """
        answer = await self._answer()
        rest_filter = ReplayFilter(self._delivered, loose=True)
        rest = rest_filter.feed(answer)
        if has_content(answer) and not rest_filter.answer_diverged:
            return rest
        if output and (missing := ReplayFilter(self._delivered).complete(output)) is not None:
            return missing
        return None if has_more or answer or output else []

    async def _answer(self) -> list[Event]:
        try:
            messages = await answer_messages(
                self._reader.api, self._reader.thread_id, run_id=self._reader.run_id or ""
            )
        except PlatformError as error:
            if error.status not in _NO_STREAM:
                raise  # the next attempt may succeed
            return []
        return message_events(messages)


def _is_break(error: AgentnbError) -> bool:
    """Return whether the error is about the stream and says nothing about its run."""
    if isinstance(error, DeadlineError):
        # The other deadlines bound the whole run.
        return error.deadline in ("connect", "first_event", "idle")
    return isinstance(error, TransportError | ServerError)
