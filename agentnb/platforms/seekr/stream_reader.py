"""Read the stream of one run, and look up what the stream omits: the run's id and its usage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agentnb._http import side_request
from agentnb.errors import AgentnbError, TransportError
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
    UsageReported,
)
from agentnb.platforms._run_starts import RunStart
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.responses import duration_of, is_over, usage_event
from agentnb.platforms.seekr.run_state import (
    ReattachedStream,
    RunLocation,
    RunRegistry,
    StreamState,
)
from agentnb.platforms.seekr.wire import Run

if TYPE_CHECKING:
    from agentnb._http.response import Response

_log = logging.getLogger(__name__)

# Longest delay of a run's terminal event for the lookup of its record, in seconds.
_LOOKUP_TIMEOUT: Final = 2.0
# A record may still say "running" for a moment after the stream has ended, in seconds.
_RECORD_DELAY: Final = 0.25
# Runs listed to find one in a thread that existed before.
_NEWEST_RUNS: Final = 10


class StreamReader:
    """One run's stream.

    The stream need not carry the run's id and never carries its usage.  The id is looked up while
    the stream is read, without delaying it; the usage at its end.

    ``request`` tells the run from others of the thread while its id is unknown; once it is known,
    the location of the run, with its ``agent``, is added to ``registry``.  ``decoder`` turns
    frames into events; ``ended`` is true after the run's terminal event.  If the stream breaks
    without one, text that is held back (half a character) is not flushed: a resumed stream may
    complete it.
    """

    def __init__(
        self,
        api: SeekrApi,
        thread_id: str,
        *,
        run_id: str | None = None,
        request: RunStart | None = None,
        registry: RunRegistry | None = None,
        agent: str | None = None,
    ) -> None:
        self.thread_id = thread_id
        self.run_id = run_id
        self.api = api
        self.decoder: StreamState | ReattachedStream = StreamState()
        self.ended = False
        self._request = request or RunStart(fresh=False)
        self._registry = registry
        self._agent = agent
        self._has_usage = False

    async def read(self, response: Response) -> AsyncGenerator[list[Event], None]:
        """Yield the stream's events in batches; closing the generator stops the lookup, too."""
        lookup: asyncio.Task[str | None] | None = None
        try:
            async for frames in response.batches():
                events = self.decoder.decode(frames)
                end = self._inspect(events)
                if self.run_id is None:
                    if lookup is None:
                        # The deadlines of the run do not apply to the lookup.
                        with side_request():
                            lookup = asyncio.create_task(self._try_find_id())
                    elif lookup.done() and (run_id := lookup.result()) is not None:
                        self._set_id(run_id)
                        events.insert(0, self._started())
                        end = None if end is None else end + 1
                if end is None or self.ended:
                    if events:
                        yield events
                    continue
                self.ended = True
                if end:
                    yield events[:end]
                yield await self._finalize(lookup, events[end:])
            if started := await self._identify(lookup):
                yield started
        except TransportError:
            if started := await self._identify(lookup):
                yield started
            raise
        finally:
            if lookup is not None:
                lookup.cancel()
                await asyncio.gather(lookup, return_exceptions=True)

    async def find_id(self) -> str | None:
        """Look up the run's id in the thread; None if it cannot be determined.

        Raises:
            AgentnbError: the request failed.
        """
        if self._request.is_fresh:
            active = (await self.api.thread(self.thread_id)).active_run_id
            if active is not None:
                return active
        # In a thread that existed before, another client may have started the active run.
        run = await self._find_listed()
        return None if run is None else run.id

    async def _try_find_id(self) -> str | None:
        try:
            return await self.find_id()
        except AgentnbError as error:
            _log.info("The id of a run could not be looked up: %s", error)
            return None

    async def _find_listed(self) -> Run | None:
        if not self._request.can_tell:
            return None
        count = 1 if self._request.is_fresh else _NEWEST_RUNS
        newest_first = await self.api.list_runs(self.thread_id, limit=count)
        runs = [run for run in newest_first if self._request.may_be(run.id, run.created_at)]
        # Of several started since the request, the run is the oldest.
        return runs[-1] if runs else None

    def _set_id(self, run_id: str | None) -> None:
        if run_id not in (None, self.run_id) and self._registry is not None:
            self._registry.add(run_id, RunLocation(self.thread_id, self._agent, self.api))
        self.run_id = run_id

    def _started(self) -> RunStarted:
        return RunStarted(run_id=self.run_id, session_id=self.thread_id)

    def _inspect(self, events: list[Event]) -> int | None:
        """Record the run's id and usage; return the index of the first terminal event."""
        end: int | None = None
        if set(map(type, events)) == {TextDelta}:
            return end  # nearly always
        for index, event in enumerate(events):
            if isinstance(event, RunStarted):
                self._set_id(self.run_id or event.run_id)
            elif isinstance(event, UsageReported):
                self._has_usage = True
            elif end is None and isinstance(event, TERMINAL_EVENTS):
                end = index
        return end

    async def _identify(self, lookup: asyncio.Task[str | None] | None) -> list[Event]:
        """Return a broken run's id, if unknown so far: status and reattaching need it."""
        if self.ended or self.run_id is not None:
            return []
        # Usage is not final yet.
        return [e for e in await self._finalize(lookup, []) if isinstance(e, RunStarted)]

    async def _finalize(
        self, lookup: asyncio.Task[str | None] | None, ending: list[Event]
    ) -> list[Event]:
        """Return ``ending``, preceded by id, model and usage from the run's record."""
        if self.run_id is not None and self._has_usage:
            return ending
        had_id = self.run_id is not None
        run: Run | None = None
        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT):
                if self.run_id is None and lookup is not None:
                    self._set_id(await asyncio.shield(lookup))
                run = await self._record()
        except (AgentnbError, TimeoutError) as error:
            _log.info("The usage of a run could not be looked up: %s", error)
        if run is None:
            return ending if had_id or self.run_id is None else [self._started(), *ending]
        self._set_id(run.id)
        events: list[Event] = []
        if not had_id or run.model:
            events.append(replace(self._started(), model=run.model))
        if not self._has_usage and (usage := usage_event(run)) is not None:
            events.append(usage)
        if ending and isinstance(end := ending[0], RunFinished):
            ending = [replace(end, duration=end.duration or duration_of(run)), *ending[1:]]
        return [*events, *ending]

    async def _record(self) -> Run | None:
        run: Run | None = None
        for attempt in range(2):
            if attempt:
                await asyncio.sleep(_RECORD_DELAY)
            if self.run_id is not None:
                run = await self.api.run(self.thread_id, self.run_id)
            else:
                run = await self._find_listed()
            if run is None or is_over(run) or usage_event(run) is not None:
                break
        return run
