"""Attach to a run by its recorded events, and resume one whose stream broke off.

The records (``/api/v1/runs/{run}/events``) are numbered and can be read from any of them on.  They
say what happened, and may lack the text.  Then the answer comes when the run has ended: whole if
none of it was delivered, else the rest of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from agentnb._http import HttpClient, quote_segment
from agentnb.event.types import TERMINAL_EVENTS, Event, RunFinished, RunStarted, TextDelta
from agentnb.platforms._payloads import usage_events
from agentnb.platforms._replay_filter import ReplayFilter
from agentnb.platforms.generic.records import RecordReader
from agentnb.platforms.operativus.decoder import Decoder
from agentnb.platforms.operativus.runs import Runs
from agentnb.sse import ServerSentEvent


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


class RunRecordReader(RecordReader[Decoder]):
    """Reads the records of one server's runs."""

    def __init__(self, http: HttpClient, runs: Runs, *, name: str) -> None:
        super().__init__(http, Decoder, name=name)
        self._runs = runs

    async def follow(
        self,
        run_id: str | None,
        *,
        agent: str | None,
        session_id: str | None,
        since_id: int = 0,
        delivered: Sequence[Event] | None = None,
        fresh: bool = False,
    ) -> AsyncGenerator[list[Event], None]:
        """Yield recorded events until the run has ended.

        When attaching they are those after ``since_id``; when resuming, those that are not among
        ``delivered``, and a list is empty if a read has nothing new.  Then the record is read from
        where it was left, the first time from its start: the events of a live stream have no
        numbers.  ``fresh`` says that the run started the session.

        Raises:
            RequestError: the run's id is unknown, and not found by its session.
        """
        is_resumed, delivered = delivered is not None, delivered or ()
        if run_id is None and session_id is not None:
            request = self._runs.latest_request(session_id, fresh=fresh)
            run_id = await self._runs.find(session_id, agent, request)
            if run_id is not None:
                started = RunStarted(run_id=run_id, session_id=session_id)
                delivered = (*delivered, started)
                yield [started]
        run_id = self._known_id(run_id)
        position = self._take(run_id, delivered) if is_resumed else None
        position = position or self._begin(run_id, session_id, delivered, last=since_id)
        numbers = _RecordNumbers(position.last)
        path = f"/api/v1/runs/{quote_segment(run_id)}/events"
        async with (
            self._http.stream("GET", path, params={"sinceId": str(position.last)}) as response,
            aclosing(response.batches()) as batches,
        ):
            async for frames in batches:
                # Decoded events that are not yielded would be missing when resumed from here.
                self._positions.pop(run_id, None)
                recorded = position.decoder.decode_all([f for f in frames if numbers.is_new(f)])
                for event in recorded:
                    position.has_text = position.has_text or isinstance(event, TextDelta)
                    if isinstance(event, RunStarted) and event.run_id == run_id:
                        agent = agent or event.agent
                events: list[Event] = []
                for event in recorded:
                    has_all_text = position.has_text and position.replay.has_text_again
                    if isinstance(event, RunFinished) and not has_all_text:
                        events += await self._end(
                            position.replay, event, run_id, agent, lenient=not is_resumed
                        )
                    else:
                        events += position.replay.feed([event])
                if events or is_resumed:
                    yield events
                position.last = numbers.latest
                position.delivered += len(events)
                # Without exact numbers everything is read again and compared.
                if numbers.is_exact and not any(isinstance(e, TERMINAL_EVENTS) for e in recorded):
                    self._positions.note(run_id, position)

    async def _end(
        self,
        replay: ReplayFilter,
        end: RunFinished,
        run_id: str,
        agent: str | None,
        *,
        lenient: bool,
    ) -> list[Event]:
        """Return the end of a run and the answer that its record lacks."""
        events: list[Event] = []
        if end.output is None:
            run = await self._runs.settled(run_id, agent, lenient=lenient)
            if run is not None:
                events = replay.feed(usage_events(run.raw, model=run.model))
                end = replace(end, output=run.output)
        return events + self._answer_and_end(replay, end)
