"""Which runs a platform can be asked for together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from agentnb.platforms.base import Capabilities

__all__ = ["LARGEST_BATCH", "RunPlace", "batches", "common"]

#: The most ids in one request.
LARGEST_BATCH: Final = 100


class RunPlace(Protocol):
    """Where a run is on its platform, as far as that is known."""

    @property
    def run_id(self) -> str: ...
    @property
    def agent(self) -> str | None: ...
    @property
    def session_id(self) -> str | None: ...


P = TypeVar("P", bound=RunPlace)


def batches(runs: Iterable[P], abilities: Capabilities) -> list[list[P]]:
    """Return ``runs``, those together whose states one call of `Platform.status` can ask for."""
    together: dict[tuple[str | None, ...], list[P]] = {}
    for run in runs:
        match abilities.status_batch:
            case "all":
                key = ()
            case "agent":
                key = (run.agent,)
            # Without its session a run may not be found at all, which is nobody else's concern.
            case "session" if run.session_id is not None:
                key = (run.session_id,)
            case _:
                key = ("", run.run_id)
        together.setdefault(key, []).append(run)
    return [
        found[n : n + LARGEST_BATCH]
        for found in together.values()
        for n in range(0, len(found), LARGEST_BATCH)
    ]


def common(values: Iterable[str | None]) -> str | None:
    """Return the value that all have, None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
