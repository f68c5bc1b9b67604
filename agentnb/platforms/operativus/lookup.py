"""Finding runs: lists over their pages, states by id, and the run that a session is in."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from agentnb._http import HttpClient, aside, quote_segment
from agentnb.errors import AgentnbError, PlatformError, RequestError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.platforms._params import did_you_mean
from agentnb.platforms._run_starts import Asked, AskedRuns
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.operativus.responses import STATUSES, remote_run
from agentnb.platforms.operativus.rows import PAGE_SIZE, Rows
from agentnb.platforms.operativus.times import ServerTimes, Window

__all__ = ["RunLookup"]

_log = logging.getLogger(__name__)

# How many run ids one batch status request may name.
_MOST_IDS: Final = 100
_AT_ONCE: Final = 4
_PAUSES: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_REMEMBERED: Final = 256
# So many runs of a session may begin within the seconds in which they cannot be told by time.
_REMEMBERED_RUNS: Final = 32
# How long the end of a stream waits for a run id that is still being looked for: so many times so
# many seconds.  A process that stands still for longer than all of them has waited once.
_LAST_WAITS: Final = 4
_LAST_WAIT: Final = 0.5
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
# How long after its request was answered a run may have begun, where its time is to tell a zone.
_LOOKED: Final = timedelta(seconds=60)
# How long a row may still have a run going whose stream has ended, in seconds.
_LAG: Final = 3.0


T = TypeVar("T")


class RunLookup(Rows):
    """Asks one server for its runs."""

    def __init__(self, http: HttpClient, times: ServerTimes) -> None:
        super().__init__(http, times)
        # The last runs of each session, which a look-up of the next one must not take for it.
        self._latest: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._asked = AskedRuns()
        # Until when the rows of runs whose end was seen may lag behind, by the loop's clock.
        self._ended: OrderedDict[str, float] = OrderedDict()

    async def listed(
        self, *, agent: str | None, session_id: str | None, status: str | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield the runs that fit all three, newest first.

        Raises:
            RequestError: the status is no word of the platform's or of agentnb's.
        """
        wanted = _wire_statuses(status, platform=self._http.name)
        # The server takes one filter and ignores the others without a word.
        if session_id is not None:
            query = {"sessionId": session_id}
        elif agent is not None:
            query = {"agentId": agent}
        elif len(wanted) == 1:
            query = {"status": wanted[0]}
        else:
            query = {}
        async for row in self._rows(query, session_id):
            run = remote_run(row, self.times)
            if run is None:
                continue
            run = await self._caught_up(run)
            word = str(run.raw.get("status") or "").upper()
            if (
                (not wanted or word in wanted)
                and agent in (None, run.agent)
                and session_id in (None, run.session_id)
            ):
                yield run

    async def _rows(
        self, query: Mapping[str, str], session_id: str | None
    ) -> AsyncIterator[dict[str, Any]]:
        any_yet = False
        try:
            async for row in self.pages("/api/v1/runs", query):
                any_yet = True
                yield row
            return
        except PlatformError as error:
            if any_yet or session_id is None or error.status not in (404, 405):
                raise
        path = f"/api/sessions/{quote_segment(session_id)}/runs"
        async for row in self.pages(path, {}):
            yield row

    # --- by id ---------------------------------------------------------------------------------

    def ended(self, run_id: str) -> None:
        """Note that the end of a run was seen: a row that has it still going lags behind."""
        self._ended[run_id] = asyncio.get_running_loop().time() + _LAG
        self._ended.move_to_end(run_id)
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    async def _caught_up(self, run: RemoteRun) -> RemoteRun:
        """Return a run as its row is once it tells the end that was seen, or as it is."""
        until = self._ended.get(run.id, 0.0)
        loop = asyncio.get_running_loop()
        while run.status not in FINAL_STATUSES and loop.time() < until:
            await asyncio.sleep(_PAUSES[1])
            try:
                run = await self._state(run.id, None) or run
            except AgentnbError as error:
                _log.info("A run's row cannot be asked for again: %s", error)
                break
        return run

    async def states(self, run_ids: Sequence[str], agent: str | None) -> dict[str, RemoteRun]:
        """Return the state of each run by id; ids that the server does not know are absent."""
        ids = list(dict.fromkeys(run_ids))
        if not ids:
            return {}
        if len(ids) == 1:
            run = await self.state(ids[0], agent)
            return {} if run is None else {run.id: run}
        if agent is None:
            return await self._states_of_any(ids)
        chunks = [ids[n : n + _MOST_IDS] for n in range(0, len(ids), _MOST_IDS)]
        lists = await _together(self.batch(chunk, agent) for chunk in chunks)
        found = [await self._caught_up(run) for runs in lists for run in runs]
        return {run.id: run for run in found}

    async def _states_of_any(self, ids: Sequence[str]) -> dict[str, RemoteRun]:
        """Return states without knowing whose runs they are.

        The call for several wants the agent.  Runs that somebody asks for are mostly new, so that
        the first page of all runs shows most of them.
        """
        query = {"page": "0", "size": str(PAGE_SIZE)}
        found: dict[str, RemoteRun] = {}
        try:
            page = await self.page("/api/v1/runs", query)
        except PlatformError as error:
            if error.status not in (400, 403, 404, 405):
                raise
        else:
            listed = (remote_run(row, self.times) for row in page.items)
            known = [run for run in listed if run is not None and run.id in ids]
            found = {run.id: await self._caught_up(run) for run in known}
        others = await _together(self.state(i, None) for i in ids if i not in found)
        return found | {run.id: run for run in others if run is not None}

    async def state(self, run_id: str, agent: str | None) -> RemoteRun | None:
        """Return one run's state, None where the server does not know it."""
        run = await self._state(run_id, agent)
        return None if run is None else await self._caught_up(run)

    async def _state(self, run_id: str, agent: str | None) -> RemoteRun | None:
        segment = quote_segment(run_id)
        paths = [f"/api/v1/runs/{segment}"]
        if agent is not None:
            paths.insert(0, f"/api/agents/{quote_segment(agent)}/runs/{segment}/status")
        for path in paths:
            try:
                page = await self.page(path)
            except PlatformError as error:
                if error.status in (404, 405):
                    continue
                raise
            for row in page.items:
                if (run := remote_run(row, self.times)) is not None:
                    return run
        return None

    async def batch(self, run_ids: Sequence[str], agent: str) -> list[RemoteRun]:
        """Return the states of at most 100 runs in one request."""
        path = f"/api/agents/{quote_segment(agent)}/runs/status"
        page = await self.page(path, {"runIds": ",".join(run_ids)})
        return [run for row in page.items if (run := remote_run(row, self.times)) is not None]

    async def settled(self, run_id: str, agent: str | None, *, lenient: bool) -> RemoteRun | None:
        """Return a run that has ended, with its output; None where it cannot be had.

        Right after the end its row may still read RUNNING, so that it is asked for a few times.
        What fails is raised unless ``lenient``.
        """
        for pause in _PAUSES[:4]:
            await asyncio.sleep(pause)
            try:
                if agent is None:
                    run = await self.state(run_id, None)
                else:
                    # Of the two calls, this one answers with the output on every server.
                    run = next(iter(await self.batch([run_id], agent)), None)
                    if run is not None and not run.output and run.status == "completed":
                        run = await self.state(run_id, agent) or run
            except AgentnbError as error:
                if not lenient:
                    raise
                _log.info("The result of a run that was joined is not to be had: %s", error)
                return None
            if run is None or run.output or run.status in FINAL_STATUSES:
                return run
        return None

    # --- by session ----------------------------------------------------------------------------

    def remember(self, session_id: str, run_id: str, asked: Asked | None = None) -> None:
        """Note that a session has had this run, which began as ``asked`` tells."""
        if asked is not None and (window := asked.began(within=_LOOKED)) is not None:
            self.note_start(run_id, window)
        known = self._latest.get(session_id, ())
        self._latest[session_id] = (*(i for i in known if i != run_id), run_id)[-_REMEMBERED_RUNS:]
        self._latest.move_to_end(session_id)
        if len(self._latest) > _REMEMBERED:
            self._latest.popitem(last=False)

    def ask(self, session_id: str, *, fresh: bool) -> Asked:
        """Note that a run is asked for now; ``fresh``: in a session that was made for it."""
        known = self._latest.get(session_id, ())
        return self._asked.note(session_id, Asked(fresh=fresh, known=known))

    def asked(self, session_id: str, *, fresh: bool = False) -> Asked:
        """Return what is known of the latest run that was asked for in a session.

        ``fresh`` says that the session was made for it, where that is known by itself.
        """
        return Asked(fresh=True) if fresh else self._asked.latest(session_id) or Asked(fresh=False)

    async def search(self, session_id: str, agent: str, asked: Asked) -> str | None:
        """Return the id of the run that has just begun in a session; None where none is found.

        Never raises: a run without an id is a lesser evil than a stream that breaks off.
        """
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            try:
                found = await self.find(session_id, agent, asked)
            except AgentnbError as error:
                _log.info("The id of a run is not to be had: %s", error)
                return None
            if found is not None or not asked.can_tell:
                return found
        return None

    async def last(
        self, search: asyncio.Task[str | None], session_id: str, agent: str, asked: Asked
    ) -> str | None:
        """Return the id that a search finds now that the stream is over, None where it does not."""
        if search.done() and search.result() is not None:
            return search.result()
        with aside():
            finding = asyncio.create_task(self.find(session_id, agent, asked))
        try:
            for _ in range(_LAST_WAITS):
                if (await asyncio.wait({finding}, timeout=_LAST_WAIT))[0]:
                    return finding.result()
        except AgentnbError:
            pass
        finally:
            finding.cancel()
        return None

    async def find(
        self, session_id: str, agent: str | None, asked: Asked, *, going: bool = False
    ) -> str | None:
        """Return the id of the run that was asked for; with ``going``, of one that still goes.

        In a session of its own it is the first run.  In another it is the first that began since
        it was asked for; where no offset of the server's times is known that any run fits, the
        newest one tells it, if its time is off by whole quarters of an hour.
        """
        if not asked.can_tell:
            return None
        rows = self._rows({"sessionId": session_id}, session_id)
        listed = [remote_run(row, self.times) async for row in rows]
        runs = [run for run in listed if run is not None and run.session_id == session_id]
        found = [
            run
            for run in runs
            # Runs that a team's run started on its members stand in the same session.
            if not run.raw.get("parentRunId")
            and (agent is None or run.agent in (None, agent))
            and not (going and run.status in FINAL_STATUSES)
            and (asked.is_fresh or not asked.is_known(run.id))
        ]
        window, narrow = asked.began(), asked.began(within=_LOOKED)
        if not asked.is_fresh and window is not None and narrow is not None:
            fitting = self._fitting(found, window)
            newest = max(runs, key=_created, default=None)
            if (
                not fitting
                and newest is not None
                and newest in found
                and self.times.explain(newest.raw.get("createdAt"), narrow)
            ):
                fitting = self._fitting(found, window)
            found = fitting
        best = min(found, key=lambda run: run.created_at or _LATEST, default=None)
        if best is None:
            return None
        if narrow is not None:
            self.times.learn(best.raw.get("createdAt"), narrow)
        return best.id

    def _fitting(self, runs: Sequence[RemoteRun], window: Window) -> list[RemoteRun]:
        return [run for run in runs if self.times.fits(run.raw.get("createdAt"), window)]


def _created(run: RemoteRun) -> datetime:
    return run.created_at or _EARLIEST


def _wire_statuses(status: str | None, *, platform: str) -> list[str]:
    if status is None:
        return []
    if status.upper() == status and status in STATUSES:
        return [status]
    words = [word for word, meaning in STATUSES.items() if meaning == status.lower()]
    if not words and status.upper() in STATUSES:
        words = [status.upper()]
    if not words:
        raise RequestError(
            f"{platform} has no run status {status!r}.",
            hint=did_you_mean(status.lower(), set(STATUSES.values())),
        )
    return words


async def _together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Await all, a few at a time, and return their results in order; the first error wins."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with gate:
            return await call

    tasks = [asyncio.ensure_future(one(call)) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
