"""Runs of one Operativus server: lists over their pages, and states by id."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from agentnb._http import HttpClient, parse_date, quote_segment
from agentnb.errors import AgentnbError, PlatformError, RequestError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.platforms._params import did_you_mean
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.http_platform import Recent
from agentnb.platforms.operativus.responses import STATUSES, ListPage, read_page, remote_run
from agentnb.platforms.operativus.server_times import ServerTimes, Window

_log = logging.getLogger(__name__)

_PAGE_SIZE: Final = 100
_MAX_BATCH_IDS: Final = 100
_MAX_CONCURRENT: Final = 4
_SETTLE_DELAYS: Final = (0.0, 0.25, 0.5, 1.0)
_ROW_DELAY: Final = 0.25
# How long the row of a run may say that it is running after its stream ended, in seconds.
_MAX_ROW_LAG: Final = 3.0
# How far the server's time of a start may be before and after this machine's.
_MAX_EARLY: Final = timedelta(seconds=5)
_MAX_LATE: Final = timedelta(minutes=2)
_TIME_FIELDS: Final = ("createdAt", "startedAt", "updatedAt", "completedAt")

T = TypeVar("T")


class RunLookup:
    """Requests runs of one server, and learns the zone of its times from them."""

    def __init__(self, http: HttpClient, times: ServerTimes) -> None:
        self._http = http
        self.times = times
        # When runs started: by the server's Date header or (True) by this machine's clock.
        self._starts = Recent[tuple[Window, bool]]()
        # Until when the rows of ended runs may be outdated, by the event loop's clock.
        self._lag_until = Recent[float]()

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
                key = str(item.get("id") or item.get("runId") or item)
                if key not in seen:
                    seen.add(key)
                    yield item
            number += 1
            # A server without pages sends the same list again: stop when there is nothing new.
            is_short = page.is_last is None and len(page.items) < _PAGE_SIZE
            if page.is_last or len(seen) == known or is_short:
                return

    async def session_rows(self, session_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of a session's runs, from either of the two calls that servers have."""
        is_empty = True
        try:
            async for row in self.pages("/api/v1/runs", {"sessionId": session_id}):
                is_empty = False
                yield row
            return
        except PlatformError as error:
            if not is_empty or error.status not in (404, 405):
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
            start = self._starts.get(str(row.get("id") or row.get("runId")))
            if start is not None:
                window, is_local = start
                if is_local:
                    window = (window[0] + ahead, window[1] + ahead)
                self.times.learn(row.get("createdAt"), window, is_server_time=not is_local)
        return page

    def learn_starts(self, starts: Mapping[str, datetime]) -> None:
        """Note when runs started, by this machine's clock; aware times by a run's id."""
        for run_id, start in starts.items():
            if run_id not in self._starts:
                self._starts.note(run_id, ((start - _MAX_EARLY, start + _MAX_LATE), True))

    def note_start(self, run_id: str, window: Window) -> None:
        """Note when a run started, by the server's clock."""
        self._starts.note(run_id, (window, False))

    def note_end(self, run_id: str) -> None:
        """Note that a run's end was received; its row may say otherwise for a while."""
        self._lag_until.note(run_id, asyncio.get_running_loop().time() + _MAX_ROW_LAG)

    # --- lists ----------------------------------------------------------------------------------

    async def listed(
        self,
        *,
        agent: str | None,
        session_id: str | None,
        status: str | None,
        end: int | None = None,
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
        rows = (
            self.session_rows(session_id)
            if session_id is not None
            else self.pages("/api/v1/runs", query)
        )
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

    # --- states by id ---------------------------------------------------------------------------

    async def states(self, run_ids: Sequence[str], agent: str | None) -> dict[str, RemoteRun]:
        """Return the state of each run by id; ids that the server does not know are absent."""
        ids = list(dict.fromkeys(run_ids))
        if agent is not None and len(ids) > 1:
            chunks = [ids[n : n + _MAX_BATCH_IDS] for n in range(0, len(ids), _MAX_BATCH_IDS)]
            lists = await _gather(self._batch(chunk, agent) for chunk in chunks)
            return {run.id: await self._caught_up(run) for runs in lists for run in runs}
        found: dict[str, RemoteRun] = {}
        if len(ids) > 1:
            # The batch call needs the agent.  Most requested runs are new, so that the first page
            # of all runs has most of them.
            try:
                page = await self._page("/api/v1/runs", {"page": "0", "size": str(_PAGE_SIZE)})
            except PlatformError as error:
                if error.status not in (400, 403, 404, 405):
                    raise
            else:
                listed = [run for run in self._runs(page) if run.id in ids]
                found = {run.id: await self._caught_up(run) for run in listed}
        others = await _gather(self.state(i, agent) for i in ids if i not in found)
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
                if runs := self._runs(await self._page(path)):
                    return runs[0]
            except PlatformError as error:
                if error.status not in (404, 405):
                    raise
        return None

    async def _batch(self, run_ids: Sequence[str], agent: str) -> list[RemoteRun]:
        path = f"/api/agents/{quote_segment(agent)}/runs/status"
        return self._runs(await self._page(path, {"runIds": ",".join(run_ids)}))

    def _runs(self, page: ListPage) -> list[RemoteRun]:
        return [run for row in page.items if (run := remote_run(row, self.times)) is not None]

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


async def _gather(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Await all, a few at a time, and return their results in order; the first error wins."""
    slots = asyncio.Semaphore(_MAX_CONCURRENT)

    async def limited(call: Awaitable[T]) -> T:
        async with slots:
            return await call

    tasks = [asyncio.ensure_future(limited(call)) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
