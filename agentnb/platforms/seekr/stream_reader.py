"""Reads the stream of one run, and learns beside it what the stream does not say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

from agentnb._http import EventStream, aside
from agentnb.errors import AgentnbError, TransportError
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
    UsageReported,
)
from agentnb.platforms._run_starts import Asked
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.responses import duration_of, is_over, usage_event
from agentnb.platforms.seekr.stream_state import Heard, Hearing
from agentnb.platforms.seekr.wire import Run

__all__ = ["StreamReader"]

_log = logging.getLogger(__name__)

# How long the end of a run may wait for what the platform knows of it (seconds).
_AFTERWORD: Final = 2.0
# How long a run may still be listed as going after its stream has ended (seconds).
_SETTLING: Final = 0.25
# How many of an older thread's runs are looked through.
_NEWEST: Final = 10


class StreamReader:
    """One run's stream.

    The stream need not carry the run's id, and never carries its usage.  The id is looked for
    while the stream is read, without holding it up; the usage when it ends.

    ``asked`` tells the run from others of the thread, where its id is not known.  ``heard`` turns
    its frames into events; ``ended`` is true once the run's end has come.  What is held back when
    the stream ends without that, half a character for example, is not shown: the rest may come
    where the stream is taken up again.
    """

    def __init__(
        self,
        api: SeekrApi,
        thread_id: str,
        *,
        run_id: str | None = None,
        asked: Asked | None = None,
    ) -> None:
        self.thread_id = thread_id
        self.run_id = run_id
        self.api = api
        self.heard: Hearing = Heard()
        self.ended = False
        self._asked = asked or Asked(fresh=False)
        self._has_usage = False

    async def follow(self, answer: EventStream) -> AsyncGenerator[list[Event], None]:
        """Yield the stream's events in batches; close the generator to stop looking, too."""
        search: asyncio.Task[str | None] | None = None
        try:
            async for frames in answer.batches():
                events = self.heard.take(frames)
                cut = self._note(events)
                if self.run_id is None:
                    if search is None:
                        # A wait of this task is none of the run's.
                        with aside():
                            search = asyncio.create_task(self._search())
                    elif search.done() and (found := search.result()) is not None:
                        self.run_id = found
                        events.insert(0, self._started())
                        cut = None if cut is None else cut + 1
                if cut is None or self.ended:
                    if events:
                        yield events
                    continue
                self.ended = True
                if cut:
                    yield events[:cut]
                yield await self._afterword(search, events[cut:])
            if self._is_nameless and (news := await self._name(search)):
                # Whoever asks how the run ended, or joins it again, will need its id.
                yield news
        except TransportError:
            if self._is_nameless and (news := await self._name(search)):
                yield news
            raise
        finally:
            if search is not None:
                search.cancel()
                await asyncio.gather(search, return_exceptions=True)

    async def find(self) -> str | None:
        """Return the run's id by what the platform knows of the thread; None where it does not.

        Raises:
            AgentnbError: the platform could not be asked.
        """
        if self._asked.is_fresh:
            active = (await self.api.thread(self.thread_id)).active_run_id
            if active is not None:
                return active
        # In a thread that is older, the active run may be somebody else's, too.
        found = await self._listed()
        return None if found is None else found.id

    async def _search(self) -> str | None:
        try:
            return await self.find()
        except AgentnbError as error:
            _log.info("The id of a run could not be found: %s", error)
            return None

    async def _listed(self) -> Run | None:
        """Return the run as the thread lists it."""
        if not self._asked.can_tell:
            return None
        count = 1 if self._asked.is_fresh else _NEWEST
        newest_first = await self.api.list_runs(self.thread_id, limit=count)
        runs = [run for run in newest_first if self._asked.may_be(run.id, run.created_at)]
        # Of several that began since, it is the first.
        return runs[-1] if runs else None

    @property
    def _is_nameless(self) -> bool:
        """Whether it broke off and its id is not known."""
        return not self.ended and self.run_id is None

    def _started(self) -> RunStarted:
        return RunStarted(run_id=self.run_id, session_id=self.thread_id)

    def _note(self, events: list[Event]) -> int | None:
        """Remember what events tell of the run; return the place of the first that ends it."""
        end: int | None = None
        if set(map(type, events)) == {TextDelta}:
            return end  # as nearly always, and a stream has many
        for place, event in enumerate(events):
            if isinstance(event, RunStarted):
                self.run_id = self.run_id or event.run_id
            elif isinstance(event, UsageReported):
                self._has_usage = True
            elif end is None and isinstance(event, TERMINAL_EVENTS):
                end = place
        return end

    async def _name(self, search: asyncio.Task[str | None] | None) -> list[Event]:
        """Return who this was, where it can be found out; what it used is not over yet."""
        news = await self._afterword(search, [])
        return [event for event in news if isinstance(event, RunStarted)]

    async def _afterword(
        self, search: asyncio.Task[str | None] | None, ending: list[Event]
    ) -> list[Event]:
        """Return ``ending``, preceded by what the platform's own record of the run adds."""
        if self.run_id is not None and self._has_usage:
            return ending
        was_known = self.run_id is not None
        try:
            async with asyncio.timeout(_AFTERWORD):
                if self.run_id is None and search is not None:
                    self.run_id = await asyncio.shield(search)
                run = await self._record()
        except (AgentnbError, TimeoutError) as error:
            _log.info("What a run used could not be found: %s", error)
            run = None
        news: list[Event] = []
        if run is not None:
            self.run_id = run.id
        if self.run_id is not None and (not was_known or (run is not None and run.model)):
            news.append(replace(self._started(), model=run.model if run is not None else None))
        if run is not None and not self._has_usage and (usage := usage_event(run)) is not None:
            news.append(usage)
        if ending and run is not None and isinstance(last := ending[0], RunFinished):
            ending = [replace(last, duration=last.duration or duration_of(run)), *ending[1:]]
        return [*news, *ending]

    async def _record(self) -> Run | None:
        run: Run | None = None
        for attempt in range(2):
            if attempt:
                await asyncio.sleep(_SETTLING)
            if self.run_id is not None:
                run = await self.api.run(self.thread_id, self.run_id)
            else:
                run = await self._listed()
            if run is None or is_over(run) or usage_event(run) is not None:
                break
        return run
