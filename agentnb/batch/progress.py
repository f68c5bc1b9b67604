"""Progress of a map and its display; a light module, since the package's root imports it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

# Seconds between two updates of the bar in a terminal.
_INTERVAL: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a map.

    ``total`` is None for input of unknown length.  ``done`` counts the rows that have a result,
    ``failed`` those of them that did not complete, ``reused`` those from a checkpoint, ``running``
    the rows in progress.  ``rate`` is the recent number of rows per second, ``left`` the seconds
    until the end at that rate, ``waiting`` the seconds until the platform accepts requests again;
    None: unknown or not waiting.  ``cost_usd`` is the known cost of all attempts.  ``state`` is the
    state of the map.
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
    """Display of the progress of one map; called from the thread that called `Agent.map`."""

    def update(self, progress: Progress) -> None:
        """Display ``progress``; called several times a second."""
        ...

    def close(self, progress: Progress, line: str | None) -> None:
        """Display the end, for good; ``line`` says how to resume, None if all rows are done."""
        ...


# Agent's name -> display in a notebook, None outside of one.
_make: Callable[[str], Display | None] | None = None


def set_display(make: Callable[[str], Display | None]) -> None:
    """Set the factory of displays in notebooks; a terminal is used where it returns None."""
    global _make
    _make = make


def create_display(name: str) -> Display:
    """Return a display for a map of the agent ``name``: in a notebook, else on standard error."""
    display = None if _make is None else _make(name)
    return _TerminalDisplay(name) if display is None else display


class _TerminalDisplay:
    """A bar of tqdm, if standard error is a terminal."""

    def __init__(self, name: str) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(desc=name, unit=" rows", disable=None, file=sys.stderr)
        self._drawn_at = 0.0

    def update(self, progress: Progress) -> None:
        # tqdm itself redraws only when rows are done.
        if (now := time.monotonic()) - self._drawn_at >= _INTERVAL:
            self._drawn_at = now
            self._draw(progress)

    def close(self, progress: Progress, line: str | None) -> None:
        self._draw(progress)
        is_visible = not self._bar.disable
        self._bar.close()
        if line is not None and is_visible:
            self._bar.write(line, file=sys.stderr)

    def _draw(self, progress: Progress) -> None:
        bar = self._bar
        # `initial` is left out of tqdm's rate.
        bar.total, bar.initial, bar.n = progress.total, progress.reused, progress.done
        notes = [f"{progress.failed} failed"] if progress.failed else []
        if progress.cost_usd is not None:
            notes.append(f"${progress.cost_usd:.4f}")
        if progress.waiting is not None:
            notes.append(f"waiting {progress.waiting:.0f} s for the rate limit")
        bar.set_postfix_str(", ".join(notes))
