"""Joining a run by its thread's recorded events, and taking up one whose stream broke off."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from agentnb._http import HttpClient, current_terms, quote_segment
from agentnb.errors import DeadlineError, NotFoundError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import Event, RunFinished, RunStarted
from agentnb.platforms._replay_filter import Splice, incomplete
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.runtools.decoder import Decoder
from agentnb.platforms.runtools.responses import read_rows
from agentnb.platforms.runtools.thread_record import recorded, sequence

__all__ = ["Joining"]

# How many records that are being read to remember the place in.  Most are read on at once or never;
# one that is forgotten is read again from its beginning.
_REMEMBERED: Final = 32


class Status(Protocol):
    """`Platform.status`."""

    def __call__(
        self, run_ids: Sequence[str], *, agent: str | None = ...
    ) -> Awaitable[dict[str, RemoteRun]]: ...


@dataclass(slots=True, eq=False)
class _Reading:
    """How far a run's record was read, and what is needed to go on there.

    ``delivered`` is how many events the reader had when it was left.
    """

    session_id: str
    decoder: Decoder
    splice: Splice
    last: int = -1
    delivered: int = 0


class Joining:
    """Reads the records of one account's threads, again and again while a run goes on."""

    def __init__(
        self,
        http: HttpClient,
        *,
        name: str,
        status: Status,
        poll_seconds: float,
        idle: float | None,
    ) -> None:
        self._http = http
        self._name = name
        self._status = status
        self._poll_seconds = poll_seconds
        self._idle = idle
        self._readings: OrderedDict[str, _Reading] = OrderedDict()

    async def follow(
        self,
        run_id: str,
        *,
        agent: str | None,
        session_id: str | None,
        delivered: Sequence[Event] = (),
        begin: RunStarted | None = None,
    ) -> AsyncGenerator[list[Event], None]:
        """Yield what is recorded of a run and not among ``delivered``, until the run has ended.

        The record is read from where it was left, the first time from its beginning.  ``begin``,
        with its thread, is yielded before it.  Where something was delivered, a list is empty
        where nothing is new.

        Raises:
            DeadlineError: nothing new was recorded for as long as a stream may be silent.
            NotFoundError: no thread was given, and none is known to hold this run.
        """
        reading = self._readings.pop(run_id, None)
        if reading is None or reading.delivered != len(delivered):
            session_id = session_id or await self._thread_of(run_id, agent)
            decoder = Decoder(run_id=run_id, session_id=session_id)
            reading = _Reading(session_id, decoder, Splice(delivered), delivered=len(delivered))
        if begin is not None:
            started = RunStarted(
                run_id=run_id, session_id=reading.session_id, agent=begin.agent, model=begin.model
            )
            yield reading.splice.feed([started])
            reading.delivered += 1
        heard, is_first = time.monotonic(), True
        ended: RemoteRun | None = None
        while True:
            # What was read and is not yielded yet would be lost to whoever goes on from here.
            self._remember(run_id, reading)
            rows = await self._rows(run_id, reading)
            self._readings.pop(run_id, None)
            told = [event for _, row in rows for event in recorded(reading.decoder, row)]
            events = self._fresh(reading, told)
            if rows:
                heard = time.monotonic()
            if events or delivered:
                yield events
            reading.last = max((number for number, _ in rows), default=reading.last)
            reading.delivered += len(events)
            if reading.decoder.ended:
                return
            if ended is not None:
                if events := self._fresh(reading, _end_of_record(reading, ended)):
                    yield events
                return
            # A record may lack an event that is known to end the run.
            if is_first or not rows:
                is_first = False
                run = (await self._status([run_id], agent=agent)).get(run_id)
                if run is not None and run.status in FINAL_STATUSES:
                    # Its last events may have come since they were asked for: once more.
                    ended = run
                    continue
            self._check_silence(time.monotonic() - heard)
            self._remember(run_id, reading)
            await asyncio.sleep(self._poll_seconds)

    def forget(self, run_id: str) -> None:
        """Let go of how far a record was read, with all that was delivered of its run."""
        self._readings.pop(run_id, None)

    async def _thread_of(self, run_id: str, agent: str | None) -> str:
        known = (await self._status([run_id], agent=agent)).get(run_id)
        if known is None or known.session_id is None:
            raise NotFoundError(
                f"{self._name} does not tell in which thread the run {run_id} is.",
                hint="Give session=..., the id of the run's thread.",
            )
        return known.session_id

    async def _rows(self, run_id: str, reading: _Reading) -> list[tuple[int, dict[str, Any]]]:
        """Return what is new of the run, in the record's order, each once."""
        path = f"/v1/threads/{quote_segment(reading.session_id)}/events"
        rows = read_rows((await self._http.request("GET", path)).data, "events", "items")
        found: dict[int, dict[str, Any]] = {}
        for place, row in enumerate(rows):
            number = sequence(row, place)
            if number > reading.last and row.get("runId") in (None, run_id):
                found.setdefault(number, row)
        return sorted(found.items(), key=lambda pair: pair[0])

    def _fresh(self, reading: _Reading, told: Sequence[Event]) -> list[Event]:
        """Return what of ``told`` is new.

        Where the record does not repeat the text that was delivered, the rest of it comes from the
        run's end, which has the whole answer; where that is another one, see `incomplete`.
        """
        splice, events = reading.splice, list[Event]()
        for event in told:
            if not isinstance(event, RunFinished) or splice.has_text_again:
                events += splice.feed([event])
            elif (rest := splice.complete(event.output)) is not None:
                events += [*rest, event]
            else:
                events += incomplete(event.output or "", platform=self._name)
        return events

    def _check_silence(self, seconds: float) -> None:
        terms = current_terms().deadlines
        idle = self._idle if terms is None else terms.idle
        if idle is not None and seconds > idle:
            raise DeadlineError(
                f"{self._name} recorded nothing new for {idle:g} s.", deadline="idle", seconds=idle
            )

    def _remember(self, run_id: str, reading: _Reading) -> None:
        self._readings[run_id] = reading
        while len(self._readings) > _REMEMBERED:
            self._readings.popitem(last=False)


def _end_of_record(reading: _Reading, run: RemoteRun) -> list[Event]:
    """Return the end of a run that has ended, where its record was read and holds none."""
    events = reading.decoder.close()
    if reading.decoder.ended or run.status != "completed" or reading.last < 0:
        return events
    return [*events, RunFinished(output=run.output)]
