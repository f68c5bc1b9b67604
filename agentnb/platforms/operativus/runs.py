"""Runs of one Operativus server: lists over their pages, states by id, and ids by session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agentnb._http import HttpClient, parse_date, quote_segment, side_request
from agentnb.errors import AgentnbError, PlatformError, RequestError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.platforms._params import did_you_mean
from agentnb.platforms._run_starts import RunStart
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.base_platform import Recent
from agentnb.platforms.http_platform import row_text
from agentnb.platforms.listing_platform import gather_limited
from agentnb.platforms.operativus.responses import STATUSES, ListPage, read_page, remote_run
from agentnb.platforms.operativus.server_times import ServerTimes, Window

_log = logging.getLogger(__name__)

_PAGE_SIZE: Final = 100
_MAX_BATCH_IDS: Final = 100
_NOT_FOUND: Final = (404, 405)
_SETTLE_DELAYS: Final = (0.0, 0.25, 0.5, 1.0)
_ROW_DELAY: Final = 0.25
# How long the row of a run may say that it is running after its stream ended, in seconds.
_MAX_ROW_LAG: Final = 3.0
# How far the server's time of a start may be before and after this machine's.
_MAX_EARLY: Final = timedelta(seconds=5)
_MAX_LATE: Final = timedelta(minutes=2)
# How long after its response a run may have started, if its time is to show the server's zone.
_MAX_START_DELAY: Final = timedelta(seconds=60)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_TIME_FIELDS: Final = ("createdAt", "startedAt", "updatedAt", "completedAt")
# How many runs of a session may start within the seconds that their times cannot distinguish.
_MAX_RUNS: Final = 32
_SEARCH_DELAYS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# How often, and for how many seconds each, the end of a stream waits for the last search.  Several
# short waits: a process that was suspended for longer has used up only one of them.
_LAST_WAITS: Final = 4
_LAST_WAIT: Final = 0.5


class Runs:
    """Requests the runs of one server, and learns the zone of its times from them."""

    def __init__(self, http: HttpClient, times: ServerTimes) -> None:
        self._http = http
        self.times = times
        # When runs started: by the server's Date header or (True) by this machine's clock.
        self._starts = Recent[tuple[Window, bool]]()
        # Until when the rows of ended runs may be outdated, by the event loop's clock.
        self._lag_until = Recent[float]()
        # The last runs of each session, which a search for the next one must not return.
        self._known = Recent[tuple[str, ...]]()
        self._requests = Recent[RunStart](1000)

    # --- rows -----------------------------------------------------------------------------------

    async def pages(self, path: str, params: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Yield every entry of a paged list once."""
        seen: set[str] = set()
        number = 0
        while True:
            query = {**params, "page": str(number), "size": str(_PAGE_SIZE)}
            page = await self._page(path, query)
            known = len(seen)
            for item in page.items:
                key = _row_id(item) or str(item)
                if key not in seen:
                    seen.add(key)
                    yield item
            number += 1
            # A server without pages sends the same list again: stop when there is nothing new.
            is_short = page.is_last is None and len(page.items) < _PAGE_SIZE
            if page.is_last or len(seen) == known or is_short:
                return

    async def _session_rows(self, session_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of a session's runs, from either of the two calls that servers have."""
        is_empty = True
        try:
            async for row in self.pages("/api/v1/runs", {"sessionId": session_id}):
                is_empty = False
                yield row
            return
        except PlatformError as error:
            if not is_empty or error.status not in _NOT_FOUND:
                raise
        async for row in self.pages(f"/api/sessions/{quote_segment(session_id)}/runs", {}):
            yield row

    async def _page(self, path: str, query: Mapping[str, str] | None = None) -> ListPage:
        """Request a page of rows or one row, and learn from the times in it."""
        response = await self._http.request("GET", path, params=query)
        data = response.data
        is_row = isinstance(data, dict) and ("id" in data or "runId" in data)
        page = read_page([data] if is_row else data)
        now = parse_date(response.headers.get("date", ""))
        if now is None:
            return page
        self.times.bound((row.get(name) for row in page.items for name in _TIME_FIELDS), now)
        ahead = now - datetime.now(UTC)
        for row in page.items:
            if (start := self._starts.get(_row_id(row) or "")) is not None:
                (first, last), is_local = start
                window = (first + ahead, last + ahead) if is_local else (first, last)
                self.times.learn(row.get("createdAt"), window, is_server_time=not is_local)
        return page

    async def _runs(self, path: str, query: Mapping[str, str] | None = None) -> list[RemoteRun]:
        page = await self._page(path, query)
        return [run for row in page.items if (run := remote_run(row, self.times)) is not None]

    def learn_starts(self, starts: Mapping[str, datetime]) -> None:
        """Note when runs started, by this machine's clock; aware times by a run's id."""
        for run_id, start in starts.items():
            if run_id not in self._starts:
                self._starts.note(run_id, ((start - _MAX_EARLY, start + _MAX_LATE), True))

    def note_end(self, run_id: str) -> None:
        """Note that a run's end was received; its row may say otherwise for a while."""
        self._lag_until.note(run_id, asyncio.get_running_loop().time() + _MAX_ROW_LAG)

    # --- lists and states -----------------------------------------------------------------------

    async def listed(
        self, *, agent: str | None, session_id: str | None, status: str | None, end: int | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield the runs that match all three filters, newest first.

        Raises:
            RequestError: the status is neither the platform's nor agentnb's.
        """
        statuses = _wire_statuses(status, platform=self._http.name)
        # The server applies one filter and silently ignores the others.
        query = {"agentId": agent} if agent is not None else {}
        if not query and len(statuses) == 1:
            query = {"status": statuses[0]}
        rows = self.pages("/api/v1/runs", query)
        if session_id is not None:
            rows = self._session_rows(session_id)
        async for row in rows:
            if (run := remote_run(row, self.times)) is None:
                continue
            run = await self._caught_up(run)
            wire_status = str(run.raw.get("status") or "").upper()
            if (
                (not statuses or wire_status in statuses)
                and agent in (None, run.agent)
                and session_id in (None, run.session_id)
            ):
                yield run

    async def states(self, run_ids: Sequence[str], agent: str | None) -> dict[str, RemoteRun]:
        """Return the state of each run by id; ids that the server does not know are absent."""
        ids = list(dict.fromkeys(run_ids))
        if agent is not None and len(ids) > 1:
            chunks = [ids[n : n + _MAX_BATCH_IDS] for n in range(0, len(ids), _MAX_BATCH_IDS)]
            lists = await gather_limited(self._batch(chunk, agent) for chunk in chunks)
            return {run.id: await self._caught_up(run) for runs in lists for run in runs}
        found: dict[str, RemoteRun] = {}
        if len(ids) > 1:
            # The batch call needs the agent.  Most requested runs are new, so that the first page
            # of all runs has most of them.
            query = {"page": "0", "size": str(_PAGE_SIZE)}
            try:
                newest = await self._runs("/api/v1/runs", query)
            except PlatformError as error:
                if error.status not in (400, 403, *_NOT_FOUND):
                    raise
                newest = []
            found = {run.id: await self._caught_up(run) for run in newest if run.id in ids}
        others = await gather_limited(self.state(i, agent) for i in ids if i not in found)
        return found | {run.id: run for run in others if run is not None}

    async def state(self, run_id: str, agent: str | None) -> RemoteRun | None:
        """Return one run's state, None if the server does not know it."""
        run = await self._state(run_id, agent)
        return None if run is None else await self._caught_up(run)

    async def settled(self, run_id: str, agent: str | None, *, lenient: bool) -> RemoteRun | None:
        """Return an ended run with its output; None if it cannot be fetched.

        The row may say RUNNING for a while after the end, so it is requested a few times.  Errors
        are raised unless ``lenient``.
        """
        for delay in _SETTLE_DELAYS:
            await asyncio.sleep(delay)
            try:
                if agent is None:
                    run = await self.state(run_id, None)
                else:
                    # Of the two calls, this one returns the output on every server.
                    run = next(iter(await self._batch([run_id], agent)), None)
                    if run is not None and not run.output and run.status == "completed":
                        run = await self.state(run_id, agent) or run
            except AgentnbError as error:
                if not lenient:
                    raise
                _log.info("Cannot fetch the result of an attached run: %s", error)
                return None
            if run is None or run.output or run.status in FINAL_STATUSES:
                return run
        return None

    async def _state(self, run_id: str, agent: str | None) -> RemoteRun | None:
        segment = quote_segment(run_id)
        paths = [f"/api/v1/runs/{segment}"]
        if agent is not None:
            paths.insert(0, f"/api/agents/{quote_segment(agent)}/runs/{segment}/status")
        for path in paths:
            try:
                if runs := await self._runs(path):
                    return runs[0]
            except PlatformError as error:
                if error.status not in _NOT_FOUND:
                    raise
        return None

    async def _batch(self, run_ids: Sequence[str], agent: str) -> list[RemoteRun]:
        path = f"/api/agents/{quote_segment(agent)}/runs/status"
        return await self._runs(path, {"runIds": ",".join(run_ids)})

    async def _caught_up(self, run: RemoteRun) -> RemoteRun:
        """Return a run, once its row has the end that was received."""
        until = self._lag_until.get(run.id, 0.0)
        loop = asyncio.get_running_loop()
        while run.status not in FINAL_STATUSES and loop.time() < until:
            await asyncio.sleep(_ROW_DELAY)
            try:
                run = await self._state(run.id, None) or run
            except AgentnbError as error:
                _log.info("Cannot fetch a run's state again: %s", error)
                break
        return run

    # --- ids by session -------------------------------------------------------------------------

    def note_request(self, session_id: str, *, fresh: bool) -> RunStart:
        """Note that a run is about to be requested; ``fresh``: in a session made for it."""
        known = self._known.get(session_id, ())
        return self._requests.note(session_id, RunStart(fresh=fresh, known=known))

    def latest_request(self, session_id: str, *, fresh: bool = False) -> RunStart:
        """Return the latest run request in a session; ``fresh``: the session was made for it."""
        latest = None if fresh else self._requests.get(session_id)
        return latest or RunStart(fresh=fresh)

    def note_run(self, session_id: str, run_id: str, request: RunStart) -> None:
        """Note the run that ``request`` started."""
        if (window := request.began(within=_MAX_START_DELAY)) is not None:
            self._starts.note(run_id, (window, False))
        known = (known for known in self._known.get(session_id, ()) if known != run_id)
        self._known.note(session_id, (*known, run_id)[-_MAX_RUNS:])

    async def find(
        self, session_id: str, agent: str | None, request: RunStart, *, running: bool = False
    ) -> str | None:
        """Return the id of the run that ``request`` started; with ``running``, if it has not ended.

        In a fresh session it is the first run.  In another it is the first that started after the
        request.  If no run fits by its time, the newest one may show the server's offset from UTC,
        if its time is off by whole quarters of an hour.
        """
        if not request.can_tell:
            return None
        times = self.times
        listed = [remote_run(row, times) async for row in self._session_rows(session_id)]
        runs = [run for run in listed if run is not None and run.session_id == session_id]
        matching = [
            run
            for run in runs
            # Runs that a team's run started on its members are in the same session.
            if not run.raw.get("parentRunId")
            and (agent is None or run.agent in (None, agent))
            and not (running and run.status in FINAL_STATUSES)
            and (request.is_fresh or not request.is_known(run.id))
        ]
        window, narrow = request.began(), request.began(within=_MAX_START_DELAY)
        if not request.is_fresh and window is not None and narrow is not None:

            def fits(run: RemoteRun) -> bool:
                return times.fits(run.raw.get("createdAt"), window)

            newest = max(runs, key=lambda run: run.created_at or _EARLIEST, default=None)
            if newest is not None and newest in matching and not any(map(fits, matching)):
                times.learn_offset(newest.raw.get("createdAt"), narrow)
            matching = list(filter(fits, matching))
        first = min(matching, key=lambda run: run.created_at or _LATEST, default=None)
        if first is None:
            return None
        if narrow is not None:
            times.learn(first.raw.get("createdAt"), narrow)
        return first.id


class RunIdSearch:
    """Background search for the id of a run while it streams.

    Errors are logged only: a run without an id is better than a broken stream.
    """

    def __init__(self, runs: Runs, session_id: str, agent: str, request: RunStart) -> None:
        self._runs = runs
        self._arguments = (session_id, agent, request)
        # The task must not use up the run's deadlines.
        with side_request():
            self._task = asyncio.create_task(self._search(request))

    @property
    def result(self) -> str | None:
        """The run's id, None if it is not found so far."""
        return self._task.result() if self._task.done() else None

    async def last_result(self) -> str | None:
        """Return the run's id, after a last try for which the stream's end may wait."""
        if self.result is not None:
            return self.result
        with side_request():
            last_try = asyncio.create_task(self._runs.find(*self._arguments))
        try:
            for _ in range(_LAST_WAITS):
                if (await asyncio.wait({last_try}, timeout=_LAST_WAIT))[0]:
                    return last_try.result()
        except AgentnbError:
            pass
        finally:
            last_try.cancel()
        return None

    def cancel(self) -> None:
        self._task.cancel()

    async def _search(self, request: RunStart) -> str | None:
        for delay in _SEARCH_DELAYS:
            await asyncio.sleep(delay)
            try:
                run_id = await self._runs.find(*self._arguments)
            except AgentnbError as error:
                _log.info("Cannot find the id of a run: %s", error)
                return None
            if run_id is not None or not request.can_tell:
                return run_id
        return None


def _row_id(row: Mapping[str, Any]) -> str | None:
    return row_text(row, "id runId")


def _wire_statuses(status: str | None, *, platform: str) -> list[str]:
    if status is None:
        return []
    matching = [name for name, meaning in STATUSES.items() if meaning == status.lower()]
    if status in STATUSES or not matching:
        matching = [status.upper()]
    if matching[0] not in STATUSES:
        raise RequestError(
            f"{platform} has no run status {status!r}.",
            hint=did_you_mean(status.lower(), set(STATUSES.values())),
        )
    return matching
