"""The progress of a map in a terminal: tqdm's bar."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

from agentnb.batch.progress import Display, Progress

__all__ = ["terminal_display"]

# So much time lies between two looks of the line, in seconds.
_APART: Final = 0.2


class _Bar:
    """One line that grows; the figures beside it are the map's own."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._drawn_at = 0.0

    def update(self, progress: Progress) -> None:
        # Not by tqdm's own clock, which stands still as long as nothing is done.
        if (now := time.monotonic()) - self._drawn_at >= _APART:
            self._drawn_at = now
            self._draw(progress)

    def close(self, progress: Progress, line: str | None) -> None:
        self._draw(progress)
        is_shown = not self._bar.disable
        self._bar.close()
        if line is not None and is_shown:
            self._bar.write(line, file=sys.stderr)

    def _draw(self, progress: Progress) -> None:
        bar = self._bar
        # What a checkpoint had says nothing of how fast it goes.
        bar.total, bar.initial, bar.n = progress.total, progress.reused, progress.done
        told = [f"{progress.failed} failed"] if progress.failed else []
        if progress.cost_usd is not None:
            told.append(f"${progress.cost_usd:.4f}")
        if progress.waiting is not None:
            told.append(f"waiting {progress.waiting:.0f} s for the rate limit")
        bar.set_postfix_str(", ".join(told))


def terminal_display(name: str) -> Display:
    """Return what shows the map of the agent ``name`` where standard error is a terminal."""
    from tqdm import tqdm

    bar = tqdm(desc=name, unit=" rows", disable=None, file=sys.stderr)
    return _Bar(bar)
