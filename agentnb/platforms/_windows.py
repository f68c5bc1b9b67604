"""The part of a platform's list of runs that was asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agentnb.platforms._params import check_choice, check_count
from agentnb.platforms.base import RemoteRun

__all__ = ["check_window", "window"]


def check_window(*, order: str, offset: int, limit: int | None, platform: str) -> int | None:
    """Return the place after the last run that is wanted, None where all are.

    Raises:
        RequestError: one of them is not what `Platform.runs` takes.
    """
    check_choice(order, ("asc", "desc"), name="order", platform=platform)
    check_count(offset, name="offset", platform=platform)
    if limit is None:
        return None
    return offset + check_count(limit, name="limit", platform=platform)


async def window(
    newest_first: AsyncGenerator[RemoteRun, None], *, order: str, offset: int, end: int | None
) -> AsyncGenerator[RemoteRun, None]:
    """Yield the runs from the place ``offset`` up to ``end``, in this order.

    For platforms that know one order only: the oldest comes first when all have been listed.
    """
    async with aclosing(newest_first) as runs:
        if order == "asc":
            everything = [run async for run in runs]
            for run in everything[::-1][offset:end]:
                yield run
            return
        number = 0
        async for run in runs:
            if number >= offset:
                yield run
            number += 1
            if number == end:
                return
