"""The progress of a map in a notebook: one output that is updated until its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from agentnb.batch.progress import Display, Progress
from agentnb.notebook.display import Output, choose_mode, current_shell
from agentnb.redaction.secrets import mask
from agentnb.render import one_line
from agentnb.render.markup import WRAPPER_CLASS, Style, element, joined
from agentnb.render.view import dollars, seconds

# Seconds between two updates.
_INTERVAL: Final = 0.25
_NAME: Final = 120
_LINE: Final = 1_000
_BAR: Final = "width:100%;max-width:24em"
_ENDS: Final = {"done": "✓", "interrupted": "■", "failed": "✗"}


def progress_display(name: str) -> Display | None:
    """Return the display of a map of the agent ``name``, None outside of notebooks.

    It is live in an interactive frontend, and one output at the end in an unattended notebook.
    """
    match choose_mode(current_shell()):
        case "widget":
            return _MapDisplay(name, is_live=True)
        case "static":
            return _MapDisplay(name, is_live=False)
        case _:
            return None


class _MapDisplay:
    """One output: a line with a bar while the map runs, then its summary."""

    def __init__(
        self, name: str, *, is_live: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = mask(one_line(name, _NAME))
        self._is_live = is_live
        self._clock = clock
        self._output = Output()
        self._last_bundle: dict[str, str] | None = None
        self._due = 0.0
        self._was_waiting = False

    def update(self, progress: Progress) -> None:
        # Waiting is displayed at once, because no update follows.
        begins_to_wait = progress.waiting is not None and not self._was_waiting
        now = self._clock()
        if not self._is_live or (now < self._due and not begins_to_wait):
            return
        self._was_waiting = progress.waiting is not None
        self._due = now + _INTERVAL
        self._show(_bundle(self._name, progress, None))

    def close(self, progress: Progress, line: str | None) -> None:
        self._show(_bundle(self._name, progress, line))

    def _show(self, bundle: dict[str, str]) -> None:
        if bundle == self._last_bundle:
            return
        self._last_bundle = bundle
        self._output.show(bundle)


def _bundle(name: str, progress: Progress, line: str | None) -> dict[str, str]:
    words = _words(progress)
    notes = [] if line is None else [mask(one_line(line, _LINE))]
    head = element("strong", name)
    figures = element("small", " · " + " · ".join(words), style=Style.MUTED)
    blocks = [element("p", head, figures)]
    if progress.state == "running":
        blocks.append(element("p", _bar(progress)))
    blocks += [element("p", each) for each in notes]
    html = element("div", joined(list(blocks)), class_=WRAPPER_CLASS, style=Style.BREAKING)
    return {
        "text/plain": "\n".join([" · ".join([name, *words]), *notes]),
        # A plain string, because some hosts check for the exact type.
        "text/html": str(html),
    }


def _bar(progress: Progress) -> str:
    done, total = progress.done, progress.total
    # The content is for viewers that do not render the element.
    share = f"{done:,} rows" if not total else f"{done * 100 // total} %"
    figures = {"value": str(min(done, total)), "max": str(total)} if total else {}
    return element("progress", share, style=_BAR, **{"aria-label": "Rows that are done"}, **figures)


def _words(progress: Progress) -> list[str]:
    running = progress.state == "running"
    words = [_count(progress)]
    if progress.failed:
        words.append(f"{progress.failed:,} failed")
    if progress.reused:
        words.append(f"{progress.reused:,} from the checkpoint")
    if not running:
        words.append(seconds(progress.elapsed))
    elif progress.rate and progress.waiting is None:
        words.append(_rate(progress.rate))
    if progress.cost_usd is not None:
        words.append(dollars(progress.cost_usd))
    if running and progress.waiting is not None:
        words.append(f"⟳ waiting {_whole(progress.waiting)} for the rate limit")
    elif running and progress.left:
        words.append(f"{_whole(progress.left)} left")
    return words


def _count(progress: Progress) -> str:
    done, total = progress.done, progress.total
    mark = "" if progress.state == "running" else f"{_ENDS[progress.state]} "
    if total is None or (progress.state == "done" and done == total):
        return f"{mark}{done:,} {'row' if done == 1 else 'rows'}"
    return f"{mark}{done:,} of {total:,} {'row' if total == 1 else 'rows'}"


def _rate(rate: float) -> str:
    if rate < 1:
        return f"{rate * 60:.0f} rows/min" if rate * 60 >= 1 else f"{rate * 3600:.0f} rows/h"
    return f"{rate:.1f} rows/s" if rate < 10 else f"{rate:,.0f} rows/s"


def _whole(value: float) -> str:
    """Return a duration without tenths, which would flicker."""
    return f"{max(1, math.ceil(value))} s" if value < 60 else seconds(value)
