"""Search for the id of a run by its session, for servers that do not send it."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from agentnb._http import side_request
from agentnb.errors import AgentnbError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.platforms._run_starts import LatestRunStarts, RunStart
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.http_platform import Recent
from agentnb.platforms.operativus.responses import remote_run
from agentnb.platforms.operativus.run_lookup import RunLookup

_log = logging.getLogger(__name__)

_DELAYS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# How many runs of a session may start within the seconds that their times cannot distinguish.
_MAX_RUNS: Final = 32
# How often, and for how many seconds each, the end of a stream waits for the last search.  Several
# short waits: a process that was suspended for longer has used up only one of them.
_LAST_WAITS: Final = 4
_LAST_WAIT: Final = 0.5
# How long after its response a run may have started, if its time is to show the server's zone.
_MAX_START_DELAY: Final = timedelta(seconds=60)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class SessionSearch:
    """Remembers the run requests of each session, and finds their runs."""

    def __init__(self, lookup: RunLookup) -> None:
        self._lookup = lookup
        # The last runs of each session, which a search for the next one must not return.
        self._known = Recent[tuple[str, ...]]()
        self._requests = LatestRunStarts()

    def note_request(self, session_id: str, *, fresh: bool) -> RunStart:
        """Note that a run is about to be requested; ``fresh``: in a session made for it."""
        known = self._known.get(session_id, ())
        return self._requests.note(session_id, RunStart(fresh=fresh, known=known))

    def latest_request(self, session_id: str, *, fresh: bool = False) -> RunStart:
        """Return the latest run request in a session; ``fresh``: the session was made for it."""
        latest = None if fresh else self._requests.latest(session_id)
        return latest or RunStart(fresh=fresh)

    def note_run(self, session_id: str, run_id: str, request: RunStart) -> None:
        """Note the run that ``request`` started."""
        if (window := request.began(within=_MAX_START_DELAY)) is not None:
            self._lookup.note_start(run_id, window)
        known = self._known.get(session_id, ())
        runs = (*(known_id for known_id in known if known_id != run_id), run_id)
        self._known.note(session_id, runs[-_MAX_RUNS:])

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
        times = self._lookup.times
        rows = self._lookup.session_rows(session_id)
        listed = [remote_run(row, times) async for row in rows]
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

    def __init__(
        self, sessions: SessionSearch, session_id: str, agent: str, request: RunStart
    ) -> None:
        self._sessions = sessions
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
            last_try = asyncio.create_task(self._sessions.find(*self._arguments))
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
        for delay in _DELAYS:
            await asyncio.sleep(delay)
            try:
                run_id = await self._sessions.find(*self._arguments)
            except AgentnbError as error:
                _log.info("Cannot find the id of a run: %s", error)
                return None
            if run_id is not None or not request.can_tell:
                return run_id
        return None
