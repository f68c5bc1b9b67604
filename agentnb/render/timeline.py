"""Render a run's timeline as a collapsed HTML table with a bar for each segment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from agentnb.event.timeline import Kind, Segment
from agentnb.render.markup import Html, Style, bar_style, element, joined
from agentnb.render.view import brief_seconds
from agentnb.render.visible import one_line

# Each has a contrast of 3 to 1 with white and with Jupyter's dark backgrounds.
_COLOURS: Final[dict[Kind, str]] = {
    "waiting": "#888",
    "reasoning": "#96c",
    "text": "#47d",
    "tool": "#295",
    "approval": "#b70",
    "step": "#678",
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
# As long as any formatted duration, and as any bar.
_LONGEST_TIME: Final = "59 min 59 s"
_LONGEST_BAR: Final = bar_style(100, 100, _FAILED)


def timeline_html(
    segments: Sequence[Segment], took: float, *, room: int | None = None, line: int = 0
) -> Html | None:
    """Return the timeline of a run of ``took`` seconds, or None if it has fewer than two rows.

    There are at most 40 rows, and no more than fit in ``room`` bytes; the last one sums up all
    further segments.  Their number does not depend on times, so that a notebook which is executed
    again has the same.  ``line`` is the cost of a line in bytes besides its text; a quote costs one
    more.
    """
    end = max(took, *(segment.end for segment in segments), 1e-6) if segments else 0.0

    def table(count: int, *, is_longest: bool = False) -> Html:
        single = segments[: count - (count < len(segments))]
        labels = [(_label(each), each) for each in single]
        if rest := segments[len(single) :]:
            start, last = min(each.start for each in rest), max(each.end for each in rest)
            span = Segment("waiting", "", start, last, None, "")
            labels.append((joined([f"… {len(rest):,} more"]), span))
        rows: list[str] = []
        for label, each in labels:
            bar = _LONGEST_BAR if is_longest else _bar(each, end)
            duration = _LONGEST_TIME if is_longest else brief_seconds(each.end - each.start)
            rows += [_row(label, bar, duration), "\n"]
        return _table(_LONGEST_TIME if is_longest else brief_seconds(end), rows)

    def cost(count: int) -> int:
        markup = table(count, is_longest=True)
        # A no-break space is written as an entity, of four bytes more.
        size = len(markup.encode()) + 4 * markup.count("\u00a0") + markup.count('"')
        return size + line * (markup.count("\n") + 1)

    count = min(_MAX_ROWS, len(segments))
    if room is not None:
        count = bisect_right(range(1, count + 1), room, key=cost)
    return table(count) if count >= _MIN_ROWS else None


def _table(end: str, rows: list[str]) -> Html:
    head = [
        element("th", "Step", scope="col", style=Style.PLOT_LABELS),
        element("th", f"0 to {end}", scope="col", style=Style.LEFT),
    ]
    table = element(
        "table",
        element("thead", element("tr", *head)),
        "\n",
        element("tbody", *rows),
        dir="ltr",
        style=Style.PLOT,
    )
    return element("details", element("summary", "Timeline"), table, style=Style.FOLDED)


def _row(label: Html, bar: str, duration: str) -> Html:
    duration = duration.replace(" ", "\u00a0")
    return element(
        "tr",
        element("td", label, f" · {duration}", style=Style.LEFT),
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


def _bar(segment: Segment, end: float) -> str:
    left, right = (100 * at / end for at in (segment.start, segment.end))
    colour = _FAILED if segment.status == "failed" else _COLOURS[segment.kind]
    return bar_style(left, right - left, colour)
