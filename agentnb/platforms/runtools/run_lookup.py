"""Runs of one RunTools account, from its list of runs, which has a limit and no pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from agentnb._http import HttpClient
from agentnb.platforms._payloads import as_object, read_status
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.http_platform import read_rows, read_run, row_text
from agentnb.platforms.listing_platform import longer_lists

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
        self._limit = 100

    async def listed(
        self, *, agent: str | None, session_id: str | None, status: str | None, end: int | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield each run once, newest first; ``end`` is the most that are needed, if known."""
        seen: set[str] = set()
        lists = self._lists(agent, status, limit=end or 100, once=end is not None)
        async with aclosing(lists):
            async for rows in lists:
                for run in filter(None, map(remote_run, rows)):
                    # One of agentnb's statuses; others are left to the platform.
                    is_other = status is not None and status == read_status(status) != run.status
                    if run.id not in seen and session_id in (None, run.session_id) and not is_other:
                        seen.add(run.id)
                        yield run

    async def states(self, run_ids: Sequence[str], agent: str | None) -> dict[str, RemoteRun]:
        """Return the state of each run by id; ids that are not listed are absent."""
        ids = set(run_ids)
        states: dict[str, RemoteRun] = {}
        if not ids:
            return states
        async with aclosing(self._lists(agent, None, limit=self._limit)) as lists:
            async for rows in lists:
                runs = filter(None, map(remote_run, rows))
                states = {run.id: run for run in runs if run.id in ids}
                if len(states) == len(ids):
                    while self._limit < len(rows):
                        self._limit *= 2
                    break
        return states

    def _lists(
        self, agent: str | None, status: str | None, *, limit: int, once: bool = False
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        async def fetch(limit: int) -> list[dict[str, Any]]:
            query = {"agent": agent, "status": status, "limit": limit}
            response = await self._http.request("GET", "/v1/run", params=query)
            return read_rows(response.data, "data runs items")

        return longer_lists(fetch, limit=limit, once=once)
