"""Render a run's timeline as a collapsed HTML table with a bar for each segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentnb.event.timeline import Kind, Segment
from agentnb.render.markup import (
    ALIGNMENTS,
    FOLDED,
    PLOT,
    PLOT_LABELS,
    Html,
    bar_style,
    element,
    joined,
)
from agentnb.render.view import brief_seconds
from agentnb.render.visible import one_line

__all__ = ["timeline_html"]

_LEFT: Final = ALIGNMENTS["left"]
# Each has a contrast of 3 to 1 with white and with Jupyter's dark backgrounds.
_COLOURS: Final[dict[Kind, str]] = {
    "waiting": "#888",
    "reasoning": "#96c",
    "text": "#47d",
    "tool": "#295",
    "approval": "#b70",
}
_FAILED: Final = "#d33"
_STATUS: Final = {
    "failed": "✗\u00a0failed",
    "running": "…\u00a0running",
    "pending": "…\u00a0pending",
    "abandoned": "■ not finished",
}
_MAX_ROWS: Final = 40
_MIN_ROWS: Final = 2
_MAX_NAME: Final = 40
# As wide as any formatted duration.
_WIDEST_DURATION: Final = "59 min 59 s"


def timeline_html(
    segments: Sequence[Segment], took: float, *, room: int | None = None, line: int = 0
) -> Html | None:
    """Return the timeline of a run of ``took`` seconds, or None if it has fewer than two rows.

    There are at most 40 rows, and no more than fit in ``room`` bytes; the last one sums up all
    further segments.  Their number does not depend on times, so that a notebook which is executed
    again has the same.  ``line`` is the cost of a line in bytes besides its text; a quote costs one
    more.
    """
    count = _row_count(segments, room, line) if len(segments) >= _MIN_ROWS else 0
    if count < _MIN_ROWS:
        return None
    end = max(took, *(segment.end for segment in segments), 1e-6)
    single = segments[: count if count == len(segments) else count - 1]
    rows = [_row(_label(each), _bar(each, end), _duration(each)) for each in single]
    if rest := segments[len(single) :]:
        start, last = min(each.start for each in rest), max(each.end for each in rest)
        span = Segment("waiting", "", start, last, None, "")
        rows.append(_row(_more(len(rest)), _bar(span, end), _duration(span)))
    return _table(brief_seconds(end), [piece for row in rows for piece in (row, "\n")])


def _row_count(segments: Sequence[Segment], room: int | None, line: int) -> int:
    """Return how many rows fit, the one that sums up the rest included."""
    most = min(_MAX_ROWS, len(segments))
    if room is None:
        return most
    widest = bar_style(100, 100, _FAILED)

    def cost(markup: str) -> int:
        # A no-break space is written as an entity, of four bytes more.
        spaces = 4 * markup.count("\u00a0")
        return len(markup.encode()) + spaces + markup.count('"') + line * (markup.count("\n") + 1)

    costs = [cost(_row(_label(each), widest, _WIDEST_DURATION)) for each in segments[:most]]
    left = room - cost(_table(_WIDEST_DURATION, []))
    if most == len(segments) and sum(costs) <= left:
        return most
    left -= cost(_row(_more(len(segments)), widest, _WIDEST_DURATION))
    count = 1
    for each in costs[: most - 1]:
        left -= each
        if left < 0:
            break
        count += 1
    return count


def _table(end: str, rows: list[str]) -> Html:
    head = [
        element("th", "Step", scope="col", style=PLOT_LABELS),
        element("th", f"0 to {end}", scope="col", style=_LEFT),
    ]
    table = element(
        "table",
        element("thead", element("tr", *head)),
        "\n",
        element("tbody", *rows),
        dir="ltr",
        style=PLOT,
    )
    return element("details", element("summary", "Timeline"), table, style=FOLDED)


def _row(label: Html, bar: str, duration: str) -> Html:
    duration = duration.replace(" ", "\u00a0")
    return element(
        "tr",
        element("td", label, f" · {duration}", style=_LEFT),
        element("td", element("div", style=bar)),
    )


def _label(segment: Segment) -> Html:
    # As code, so that a tool's name cannot pass for a label of agentnb.
    name = one_line(segment.label, _MAX_NAME)
    words: list[str] = [element("code", name) if segment.kind == "tool" else name]
    if segment.kind == "approval" and segment.label != "Approval":
        words = ["Approval: ", element("code", name)]
    if mark := _STATUS.get(segment.status or ""):
        words.append(f" {mark}")
    return joined(words)


def _more(count: int) -> Html:
    return joined([f"… {count:,} more"])


def _duration(segment: Segment) -> str:
    return brief_seconds(segment.end - segment.start)


def _bar(segment: Segment, end: float) -> str:
    left, right = (100 * at / end for at in (segment.start, segment.end))
    colour = _FAILED if segment.status == "failed" else _COLOURS[segment.kind]
    return bar_style(left, right - left, colour)
