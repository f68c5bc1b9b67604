"""Joining a run's stream again after it broke off, without a word lost or doubled.

The platform does not say whether a joined stream begins anew or goes on where it stands.  It is
taken for the same stream where its ids count on after those that came, or begin with one of them;
for the whole stream, told again, where it repeats all that was delivered; and else for the rest of
it, with an unknown part missing in between.  What that said is then held back, and when the run has
ended the rest of the answer comes from the thread's messages.  From there it comes, too, where the
run has ended and its stream, joined again, breaks off before it says anything new.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from agentnb._http import EventStream
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
from agentnb.platforms._replay_filter import Splice, has_content, incomplete
from agentnb.platforms.seekr.messages import answer_messages, message_events
from agentnb.platforms.seekr.responses import final_event, is_over, usage_event
from agentnb.platforms.seekr.stream_reader import StreamReader
from agentnb.platforms.seekr.stream_state import Heard, HeardAgain
from agentnb.platforms.seekr.wire import Run

__all__ = ["Resuming"]

# A stream that repeats so many characters begins where the first one did; fewer may repeat by
# chance, and then its first frame has to say so.
_RECOGNIZED: Final = 16
_FACTS: Final = (RunStarted, UsageReported, FollowupsSuggested)
# Answers that say that there is no stream to join, maybe because the run has ended.
_NO_STREAM: Final = frozenset({400, 404, 405, 409, 410, 422})
# What a stream breaks off by that the next attempt would meet, too.
_NOT_SOON: Final = (ConnectionFailedError, DeadlineError, ServerError)


class Resuming:
    """One attempt to go on with the stream of a run.

    ``reader`` knows the run's id; ``before`` is what was heard of its stream, where that is still
    known; ``delivered`` are the events that came of it.
    """

    def __init__(
        self, reader: StreamReader, before: Heard | None, delivered: Sequence[Event]
    ) -> None:
        self.ended = False
        self._reader = reader
        self._again = reader.heard = HeardAgain(before)
        self._delivered = list(delivered)
        self._splice = Splice(delivered)
        self._is_settled = False

    @property
    def kept(self) -> Heard | None:
        """What to go on by the next time."""
        return self._again.kept(is_complete=self._is_settled)

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Yield what is new; an empty list where something came that is not."""
        api, thread_id = self._reader.api, self._reader.thread_id
        run_id = self._reader.run_id or ""
        for is_last in (False, True):
            refusal: PlatformError | None = None
            broken: AgentnbError | None = None
            brought = False
            try:
                opened = api.attach_run(thread_id, run_id, last_event_id=self._again.last_id)
                async with opened as answer, aclosing(self._joined(answer)) as batches:
                    api.notice(answer.headers, "the stream of a run")
                    async for batch in batches:
                        brought = brought or bool(batch)
                        yield batch
            except (PlatformError, TransportError) as error:
                if isinstance(error, PlatformError) and error.status in _NO_STREAM:
                    refusal = error
                elif self.ended or brought or not _broke(error):
                    raise
                else:
                    broken = error
            if self.ended or brought:
                return
            # A stream that says nothing more may be that of a run that has ended.
            run = await self._record(broken)
            if not is_over(run):
                if problem := refusal or broken:
                    raise problem
                return
            if is_last or refusal is not None or isinstance(broken, _NOT_SOON):
                rest = await self._completed(_told_by(run, thread_id), broken=broken)
                self.ended = True
                yield rest
                return
            # The record knows less than a stream: once more, it may have been cut off.
            self._again = self._reader.heard = HeardAgain(self.kept)
            self._splice = Splice(self._delivered)

    async def _record(self, broken: AgentnbError | None) -> Run:
        try:
            return await self._reader.api.run(self._reader.thread_id, self._reader.run_id or "")
        except (PlatformError, TransportError):
            if broken is not None:
                raise broken from None  # that is what happened to the stream
            raise

    async def _joined(self, answer: EventStream) -> AsyncGenerator[list[Event], None]:
        """Yield what the joined stream adds, as soon as it is known where it began."""
        told: list[Event] = []
        held: list[Event] = []
        async with aclosing(self._reader.follow(answer)) as batches:
            async for batch in batches:
                self.ended = self.ended or any(isinstance(e, TERMINAL_EVENTS) for e in batch)
                if self._again.goes_on and not self._again.has_gap:
                    news = self._with_rest(self._splice.news(batch))
                    self._delivered += news
                    yield news
                    continue
                if self._is_settled:
                    yield self._splice.feed(batch)
                    continue
                told += batch
                held += self._splice.feed(batch)
                self._is_settled = not self._again.has_gap and self._begins_where_it_began()
                if self.ended and not self._is_settled:
                    yield await self._completed(told)
                    return
                yield held if self._is_settled else []

    def _with_rest(self, news: list[Event]) -> list[Event]:
        """Return what goes on, with what of the answer may have been missed before its end."""
        end = news[-1] if news else None
        if self._again.counts or not isinstance(end, RunFinished) or not end.output:
            return news
        rest = self._splice.complete(end.output)
        if rest is None:
            return [*news[:-1], *incomplete(end.output, platform=self._reader.api.name)]
        return [*news[:-1], *rest, end]

    def _begins_where_it_began(self) -> bool:
        if self._splice.diverged or not self._splice.caught_up:
            return False
        return self._again.begins or self._splice.weight >= _RECOGNIZED

    # --- the end of a run of which something was missed -------------------------------------------

    async def _completed(
        self, told: Sequence[Event], *, broken: AgentnbError | None = None
    ) -> list[Event]:
        """Return what is missing of a run that has ended, and its end.

        ``told`` is what its stream told when it was joined again, ``broken`` what that broke off
        by, if it did.  Then this is raised where the answer is not to be had: the next attempt may
        bring it.
        """
        end = next(event for event in told if isinstance(event, TERMINAL_EVENTS))
        facts = Splice(self._delivered).news(
            event
            for event in told
            if not isinstance(event, TERMINAL_EVENTS)
            and not has_content([event])
            and (isinstance(event, _FACTS) or event not in self._delivered)
        )
        output = end.output if isinstance(end, RunFinished) else None
        rest = await self._rest(output or "", anything=broken is not None or has_content(told))
        begins = [event for event in facts if isinstance(event, RunStarted)]
        others = [event for event in facts if not isinstance(event, RunStarted)]
        if rest is not None or not isinstance(end, RunFinished):
            return [*begins, *(rest or ()), *others, end]
        if broken is not None:
            raise broken
        text = "".join(event.text for event in told if isinstance(event, TextDelta))
        return [*facts, *incomplete(output or text, platform=self._reader.api.name)]

    async def _rest(self, output: str, *, anything: bool) -> list[Event] | None:
        """Return what the reader lacks of the answer; None where it cannot be had.

        ``output`` is the whole answer as the run's end repeats it; ``anything`` says that something
        came after what was delivered.
        """
        told = await self._answer()
        splice = Splice(self._delivered, loose=True)
        rest = splice.feed(told)
        if has_content(told) and not splice.answer_diverged:
            return rest
        if output and (missing := Splice(self._delivered).complete(output)) is not None:
            return missing
        return None if anything or told or output else []

    async def _answer(self) -> list[Event]:
        try:
            messages = await answer_messages(
                self._reader.api, self._reader.thread_id, run_id=self._reader.run_id or ""
            )
        except PlatformError as error:
            if error.status not in _NO_STREAM:
                raise  # it may be had the next time
            return []
        return message_events(messages)


def _told_by(run: Run, thread_id: str) -> list[Event]:
    """Return what the record of a run tells of it, apart from what was said."""
    usage = usage_event(run)
    started = RunStarted(run_id=run.id, session_id=thread_id, model=run.model)
    return [started, *([usage] if usage else []), final_event(run)]


def _broke(error: AgentnbError) -> bool:
    """Tell whether a stream broke off in a way that says nothing of its run."""
    match error:
        case DeadlineError(deadline=deadline):
            # The others are what the user set for the whole.
            return deadline in ("connect", "first_event", "idle")
        case _:
            return isinstance(error, TransportError | ServerError)
