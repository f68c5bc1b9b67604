"""Attach to a run by its thread's recorded events, and resume one whose stream broke off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from agentnb._http import HttpClient, current_options, quote_segment
from agentnb._support.text import well_formed
from agentnb.errors import DeadlineError, NotFoundError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import Event, RunFinished, RunStarted
from agentnb.platforms._bodies import parse_time
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.generic.records import RecordPosition, RecordReader
from agentnb.platforms.http_platform import read_rows
from agentnb.platforms.runtools.decoder import Decoder
from agentnb.platforms.runtools.run_lookup import RunLookup

_Rows = list[tuple[int, Mapping[str, Any]]]


class ThreadReader(RecordReader[Decoder]):
    """Reads the records of one account's threads, by polling while a run continues."""

    def __init__(
        self,
        http: HttpClient,
        lookup: RunLookup,
        *,
        name: str,
        poll_seconds: float,
        idle: float | None,
    ) -> None:
        super().__init__(http, Decoder, name=name)
        self._lookup = lookup
        self._poll_seconds = poll_seconds
        self._idle = idle

    async def follow(
        self,
        run_id: str | None,
        *,
        agent: str | None,
        session_id: str | None,
        delivered: Sequence[Event] = (),
        start: RunStarted | None = None,
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the recorded events of a run that are not among ``delivered``, until it has ended.

        The record is read from where it was left, the first time from its start.  ``start`` is
        yielded first, with the run's thread.  When resuming, a list is empty if a read has
        nothing new.

        Raises:
            DeadlineError: nothing new was recorded for as long as a stream may be silent.
            NotFoundError: the run's thread is unknown.
            RequestError: the run's id is unknown.
        """
        run_id = self._known_id(run_id)
        position = self._take(run_id, delivered)
        if position is None:
            session_id = session_id or await self._thread_of(run_id, agent)
            position = self._begin(run_id, session_id, delivered, last=-1)
        decoder = position.decoder
        if start is not None:
            yield position.replay.feed([replace(start, session_id=position.session_id)])
            position.delivered += 1
        last_news, is_first = time.monotonic(), True
        ended: RemoteRun | None = None
        while True:
            # Events that were read and are not yielded would be missing when resumed from here.
            self._positions.note(run_id, position)
            rows = await self._new_rows(run_id, position)
            self._positions.pop(run_id, None)
            events = self._new_events(
                position, [e for _, row in rows for e in _row_events(decoder, row)]
            )
            if rows:
                last_news = time.monotonic()
            if events or delivered:
                yield events
            position.last = max((number for number, _ in rows), default=position.last)
            position.delivered += len(events)
            if decoder.ended:
                return
            if ended is not None:
                # The record lacks the event that ends the run.
                end = decoder.close()
                if not decoder.ended and ended.status == "completed" and position.last >= 0:
                    end.append(RunFinished(output=ended.output))
                if events := self._new_events(position, end):
                    yield events
                return
            if is_first or not rows:
                is_first = False
                run = await self._state(run_id, agent)
                if run is not None and run.status in FINAL_STATUSES:
                    # Its last events may have been recorded since: read once more.
                    ended = run
                    continue
            self._check_silence(time.monotonic() - last_news)
            self._positions.note(run_id, position)
            await asyncio.sleep(self._poll_seconds)

    async def _state(self, run_id: str, agent: str | None) -> RemoteRun | None:
        return (await self._lookup.states([run_id], agent)).get(run_id)

    async def _thread_of(self, run_id: str, agent: str | None) -> str:
        run = await self._state(run_id, agent)
        if run is None or run.session_id is None:
            raise NotFoundError(
                f"{self._name} does not say in which thread the run {run_id} is.",
                hint="Give session=..., the id of the run's thread.",
            )
        return run.session_id

    async def _new_rows(self, run_id: str, position: RecordPosition[Decoder]) -> _Rows:
        """Return the new rows of the run with their numbers, in the record's order."""
        rows = await thread_rows(self._http, position.session_id or "")
        new: dict[int, Mapping[str, Any]] = {}
        for number, row in _numbered(rows):
            if number > position.last and row.get("runId") in (None, run_id):
                new.setdefault(number, row)
        return list(new.items())

    def _new_events(
        self, position: RecordPosition[Decoder], recorded: Sequence[Event]
    ) -> list[Event]:
        """Return the new ones of ``recorded``, with the answer if the record lacks it."""
        replay, events = position.replay, list[Event]()
        for event in recorded:
            if isinstance(event, RunFinished) and not replay.has_text_again:
                events += self._answer_and_end(replay, event)
            else:
                events += replay.feed([event])
        return events

    def _check_silence(self, seconds: float) -> None:
        deadlines = current_options().deadlines
        idle = self._idle if deadlines is None else deadlines.idle
        if idle is not None and seconds > idle:
            raise DeadlineError(
                f"{self._name} recorded nothing new for {idle:g} s.", deadline="idle", seconds=idle
            )


async def thread_rows(http: HttpClient, session_id: str) -> list[dict[str, Any]]:
    """Return the rows of a thread's record."""
    path = f"/v1/threads/{quote_segment(session_id)}/events"
    return read_rows((await http.request("GET", path)).data, "data events items")


def events_by_run(
    rows: Sequence[Mapping[str, Any]], *, session_id: str
) -> dict[str, list[tuple[datetime | None, Event]]]:
    """Return the events of each run in a thread's record, in order and with times, by run id."""
    runs: dict[str, list[tuple[datetime | None, Event]]] = {}
    decoders: dict[str, Decoder] = {}
    for _, row in _numbered(rows):
        run_id = row.get("runId")
        if not isinstance(run_id, str) or not run_id:
            continue
        run_id = well_formed(run_id)
        at = parse_time(row.get("createdAt"))
        if run_id not in decoders:
            decoders[run_id] = Decoder(run_id=run_id, session_id=session_id)
            runs[run_id] = [(at, RunStarted(run_id=run_id, session_id=session_id))]
        runs[run_id] += [(at, event) for event in _row_events(decoders[run_id], row)]
    for run_id, decoder in decoders.items():
        last = runs[run_id][-1][0]
        runs[run_id] += [(last, event) for event in decoder.finish()]
    return runs


def _numbered(rows: Sequence[Mapping[str, Any]]) -> _Rows:
    """Return rows in the record's order, each with its sequence number, else its index."""
    numbers = (row.get("sequence") for row in rows)
    numbered = [
        (number if type(number) is int else index, row)
        for index, (number, row) in enumerate(zip(numbers, rows, strict=True))
    ]
    return sorted(numbered, key=lambda pair: pair[0])


def _row_events(decoder: Decoder, row: Mapping[str, Any]) -> list[Event]:
    name, payload = row.get("type"), row.get("payload")
    return decoder.decode_frame(
        name if isinstance(name, str) else "", {} if payload is None else payload
    )
