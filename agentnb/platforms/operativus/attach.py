"""Joining a run by its record, and taking up one whose stream broke off.

The record (``/api/v1/runs/{run}/events``) is numbered, so that it can be read from any event on.
It tells what happened; what was said it may tell too, or not at all.  Then the answer comes when
the run has ended: whole where nothing of it was delivered, else what follows the part that was.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from agentnb._http import HttpClient, quote_segment
from agentnb.errors import RequestError
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
    UsageReported,
)
from agentnb.platforms._replay_filter import Splice, incomplete
from agentnb.platforms._usage import read_usage
from agentnb.platforms.operativus.decoder import Decoder
from agentnb.platforms.operativus.lookup import RunLookup
from agentnb.sse import ServerSentEvent

__all__ = ["Joining"]

# How many records that are being read to remember the place in.  Most are read on at once or never;
# one that is forgotten is read again from its beginning.
_REMEMBERED: Final = 32


@dataclass(slots=True, eq=False)
class _Reading:
    """How far a run's record was read, and what is needed to go on there.

    ``delivered`` is how many events the reader had when it was left.  ``is_resumed`` says that it
    knew some of the run before.
    """

    decoder: Decoder
    splice: Splice
    since: int = 0
    is_resumed: bool = False
    said: bool = False
    delivered: int = 0


class _Place:
    """The place in a record, as the numbers of its events tell it.

    ``is_exact`` says that it does: each event had a number of its own.  One without repeats, in
    the words of the protocol, that of the event before.
    """

    def __init__(self, since: int) -> None:
        self.number = since
        self.is_exact = True
        self._since = since
        self._came: set[int] = set()
        self._last: int | None = None

    def passed(self, frames: Sequence[ServerSentEvent]) -> list[ServerSentEvent]:
        """Return the frames that were not there before, and take note of their numbers."""
        return [frame for frame in frames if self._is_fresh(frame)]

    def _is_fresh(self, frame: ServerSentEvent) -> bool:
        number, last = _number(frame), self._last
        self._last = number
        if number is None or number == last:
            # The same event twice in a row cannot be told from two: rather twice than never.
            self.is_exact = False
            return True
        if number <= self._since or number in self._came:
            return False
        self._came.add(number)
        self.number = max(self.number, number)
        return True


class Joining:
    """Reads the records of one server's runs."""

    def __init__(self, http: HttpClient, lookup: RunLookup, *, name: str) -> None:
        self._http = http
        self._name = name
        self._lookup = lookup
        self._readings: OrderedDict[str, _Reading] = OrderedDict()

    async def join(
        self, run_id: str, *, agent: str | None, session_id: str | None, since: int
    ) -> AsyncGenerator[list[Event], None]:
        """Yield what was recorded of a run after the event ``since``, and what follows."""
        decoder = Decoder(session_id=session_id, run_id=run_id)
        reading = _Reading(decoder, Splice([]), since)
        async with aclosing(self._read(reading, run_id, agent)) as batches:
            async for batch in batches:
                if batch:
                    yield batch

    async def go_on(
        self,
        run_id: str | None,
        *,
        agent: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
        fresh: bool,
    ) -> AsyncGenerator[list[Event], None]:
        """Yield what was recorded of a run and is not among ``delivered``, and what follows.

        A list is empty where something came that is not new.

        The record is read from where it was left, the first time from its beginning: the events of
        a live stream have no numbers.  ``fresh`` says that the run began the session.

        Raises:
            RequestError: the run's id is not known, and its session does not tell it.
        """
        if run_id is None and session_id is not None:
            asked = self._lookup.asked(session_id, fresh=fresh)
            run_id = await self._lookup.find(session_id, agent, asked)
            if run_id is not None:
                started = RunStarted(run_id=run_id, session_id=session_id)
                delivered = (*delivered, started)
                yield [started]
        if run_id is None:
            raise RequestError(
                f"{self._name} did not tell the id of this run, and it is not found."
            )
        reading = self._readings.pop(run_id, None)
        if reading is None or reading.delivered != len(delivered):
            decoder = Decoder(session_id=session_id, run_id=run_id)
            reading = _Reading(decoder, Splice(delivered), delivered=len(delivered))
        reading.is_resumed = True
        async with aclosing(self._read(reading, run_id, agent)) as batches:
            async for batch in batches:
                yield batch

    def forget(self, run_id: str) -> None:
        """Let go of how far a record was read, with all that was delivered of its run."""
        self._readings.pop(run_id, None)

    async def _read(
        self, reading: _Reading, run_id: str, agent: str | None
    ) -> AsyncGenerator[list[Event], None]:
        path = f"/api/v1/runs/{quote_segment(run_id)}/events"
        params = {"sinceId": str(reading.since)}
        async with (
            self._http.stream("GET", path, params=params) as answer,
            aclosing(answer.batches()) as batches,
        ):
            place = _Place(reading.since)
            async for frames in batches:
                # What is decoded and not yet yielded would be lost to whoever goes on from here.
                self._readings.pop(run_id, None)
                fresh = place.passed(frames)
                told = reading.decoder.decode_all(fresh)
                for event in told:
                    reading.said = reading.said or isinstance(event, TextDelta)
                    if isinstance(event, RunStarted) and event.run_id == run_id:
                        agent = agent or event.agent
                events = await self._with_answer(reading, told, run_id, agent)
                yield events
                reading.since = place.number
                reading.delivered += len(events)
                # Where the place is not exact, all is read again, and compared.
                if place.is_exact and not any(isinstance(e, TERMINAL_EVENTS) for e in told):
                    self._remember(run_id, reading)

    async def _with_answer(
        self, reading: _Reading, told: list[Event], run_id: str, agent: str | None
    ) -> list[Event]:
        """Return what of ``told`` is new, its end with the answer, where the record leaves it out.

        The rest of an answer of which a part was delivered comes before it.  One that does not go
        on from that part is not shown, and its run is no success: see `incomplete`.
        """
        splice, events = reading.splice, list[Event]()
        for event in told:
            # What was said in the record, and what was delivered, is all of it.
            is_told = reading.said and splice.has_text_again
            if not isinstance(event, RunFinished) or is_told:
                events += splice.feed([event])
                continue
            if event.output is None:
                run = await self._lookup.settled(run_id, agent, lenient=not reading.is_resumed)
                if run is not None and (usage := read_usage(run.raw)) is not None:
                    events += splice.feed([UsageReported(usage=usage, model=run.model)])
                event = replace(event, output=None if run is None else run.output)
            rest = splice.complete(event.output)
            if rest is None:
                events += incomplete(event.output or "", platform=self._name)
            else:
                events += [*rest, event]
        return events

    def _remember(self, run_id: str, reading: _Reading) -> None:
        self._readings[run_id] = reading
        while len(self._readings) > _REMEMBERED:
            self._readings.popitem(last=False)


def _number(frame: ServerSentEvent) -> int | None:
    """Return a recorded event's number; None where it has none."""
    digits = frame.id
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
