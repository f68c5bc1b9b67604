"""Attach to a run by its recorded events, and resume one whose stream broke off.

The records (``/api/v1/runs/{run}/events``) are numbered and can be read from any of them on.  They
say what happened, and may lack the text.  Then the answer comes when the run has ended: whole if
none of it was delivered, else the rest of it.
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
from agentnb.platforms._params import check_count
from agentnb.platforms._replay_filter import ReplayFilter, incomplete
from agentnb.platforms._usage import read_usage
from agentnb.platforms.operativus.decoder import Decoder
from agentnb.platforms.operativus.run_lookup import RunLookup, remember
from agentnb.platforms.operativus.session_search import SessionSearch
from agentnb.sse import ServerSentEvent

__all__ = ["RecordReader"]

# How many positions in records to remember.  Most are resumed at once or never; a forgotten one is
# read again from the start.
_MAX_POSITIONS: Final = 32


@dataclass(slots=True, eq=False)
class _Position:
    """How far a run's record was read, and the state to continue there.

    ``delivered`` is how many events the reader had then.
    """

    decoder: Decoder
    replay: ReplayFilter
    since_id: int = 0
    is_resumed: bool = False
    has_text: bool = False
    delivered: int = 0


class _RecordNumbers:
    """Drops repeated records by their numbers.

    ``is_exact`` says whether every record had its own number; one without a number repeats that of
    the record before it, as server-sent events define it.
    """

    def __init__(self, since_id: int) -> None:
        self.latest = since_id
        self.is_exact = True
        self._since_id = since_id
        self._seen: set[int] = set()
        self._previous: int | None = None

    def is_new(self, frame: ServerSentEvent) -> bool:
        digits = frame.id
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
        number, previous = int(digits) if is_number else None, self._previous
        self._previous = number
        if number is None or number == previous:
            # It may be a repeat or another record: better twice than never.
            self.is_exact = False
            return True
        if number <= self._since_id or number in self._seen:
            return False
        self._seen.add(number)
        self.latest = max(self.latest, number)
        return True


class RecordReader:
    """Reads the records of one server's runs."""

    def __init__(
        self, http: HttpClient, lookup: RunLookup, sessions: SessionSearch, *, name: str
    ) -> None:
        self._http = http
        self._name = name
        self._lookup = lookup
        self._sessions = sessions
        self._positions: OrderedDict[str, _Position] = OrderedDict()

    async def attach(
        self, run_id: str, *, agent: str | None, session_id: str | None, since_id: int
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events recorded after ``since_id``, until the run has ended."""
        check_count(since_id, name="since_id", platform=self._name)
        decoder = Decoder(session_id=session_id, run_id=run_id)
        position = _Position(decoder, ReplayFilter([]), since_id)
        async with aclosing(self._read(position, run_id, agent)) as batches:
            async for batch in batches:
                if batch:
                    yield batch

    async def resume(
        self,
        run_id: str | None,
        *,
        agent: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
        fresh: bool,
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the recorded events that are not among ``delivered``, until the run has ended.

        A list is empty if a read has nothing new.  The record is read from where it was left,
        the first time from its start: the events of a live stream have no numbers.  ``fresh`` says
        that the run started the session.

        Raises:
            RequestError: the run's id is unknown, and not found by its session.
        """
        if run_id is None and session_id is not None:
            request = self._sessions.latest_request(session_id, fresh=fresh)
            run_id = await self._sessions.find(session_id, agent, request)
            if run_id is not None:
                started = RunStarted(run_id=run_id, session_id=session_id)
                delivered = (*delivered, started)
                yield [started]
        if run_id is None:
            raise RequestError(f"{self._name} did not send the id of this run.")
        position = self._positions.pop(run_id, None)
        if position is None or position.delivered != len(delivered):
            decoder = Decoder(session_id=session_id, run_id=run_id)
            position = _Position(decoder, ReplayFilter(delivered), delivered=len(delivered))
        position.is_resumed = True
        async with aclosing(self._read(position, run_id, agent)) as batches:
            async for batch in batches:
                yield batch

    def forget(self, run_id: str) -> None:
        """Drop the position in a run's record, with the events delivered so far."""
        self._positions.pop(run_id, None)

    async def _read(
        self, position: _Position, run_id: str, agent: str | None
    ) -> AsyncGenerator[list[Event], None]:
        path = f"/api/v1/runs/{quote_segment(run_id)}/events"
        params = {"sinceId": str(position.since_id)}
        async with (
            self._http.stream("GET", path, params=params) as response,
            aclosing(response.batches()) as batches,
        ):
            numbers = _RecordNumbers(position.since_id)
            async for frames in batches:
                # Decoded events that are not yielded would be missing when resumed from here.
                self._positions.pop(run_id, None)
                recorded = position.decoder.decode_all([f for f in frames if numbers.is_new(f)])
                for event in recorded:
                    position.has_text = position.has_text or isinstance(event, TextDelta)
                    if isinstance(event, RunStarted) and event.run_id == run_id:
                        agent = agent or event.agent
                events = await self._new_events(position, recorded, run_id, agent)
                yield events
                position.since_id = numbers.latest
                position.delivered += len(events)
                # Without exact numbers everything is read again and compared.
                if numbers.is_exact and not any(isinstance(e, TERMINAL_EVENTS) for e in recorded):
                    remember(self._positions, run_id, position, limit=_MAX_POSITIONS)

    async def _new_events(
        self, position: _Position, recorded: list[Event], run_id: str, agent: str | None
    ) -> list[Event]:
        """Return the new ones of ``recorded``, with the answer if the record lacks it.

        For an answer that does not continue the delivered part see `incomplete`.
        """
        replay, events = position.replay, list[Event]()
        for event in recorded:
            has_all_text = position.has_text and replay.has_text_again
            if not isinstance(event, RunFinished) or has_all_text:
                events += replay.feed([event])
                continue
            if event.output is None:
                lenient = not position.is_resumed
                run = await self._lookup.settled(run_id, agent, lenient=lenient)
                if run is not None and (usage := read_usage(run.raw)) is not None:
                    events += replay.feed([UsageReported(usage=usage, model=run.model)])
                event = replace(event, output=None if run is None else run.output)
            rest = replay.complete(event.output)
            if rest is None:
                events += incomplete(event.output or "", platform=self._name)
            else:
                events += [*rest, event]
        return events
