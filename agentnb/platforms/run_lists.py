"""Helpers for the lists of runs that platforms have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from agentnb.platforms.base import Capabilities

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
