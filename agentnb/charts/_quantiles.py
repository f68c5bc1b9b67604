"""Distributions of durations: quantiles on a logarithmic axis of seconds."""

from __future__ import annotations

import math
from typing import Any, Final

import altair as alt
import pandas as pd

from agentnb.charts import _style as style
from agentnb.charts._data import (
    as_frame,
    group_column,
    group_labels,
    require_columns,
    seconds,
    top_groups,
)
from agentnb.charts._style import (
    LABEL_WIDTH,
    NOTE_COLOUR,
    OK_COLOUR,
    ROW_HEIGHT,
    WIDTH,
    LayerChart,
    empty,
    layered,
)
from agentnb.charts._style import title as titled

__all__ = ["latency", "quantile_chart", "time_to_first_token"]

_MAX_GROUPS: Final = 10
# Of each group; evenly spaced quantiles have the shape of all points.
_MAX_POINTS: Final = 120
# In seconds, about a clock's resolution; a logarithmic axis has no zero.
_SHORTEST: Final = 0.001
_MIN_TICKS: Final = 4
_P50: Final = "p50 (median)"
_P95: Final = "p95"


def latency(runs: Any, *, by: str = "agent") -> LayerChart:
    """Draw the durations of runs, from the request to the end, by agent.

    ``runs`` is a table of `agentnb.runs`.  For each group: every run as a faint stroke (of many, a
    sample of 120), a box from p25 to p75, a line from p5 to p95, and marks at p50
    and p95.  The axis is logarithmic, in seconds.  ``by`` is as for `usage`; unfinished runs
    are left out.

    Raises:
        RequestError: a column is missing.
    """
    return _of_runs(runs, "latency", "duration", by, "Latency", "Duration")


def time_to_first_token(runs: Any, *, by: str = "agent") -> LayerChart:
    """Draw the times from the request to the first text of answer or reasoning, by agent.

    Like `latency`; runs without text are left out.

    Raises:
        RequestError: a column is missing.
    """
    return _of_runs(
        runs, "time_to_first_token", "time_to_first_token", by, "Time to first token", None
    )


def _of_runs(
    table: Any, caller: str, column: str, by: str, heading: str, axis: str | None
) -> LayerChart:
    frame = as_frame(table, caller)
    require_columns(frame, caller, column, of="runs")
    grouping, label = group_column(frame, caller, by, of="runs")
    rows = pd.DataFrame({"name": group_labels(frame[grouping]), "seconds": seconds(frame[column])})
    return quantile_chart(
        rows, heading=f"{heading} by {label.lower()}", axis=axis or heading, group=label, of="runs"
    )


