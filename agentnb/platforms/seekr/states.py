"""The states of several runs of one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from agentnb.errors import NotFoundError
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.wire import Run

__all__ = ["states_of"]

# How many of a thread's newest runs are listed to find some of them.
_LIST: Final = 100


async def states_of(
    gate: asyncio.Semaphore, api: SeekrApi, thread_id: str, run_ids: Sequence[str]
) -> list[Run]:
    """Return those of a thread's runs that there are."""
    found: dict[str, Run] = {}
    if len(run_ids) > 1:
        async with gate:
            try:
                listed = await api.list_runs(thread_id, limit=_LIST)
            except NotFoundError:
                listed = None
        found = {run.id: run for run in listed or () if run.id in run_ids}
        if listed is not None and api.run_pages.is_last(len(listed), _LIST):
            return list(found.values())

    async def look(run_id: str) -> Run | None:
        async with gate:
            try:
                return await api.run(thread_id, run_id)
            except NotFoundError:
                return None

    others = await asyncio.gather(*(look(run_id) for run_id in run_ids if run_id not in found))
    return [*found.values(), *(run for run in others if run is not None)]
