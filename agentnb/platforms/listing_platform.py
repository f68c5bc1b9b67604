"""`ListingPlatform`, the base class of platforms that list their runs, and its requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final, Protocol, TypeVar

from agentnb.errors import InvalidRequestError
from agentnb.platforms._params import check_choice, check_count
from agentnb.platforms.base import RemoteRun
from agentnb.platforms.http_platform import HttpPlatform

T = TypeVar("T")

_FIRST_LIMIT: Final = 100
_LAST_LIMIT: Final = 100 * 2**10


class RunSource(Protocol):
    """The runs of a platform, newest first and by id."""

    def listed(
        self, *, agent: str | None, session_id: str | None, status: str | None, end: int | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield the runs that match all filters; ``end`` is the most that are needed, if known."""
        ...

    async def states(self, run_ids: Sequence[str], agent: str | None) -> dict[str, RemoteRun]: ...


class ListingPlatform(HttpPlatform):
    """Base of platforms that list their runs newest first, by ``_lookup``."""

    _lookup: RunSource

    async def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield runs, newest first; with ``order="asc"`` all are fetched first.

        ``status`` is one of agentnb or of the platform.
        """
        end = check_window(order=order, offset=offset, limit=limit, platform=self._name)
        if end == offset:
            return
        is_part = session_id is None and order == "desc"
        listed = self._lookup.listed(
            agent=agent, session_id=session_id, status=status, end=end if is_part else None
        )
        async with aclosing(listed):
            if order == "asc":
                for run in [run async for run in listed][::-1][offset:end]:
                    yield run
                return
            number = 0
            async for run in listed:
                number += 1
                if number > offset:
                    yield run
                if number == end:
                    return

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run by id; unknown ids are absent."""
        return await self._lookup.states(run_ids, agent)


# --- requests for several runs ------------------------------------------------------------------


def check_window(*, order: str, offset: int, limit: int | None, platform: str) -> int | None:
    """Validate the arguments of `Platform.runs`; return the end of the window, None for no limit.

    Raises:
        RequestError: an argument is not one of `Platform.runs`.
    """
    check_choice(order, ("asc", "desc"), name="order", platform=platform)
    check_count(offset, name="offset", platform=platform)
    if limit is None:
        return None
    return offset + check_count(limit, name="limit", platform=platform)


async def longer_lists(
    fetch: Callable[[int], Awaitable[list[T]]], *, limit: int = _FIRST_LIMIT, once: bool = False
) -> AsyncGenerator[list[T], None]:
    """Yield longer and longer lists, from ``limit`` entries on, of a call that has no pages.

    ``fetch`` takes the limit.  Ends with the whole list, or the first one with ``once``.
    """
    previous = -1
    while True:
        try:
            rows = await fetch(limit)
        except InvalidRequestError:
            # The platform's own limit is exceeded: the last list is the longest it has.
            if previous < 0:
                raise
            return
        yield rows
        if once or limit >= _LAST_LIMIT or len(rows) < limit or len(rows) <= previous:
            return
        previous, limit = len(rows), min(limit * 2, _LAST_LIMIT)


async def gather_limited(calls: Iterable[Awaitable[T]], *, at_once: int = 4) -> list[T]:
    """Await all, a few at a time, and return their results in order; the first error wins."""
    slots = asyncio.Semaphore(at_once)

    async def limited(call: Awaitable[T]) -> T:
        async with slots:
            return await call

    tasks = [asyncio.ensure_future(limited(call)) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
