"""Distributions of durations: quantiles on a logarithmic axis of seconds."""

from __future__ import annotations

import math
from typing import Any, Final

import altair as alt
import pandas as pd

from agentnb.charts import _style as style
from agentnb.charts._data import grouped, seconds, table, top_groups
from agentnb.charts._style import LayerChart

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
    name, heading = "time_to_first_token", "Time to first token"
    return _of_runs(runs, name, name, by, heading, heading)


def _of_runs(runs: Any, caller: str, column: str, by: str, heading: str, axis: str) -> LayerChart:
    frame = table(runs, caller, column)
    names, label = grouped(frame, caller, by)
    rows = pd.DataFrame({"name": names, "seconds": seconds(frame[column])})
    heading = f"{heading} by {label.lower()}"
    return quantile_chart(rows, heading=heading, axis=axis, group=label, of="runs")


def quantile_chart(
    rows: pd.DataFrame, *, heading: str, axis: str, group: str, of: str
) -> LayerChart:
    """Draw ``rows`` (``name``, ``seconds``), one line for each name."""
    axis = f"{axis} (s, logarithmic)"
    known = rows.dropna(subset=["seconds"])
    if known.empty:
        note = f"No {of}" if rows.empty else f"No {of} with a duration"
        return style.empty(note, x=axis, y=group, heading=heading)
    known = known.assign(seconds=known["seconds"].clip(lower=_SHORTEST))
    ones = pd.Series(1.0, index=known.index)
    labels = top_groups(known["name"], ones, most=_MAX_GROUPS)
    order = list(dict.fromkeys(labels.values()))
    found: Any = dict(iter(known.groupby(known["name"].map(labels))["seconds"]))
    parts: dict[str, pd.Series[Any]] = {name: found[name] for name in order}
    figures = pd.DataFrame([_figures(name, part) for name, part in parts.items()])
    samples = [(name, value) for name, part in parts.items() for value in _sample(part)]
    points = pd.DataFrame(samples, columns=["name", "seconds"])
    marks = figures.melt(
        id_vars=["name", "runs"], value_vars=[_P50, _P95], var_name="mark", value_name="at"
    )
    y = alt.Y("name:N", title=group, sort=order, axis=style.axis(labelLimit=style.LABEL_WIDTH))
    domain = _domain(points["seconds"].min(), points["seconds"].max())
    scale = alt.Scale(type="log", domain=domain, nice=False)
    ticks = style.axis(values=_ticks(*domain), format="~f")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=axis, scale=scale, axis=ticks)

    def by_mark(values: list[Any]) -> dict[str, Any]:
        return {"title": None, "scale": alt.Scale(domain=[_P50, _P95], range=values)}

    count = alt.Tooltip("runs:Q", title=of.capitalize(), format=",d")
    tooltip = [
        alt.Tooltip("name:N", title=group),
        count,
        *(
            alt.Tooltip(f"{name}:Q", title=f"{name} (s)", format=".3~g")
            for name in ("min", "p5", "p25", _P50, "p75", _P95, "max")
        ),
    ]
    strokes = (
        alt.Chart(points)
        .mark_tick(color=style.OK_COLOUR, opacity=0.25, thickness=1, size=style.ROW_HEIGHT * 0.75)
        .encode(x=x("seconds"), y=y)
    )
    whiskers = (
        alt.Chart(figures)
        .mark_rule(color=style.NOTE_COLOUR)
        .encode(x=x("p5"), x2=alt.X2("p95"), y=y, tooltip=tooltip)
    )
    boxes = (
        alt.Chart(figures)
        .mark_bar(color=style.OK_COLOUR, opacity=0.65, size=style.ROW_HEIGHT * 0.5)
        .encode(x=x("p25"), x2="p75", y=y, tooltip=tooltip)
    )
    percentiles = (
        alt.Chart(marks)
        .mark_point(filled=True, opacity=1, stroke="white", strokeWidth=1)
        .encode(
            x=x("at"),
            y=y,
            shape=alt.Shape("mark:N", **by_mark(["circle", "diamond"])),
            color=style.colour("mark:N", {_P50: "#1f9e89", _P95: "#f28e2b"}),
            # Different sizes, so that both are visible in one place.
            size=alt.Size("mark:N", **by_mark([110, 70])),
            tooltip=[
                alt.Tooltip("name:N", title=group),
                alt.Tooltip("mark:N", title="Mark"),
                alt.Tooltip("at:Q", title="Seconds", format=".3~g"),
                count,
            ],
        )
    )
    note = style.left_out(rows, known, f"{of} have none")
    return style.layered(
        *(strokes, whiskers, boxes, percentiles),
        title=style.title(heading, "Box: p25 to p75. Line: p5 to p95.", note),
        height=alt.Step(style.ROW_HEIGHT + 8),
    )


def _figures(name: str, part: pd.Series[Any]) -> dict[str, Any]:
    quantiles = {"p5": 0.05, "p25": 0.25, _P50: 0.5, "p75": 0.75, "p95": 0.95}
    values = part.quantile(list(quantiles.values()))
    figures = dict(zip(quantiles, values, strict=True))
    return {"name": name, "runs": len(part), "min": part.min(), **figures, "max": part.max()}


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
