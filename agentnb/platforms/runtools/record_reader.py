"""Attach to a run by its thread's recorded events, and resume one whose stream broke off."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agentnb._http import HttpClient, current_options, quote_segment
from agentnb.errors import DeadlineError, NotFoundError, RequestError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import Event, RunFinished, RunStarted
from agentnb.platforms._bodies import parse_time
from agentnb.platforms._replay_filter import ReplayFilter, incomplete
from agentnb.platforms._wire import mend
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.runtools.decoder import Decoder
from agentnb.platforms.runtools.responses import read_rows

__all__ = ["ThreadReader", "events_by_run", "thread_rows"]

# How many positions in records to remember.  Most are resumed at once or never; a forgotten one is
# read again from the start.
_MAX_POSITIONS: Final = 32


@dataclass(slots=True, eq=False)
class _ThreadPosition:
    """How far a run's record was read, and the state to continue there.

    ``delivered`` is how many events the reader had then.
    """

    session_id: str
    decoder: Decoder
    replay: ReplayFilter
    last: int = -1
    delivered: int = 0


class ThreadReader:
    """Reads the records of one account's threads, by polling while a run continues.

    ``run_state`` returns a run by its id and agent, None if it is unknown.
    """

    def __init__(
        self,
        http: HttpClient,
        *,
        name: str,
        run_state: Callable[[str, str | None], Awaitable[RemoteRun | None]],
        poll_seconds: float,
        idle: float | None,
    ) -> None:
        self._http = http
        self._name = name
        self._run_state = run_state
        self._poll_seconds = poll_seconds
        self._idle = idle
        self._positions: OrderedDict[str, _ThreadPosition] = OrderedDict()

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
        if run_id is None:
            raise RequestError(f"{self._name} did not send the id of this run.")
        position = self._positions.pop(run_id, None)
        if position is None or position.delivered != len(delivered):
            session_id = session_id or await self._thread_of(run_id, agent)
            decoder = Decoder(run_id=run_id, session_id=session_id)
            position = _ThreadPosition(
                session_id, decoder, ReplayFilter(delivered), delivered=len(delivered)
            )
        if start is not None:
            started = RunStarted(
                run_id=run_id, session_id=position.session_id, agent=start.agent, model=start.model
            )
            yield position.replay.feed([started])
            position.delivered += 1
        last_news, is_first = time.monotonic(), True
        ended: RemoteRun | None = None
        while True:
            # Events that were read and are not yielded would be missing when resumed from here.
            self._remember(run_id, position)
            rows = await self._new_rows(run_id, position)
            self._positions.pop(run_id, None)
            recorded = [e for _, row in rows for e in _row_events(position.decoder, row)]
            events = self._new_events(position, recorded)
            if rows:
                last_news = time.monotonic()
            if events or delivered:
                yield events
            position.last = max((number for number, _ in rows), default=position.last)
            position.delivered += len(events)
            if position.decoder.ended:
                return
            if ended is not None:
                if events := self._new_events(position, _missing_end(position, ended)):
                    yield events
                return
            # A record may lack the event that ends the run.
            if is_first or not rows:
                is_first = False
                run = await self._run_state(run_id, agent)
                if run is not None and run.status in FINAL_STATUSES:
                    # Its last events may have been recorded since: read once more.
                    ended = run
                    continue
            self._check_silence(time.monotonic() - last_news)
            self._remember(run_id, position)
            await asyncio.sleep(self._poll_seconds)

    def forget(self, run_id: str) -> None:
        """Drop the position in a run's record, with the events delivered so far."""
        self._positions.pop(run_id, None)

    async def _thread_of(self, run_id: str, agent: str | None) -> str:
        run = await self._run_state(run_id, agent)
        if run is None or run.session_id is None:
            raise NotFoundError(
                f"{self._name} does not say in which thread the run {run_id} is.",
                hint="Give session=..., the id of the run's thread.",
            )
        return run.session_id

    async def _new_rows(
        self, run_id: str, position: _ThreadPosition
    ) -> list[tuple[int, Mapping[str, Any]]]:
        """Return the new rows of the run with their numbers, in the record's order."""
        rows = await thread_rows(self._http, position.session_id)
        new: dict[int, Mapping[str, Any]] = {}
        for number, row in _numbered(rows):
            if number > position.last and row.get("runId") in (None, run_id):
                new.setdefault(number, row)
        return list(new.items())

    def _new_events(self, position: _ThreadPosition, recorded: Sequence[Event]) -> list[Event]:
        """Return the new ones of ``recorded``.

        If the record does not repeat the delivered text, the rest of it comes from the run's end,
        which has the whole answer; for an end with another answer see `incomplete`.
        """
        replay, events = position.replay, list[Event]()
        for event in recorded:
            if not isinstance(event, RunFinished) or replay.has_text_again:
                events += replay.feed([event])
            elif (rest := replay.complete(event.output)) is not None:
                events += [*rest, event]
            else:
                events += incomplete(event.output or "", platform=self._name)
        return events

    def _check_silence(self, seconds: float) -> None:
        deadlines = current_options().deadlines
        idle = self._idle if deadlines is None else deadlines.idle
        if idle is not None and seconds > idle:
            raise DeadlineError(
                f"{self._name} recorded nothing new for {idle:g} s.", deadline="idle", seconds=idle
            )

    def _remember(self, run_id: str, position: _ThreadPosition) -> None:
        self._positions[run_id] = position
        while len(self._positions) > _MAX_POSITIONS:
            self._positions.popitem(last=False)


async def thread_rows(http: HttpClient, session_id: str) -> list[dict[str, Any]]:
    """Return the rows of a thread's record."""
    path = f"/v1/threads/{quote_segment(session_id)}/events"
    return read_rows((await http.request("GET", path)).data, "events", "items")


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
        run_id = mend(run_id)
        at = parse_time(row.get("createdAt"))
        if run_id not in decoders:
            decoders[run_id] = Decoder(run_id=run_id, session_id=session_id)
            runs[run_id] = [(at, RunStarted(run_id=run_id, session_id=session_id))]
        runs[run_id] += [(at, event) for event in _row_events(decoders[run_id], row)]
    for run_id, decoder in decoders.items():
        last = runs[run_id][-1][0]
        runs[run_id] += [(last, event) for event in decoder.finish()]
    return runs


def _numbered(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return rows in the record's order, each with its sequence number, else its index."""
    numbered: list[tuple[int, Mapping[str, Any]]] = []
    for index, row in enumerate(rows):
        number = row.get("sequence")
        if not isinstance(number, int) or isinstance(number, bool):
            number = index
        numbered.append((number, row))
    return sorted(numbered, key=lambda pair: pair[0])


def _row_events(decoder: Decoder, row: Mapping[str, Any]) -> list[Event]:
    name, payload = row.get("type"), row.get("payload")
    return decoder.decode_frame(
        name if isinstance(name, str) else "", {} if payload is None else payload
    )


def _missing_end(position: _ThreadPosition, run: RemoteRun) -> list[Event]:
    """Return the end of a run that has ended, if its record has events and no end."""
    events = position.decoder.close()
    if position.decoder.ended or run.status != "completed" or position.last < 0:
        return events
    return [*events, RunFinished(output=run.output)]
