"""The lists of ``runagent serve``: its agent, and the invocations that it remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from agentnb._http import HttpClient, quote_segment
from agentnb.errors import NotFoundError
from agentnb.platforms._bodies import parse_error_body, parse_time
from agentnb.platforms._payloads import as_list, as_object, first_text, read_status
from agentnb.platforms._wire import as_text
from agentnb.platforms.base import AgentInfo, RemoteRun
from agentnb.platforms.run_lists import check_window, window
from agentnb.platforms.runagent.messages import recorded_text

_FIRST_LIMIT: Final = 100
_LAST_LIMIT: Final = 100 * 2**10
_AT_ONCE: Final = 8


class InvocationApi:
    """Reads lists.  ``http`` is the platform's client, which is not closed here.

    ``left`` are runs whose socket was closed: the server never reports their end.
    """

    def __init__(self, http: HttpClient, left: Collection[str]) -> None:
        self._http = http
        self._left = left

    async def agents(self) -> list[AgentInfo]:
        """Return the served agent; none where the server does not name it.

        Raises:
            NotFoundError: the address does not have this API.
        """
        answer = await self._http.request("GET", "/api/v1")
        config = as_object(as_object(answer.data).get("config"))
        agent_id = first_text(config, "agent_id")
        if agent_id is None:
            return []
        name, description = first_text(config, "agent_name"), first_text(config, "description")
        return [AgentInfo(id=agent_id, name=name, description=description, raw=config)]

    async def runs(
        self, *, agent: str | None, status: str | None, limit: int | None, order: str, offset: int
    ) -> AsyncGenerator[RemoteRun, None]:
        """Iterate over the invocations of an agent, by default of the served one."""
        end = check_window(order=order, offset=offset, limit=limit, platform=self._http.name)
        if end == offset:
            return
        if agent is None:
            served = await self.agents()
            if not served:
                return
            agent = served[0].id
        listed = self._newest_first(agent, status, None if order == "asc" else end)
        async with aclosing(window(listed, order=order, offset=offset, end=end)) as found:
            async for run in found:
                yield run

    async def status(self, run_ids: Sequence[str]) -> dict[str, RemoteRun]:
        """Return the state of each invocation by id, except those that were left."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(run_id: str) -> RemoteRun | None:
            async with slots:
                try:
                    path = f"/api/v1/invocations/{quote_segment(run_id)}"
                    answer = await self._http.request("GET", path)
                except NotFoundError:
                    return None
            return self._remote_run(as_object(answer.data))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(run_id)) for run_id in dict.fromkeys(run_ids)]
        found = (task.result() for task in tasks)
        known = [run for run in found if run is not None]
        return {run.id: run for run in known if run.status != "interrupted"}

    def _remote_run(self, row: Mapping[str, Any]) -> RemoteRun | None:
        run = _remote_run_of(row)
        if run is not None and run.status == "running" and run.id in self._left:
            return replace(run, status="interrupted")
        return run

    async def _newest_first(
        self, agent: str, status: str | None, end: int | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield invocations; the server has no pages, so the limit grows."""
        path = f"/api/v1/agents/{quote_segment(agent)}/invocations"
        limit = _FIRST_LIMIT if end is None or status is not None else min(end, _LAST_LIMIT)
        seen: set[str] = set()
        while True:
            answer = await self._http.request("GET", path, params={"limit": limit})
            rows = as_list(as_object(answer.data).get("invocations"))
            for run in map(self._remote_run, map(as_object, rows)):
                if run is None or run.id in seen:
                    continue
                seen.add(run.id)
                if status is None or run.status == read_status(status):
                    yield run
            if len(rows) < limit or limit >= _LAST_LIMIT:
                return
            limit = min(limit * 2, _LAST_LIMIT)


def _remote_run_of(row: Mapping[str, Any]) -> RemoteRun | None:
    run_id = first_text(row, "invocation_id")
    if run_id is None:
        return None
    error = row.get("error_detail")
    finished = parse_time(row.get("response_timestamp"))
    state = read_status(row.get("status"), ended=finished is not None)
    return RemoteRun(
        id=run_id,
        # It is "pending" while it runs.
        status="running" if state == "queued" else state,
        agent=first_text(row, "agent_id"),
        created_at=parse_time(row.get("request_timestamp")),
        started_at=parse_time(row.get("request_timestamp")),
        finished_at=finished,
        output=recorded_text(row.get("output_data")) or None,
        error=(parse_error_body(0, error).message or as_text(error) or None) if error else None,
        raw=row,
    )
