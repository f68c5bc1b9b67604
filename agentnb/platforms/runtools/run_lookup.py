"""Runs of one RunTools account, from its list of runs, which has a limit and no pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from agentnb._http import HttpClient
from agentnb.errors import InvalidRequestError
from agentnb.platforms._payloads import as_object, read_status
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.http_platform import read_rows, read_run, row_text

_FIRST_LIMIT: Final = 100
_LAST_LIMIT: Final = 100 * 2**10

_RUN: Final = {
    "id": "runId id run_id",
    "agent": "agent agentSlug agentName agentId",
    "session_id": "threadId thread_id",
    "created_at": "createdAt created_at",
    "started_at": "startedAt started_at",
    "updated_at": "updatedAt updated_at",
    "finished_at": "completedAt finishedAt endedAt completed_at",
    "model": "model",
    "output": "result output",
    "error": "error",
}


def remote_run(row: Mapping[str, Any]) -> RemoteRun | None:
    """Return one entry of the list of runs; None if it has no id."""
    run = read_run(row, _RUN, read_status=read_status)
    agent = as_object(row.get("agent"))
    return replace(run, agent=row_text(agent, "slug name id")) if run and agent else run


class RunLookup:
    """Requests longer and longer lists of runs until they have what is searched."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        # The limit with which the latest search for states succeeded.
        self._limit = _FIRST_LIMIT

    async def listed(
        self, *, agent: str | None, session_id: str | None, status: str | None, end: int | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield each run once, newest first; ``end`` is the most that are needed, if known."""
        seen: set[str] = set()
        lists = self._lists(agent, status, limit=end or _FIRST_LIMIT, once=end is not None)
        async with aclosing(lists):
            async for runs in lists:
                for run in runs:
                    if run.id not in seen and session_id in (None, run.session_id):
                        seen.add(run.id)
                        yield run

    async def states(self, run_ids: Sequence[str], agent: str | None) -> dict[str, RemoteRun]:
        """Return the state of each run by id; ids that are not listed are absent."""
        ids = set(run_ids)
        states: dict[str, RemoteRun] = {}
        if not ids:
            return states
        limit = self._limit
        async with aclosing(self._lists(agent, None, limit=limit)) as lists:
            async for runs in lists:
                states = {run.id: run for run in runs if run.id in ids}
                if len(states) == len(ids):
                    self._limit = limit
                    break
                limit = min(limit * 2, _LAST_LIMIT)
        return states

    async def _lists(
        self, agent: str | None, status: str | None, *, limit: int, once: bool = False
    ) -> AsyncGenerator[list[RemoteRun], None]:
        previous = -1
        while True:
            params = {"agent": agent, "status": status, "limit": str(limit)}
            query = {name: value for name, value in params.items() if value is not None}
            try:
                response = await self._http.request("GET", "/v1/run", params=query)
            except InvalidRequestError:
                # The platform's own limit is exceeded: the last list is the longest it has.
                if previous < 0:
                    raise
                return
            rows = read_rows(response.data, "data runs items")
            runs = [run for row in rows if (run := remote_run(row)) is not None]
            if status is not None and read_status(status) == status:
                # One of agentnb's statuses; others are left to the platform.
                runs = [run for run in runs if run.status == status]
            yield runs
            if once or limit >= _LAST_LIMIT or len(rows) < limit or len(rows) <= previous:
                return
            previous, limit = len(rows), limit * 2
