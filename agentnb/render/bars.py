"""A run's timeline as HTML: a folded table with one bar for each stretch of time."""

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
# Each stands out by 3 to 1 from white and from Jupyter's dark grounds.
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
_MOST: Final = 40
_FEWEST: Final = 2
_NAME: Final = 40
# As wide as a duration is ever written.
_LONGEST: Final = "59 min 59 s"


def timeline_html(
    segments: Sequence[Segment], took: float, *, room: int | None = None, line: int = 0
) -> Html | None:
    """Return the timeline of a run that took so many seconds; None where it would say nothing.

    It says nothing of fewer than two segments, nor where no two bars fit in ``room`` bytes.  There
    are at most 40 bars; the last one stands for all that have none of their own.  How many there
    are does not depend on times, so a notebook that is executed again has the same.  ``line`` are
    the bytes that a line costs beside its text; a quote costs one more.
    """
    if len(segments) < _FEWEST:
        return None
    count = _fitting(segments, room, line)
    if count < _FEWEST:
        return None
    whole = max(took, *(segment.end for segment in segments), 1e-6)
    rows: list[str] = []
    for segment in segments[: count if count == len(segments) else count - 1]:
        rows += [_row(_label(segment), _bar(segment, whole), _spent(segment)), "\n"]
    if rest := segments[len(rows) // 2 :]:
        start, end = min(one.start for one in rest), max(one.end for one in rest)
        spanned = Segment("waiting", "", start, end, None, "")
        rows += [_row(_more(len(rest)), _bar(spanned, whole), _spent(spanned)), "\n"]
    return _table(brief_seconds(whole), rows)


def _fitting(segments: Sequence[Segment], room: int | None, line: int) -> int:
    """Return how many rows there is room for, the one that sums up the rest among them."""
    most = min(_MOST, len(segments))
    if room is None:
        return most
    widest = bar_style(100, 100, _FAILED)

    def cost(markup: str) -> int:
        # A space that does not break is written as an entity, of four bytes more.
        spaces = 4 * markup.count("\u00a0")
        return len(markup.encode()) + spaces + markup.count('"') + line * (markup.count("\n") + 1)

    rows = [cost(_row(_label(one), widest, _LONGEST)) for one in segments[:most]]
    more = cost(_row(_more(len(segments)), widest, _LONGEST))
    left = room - cost(_table(_LONGEST, []))
    if most == len(segments) and sum(rows) <= left:
        return most
    left -= more
    fitting = 0
    for each in rows[: most - 1]:
        left -= each
        if left < 0:
            break
        fitting += 1
    return fitting + 1


def _table(took: str, rows: list[str]) -> Html:
    head = [
        element("th", "Step", scope="col", style=PLOT_LABELS),
        element("th", f"0 to {took}", scope="col", style=_LEFT),
    ]
    made = element(
        "table",
        element("thead", element("tr", *head)),
        "\n",
        element("tbody", *rows),
        dir="ltr",
        style=PLOT,
    )
    return element("details", element("summary", "Timeline"), made, style=FOLDED)


def _row(label: Html, bar: str, took: str) -> Html:
    spent = took.replace(" ", "\u00a0")
    return element(
        "tr",
        element("td", label, f" · {spent}", style=_LEFT),
        element("td", element("div", style=bar)),
    )


def _label(segment: Segment) -> Html:
    # A tool may be called as anything; its name is set as the name of a tool.
    name = one_line(segment.label, _NAME)
    words: list[str] = [element("code", name) if segment.kind == "tool" else name]
    if segment.kind == "approval" and segment.label != "Approval":
        words = ["Approval: ", element("code", name)]
    if mark := _STATUS.get(segment.status or ""):
        words.append(f" {mark}")
    return joined(words)


def _more(count: int) -> Html:
    return joined([f"… {count:,} more"])


def _spent(segment: Segment) -> str:
    return brief_seconds(segment.end - segment.start)


def _bar(segment: Segment, whole: float) -> str:
    left, right = (100 * at / whole for at in (segment.start, segment.end))
    colour = _FAILED if segment.status == "failed" else _COLOURS[segment.kind]
    return bar_style(left, right - left, colour)