def quantile_chart(
    rows: pd.DataFrame, *, heading: str, axis: str, group: str, of: str
) -> LayerChart:
    """Draw ``rows`` (``name``, ``seconds``), one line for each name."""
    axis = f"{axis} (s, logarithmic)"
    known = rows.dropna(subset=["seconds"])
    if known.empty:
        note = f"No {of}" if rows.empty else f"No {of} with a duration"
        return empty(note, x=axis, y=group, heading=heading)
    known = known.assign(seconds=known["seconds"].clip(lower=_SHORTEST))
    ones = pd.Series(1.0, index=known.index)
    labels = top_groups(known["name"], ones, most=_MAX_GROUPS)
    known["name"] = known["name"].map(labels)
    order = list(dict.fromkeys(labels.values()))
    figures = pd.DataFrame([_figures(name, part) for name, part in _groups(known, order)])
    points = pd.DataFrame(
        [
            {"name": name, "seconds": value}
            for name, part in _groups(known, order)
            for value in _sample(part)
        ]
    )
    marks = figures.melt(
        id_vars=["name", "runs"], value_vars=[_P50, _P95], var_name="mark", value_name="at"
    )
    y = alt.Y("name:N", title=group, sort=order, axis=style.axis(labelLimit=LABEL_WIDTH))
    lowest, highest = points["seconds"].min(), points["seconds"].max()
    scale = alt.Scale(type="log", domain=_domain(lowest, highest), nice=False)
    ticks = style.axis(values=_ticks(*_domain(lowest, highest)), format="~f")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=axis, scale=scale, axis=ticks)

    tooltip = [
        alt.Tooltip("name:N", title=group),
        alt.Tooltip("runs:Q", title=of.capitalize(), format=",d"),
        *(
            alt.Tooltip(f"{name}:Q", title=f"{name} (s)", format=".3~g")
            for name in ("min", "p5", "p25", _P50, "p75", _P95, "max")
        ),
    ]
    strokes = (
        alt.Chart(points)
        .mark_tick(color=OK_COLOUR, opacity=0.25, thickness=1, size=ROW_HEIGHT * 0.75)
        .encode(x=x("seconds"), y=y)
    )
    whiskers = (
        alt.Chart(figures)
        .mark_rule(color=NOTE_COLOUR)
        .encode(x=x("p5"), x2=alt.X2("p95"), y=y, tooltip=tooltip)
    )
    boxes = (
        alt.Chart(figures)
        .mark_bar(color=OK_COLOUR, opacity=0.65, size=ROW_HEIGHT * 0.5)
        .encode(x=x("p25"), x2="p75", y=y, tooltip=tooltip)
    )
    percentiles = (
        alt.Chart(marks)
        .mark_point(filled=True, opacity=1, stroke="white", strokeWidth=1)
        .encode(
            x=x("at"),
            y=y,
            shape=alt.Shape(
                "mark:N",
                title=None,
                scale=alt.Scale(domain=[_P50, _P95], range=["circle", "diamond"]),
            ),
            color=alt.Color(
                "mark:N",
                title=None,
                scale=alt.Scale(domain=[_P50, _P95], range=["#1f9e89", "#f28e2b"]),
                legend=style.legend(),
            ),
            # Different sizes, so that both are visible in one place.
            size=alt.Size(
                "mark:N",
                title=None,
                scale=alt.Scale(domain=[_P50, _P95], range=[110, 70]),
            ),
            tooltip=[
                alt.Tooltip("name:N", title=group),
                alt.Tooltip("mark:N", title="Mark"),
                alt.Tooltip("at:Q", title="Seconds", format=".3~g"),
                alt.Tooltip("runs:Q", title=of.capitalize(), format=",d"),
            ],
        )
    )
    missing = len(rows) - len(known)
    note = f"{missing:,} of {len(rows):,} {of} have none and are left out." * bool(missing)
    return layered(
        strokes,
        whiskers,
        boxes,
        percentiles,
        title=titled(heading, "Box: p25 to p75. Line: p5 to p95.", note),
        width=WIDTH,
        height=alt.Step(ROW_HEIGHT + 8),
    )


def _groups(rows: pd.DataFrame, order: list[str]) -> list[tuple[str, pd.Series[Any]]]:
    parts: dict[Any, Any] = dict(list(rows.groupby("name", sort=False)["seconds"]))
    return [(name, parts[name]) for name in order]


def _figures(name: str, part: pd.Series[Any]) -> dict[str, Any]:
    low, first, half, third, high = part.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    return {
        "name": name,
        "runs": len(part),
        "min": part.min(),
        "p5": low,
        "p25": first,
        _P50: half,
        "p75": third,
        "p95": high,
        "max": part.max(),
    }


def _sample(part: pd.Series[Any]) -> list[float]:
    if len(part) <= _MAX_POINTS:
        return sorted(part)
    steps = [i / (_MAX_POINTS - 1) for i in range(_MAX_POINTS)]
    return part.quantile(steps, interpolation="nearest").tolist()


def _domain(lowest: float, highest: float) -> tuple[float, float]:
    """Return the ends of the axis: the next of 1, 2, 5 below and above."""
    low, high = _next(lowest / 1.05, up=False), _next(highest * 1.05, up=True)
    # A single run would be between two labels.
    while len(_ticks(low, high)) < _MIN_TICKS:
        low, high = _next(low / 1.05, up=False), _next(high * 1.05, up=True)
    return low, high


def _next(value: float, *, up: bool) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    steps = [power * step for step in (1, 2, 5, 10)]
    if up:
        return next(step for step in steps if step >= value)
    return next(step for step in reversed(steps) if step <= value)


def _ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5 of each power of ten, or only the powers if those are too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 5 else (1,)
    values = [round(step * 10.0**power, 12) for power in powers for step in steps]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]
