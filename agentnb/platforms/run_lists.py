"""Helpers for the lists of runs that platforms have."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Final, Protocol, TypeVar

from agentnb.platforms._params import check_choice, check_count
from agentnb.platforms.base import Capabilities, RemoteRun

#: Maximum number of ids in one request.
LARGEST_BATCH: Final = 100


class RunIds(Protocol):
    """A run's ids, as far as they are known."""

    @property
    def run_id(self) -> str: ...
    @property
    def agent(self) -> str | None: ...
    @property
    def session_id(self) -> str | None: ...


P = TypeVar("P", bound=RunIds)


def batches(runs: Iterable[P], abilities: Capabilities) -> list[list[P]]:
    """Return ``runs`` in groups whose status one call of `Platform.status` can return."""
    groups: dict[tuple[str | None, ...], list[P]] = {}
    for run in runs:
        match abilities.status_batch:
            case "all":
                key = ()
            case "agent":
                key = (run.agent,)
            # A run of an unknown session may not be found; it must not fail the others.
            case "session" if run.session_id is not None:
                key = (run.session_id,)
            case _:
                key = ("", run.run_id)
        groups.setdefault(key, []).append(run)
    return [
        found[n : n + LARGEST_BATCH]
        for found in groups.values()
        for n in range(0, len(found), LARGEST_BATCH)
    ]


def common(values: Iterable[str | None]) -> str | None:
    """Return the value that all have in common, None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def check_window(*, order: str, offset: int, limit: int | None, platform: str) -> int | None:
    """Validate the arguments; return the end of the window, None for no limit.

    Raises:
        RequestError: an argument is not one of `Platform.runs`.
    """
    check_choice(order, ("asc", "desc"), name="order", platform=platform)
    check_count(offset, name="offset", platform=platform)
    if limit is None:
        return None
    return offset + check_count(limit, name="limit", platform=platform)


async def window(
    newest_first: AsyncGenerator[RemoteRun, None], *, order: str, offset: int, end: int | None
) -> AsyncGenerator[RemoteRun, None]:
    """Yield the runs from ``offset`` up to ``end``, in this order.

    For platforms that list newest first only; "asc" reads the whole list.
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
