"""How far a map is, and what shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Display", "Progress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a map is at a moment.

    ``total`` is None where the input does not say how long it is.  ``done`` counts the rows that
    have a result, ``failed`` those of them that did not complete, ``reused`` those that a
    checkpoint had, ``running`` the rows that are being asked.  ``rate`` is rows in a second, of
    late, ``left`` the seconds that the rest will take at that rate, ``waiting`` those until the
    platform may be asked again; None: not known, or nothing to wait for.  ``cost_usd`` is what all
    attempts cost so far, as far as it is known.  ``state`` says how the map stands or ended.
    """

    done: int
    total: int | None
    failed: int
    reused: int
    running: int
    elapsed: float
    rate: float | None
    left: float | None
    waiting: float | None
    cost_usd: float | None
    state: Literal["running", "done", "interrupted", "failed"]


class Display(Protocol):
    """Shows the progress of one map; called from the thread that called `Agent.map`."""

    def update(self, progress: Progress) -> None:
        """Show ``progress``: some times a second, and whenever nothing else is to be done."""
        ...

    def close(self, progress: Progress, line: str | None) -> None:
        """Show how it ended, and leave that; ``line`` says how to go on, None where all is done."""
        ...
