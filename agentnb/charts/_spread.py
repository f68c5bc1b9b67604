"""How durations are spread: quantiles on a logarithmic axis of seconds."""

from __future__ import annotations

import math
from typing import Any, Final

import altair as alt
import pandas as pd

from agentnb.charts import _look as look
from agentnb.charts._frame import as_frame, biggest, by_column, grouped_names, need, seconds
from agentnb.charts._look import FINE, LABEL, NOTE, ROW, WIDTH, LayerChart, empty, layers
from agentnb.charts._look import title as titled

__all__ = ["latency", "spread", "time_to_first_token"]

_MOST_GROUPS: Final = 10
# Of each group, at the most; evenly spaced quantiles, so that they show the same shape as all.
_MOST_POINTS: Final = 120
# A clock's resolution; a logarithmic axis has no zero.
_SHORTEST: Final = 0.001
_FEWEST_TICKS: Final = 4
_P50: Final = "p50 (median)"
_P95: Final = "p95"


def latency(runs: Any, *, by: str = "agent") -> LayerChart:
    """Draw how long runs took, from sending to their end, by agent.

    ``runs`` is a table of `agentnb.runs`.  For each group: every run as a faint stroke (where there
    are many, a fair choice of 120), a box from p25 to p75, a line from p5 to p95, and marks at p50
    and p95.  The axis is logarithmic, in seconds.  ``by`` is as for `usage`; runs that have not
    ended are left out.

    Raises:
        RequestError: a column that this needs is missing.
    """
    return _of_runs(runs, "latency", "duration", by, "Latency", "Duration")


def time_to_first_token(runs: Any, *, by: str = "agent") -> LayerChart:
    """Draw how long runs took to their first fragment of answer or reasoning, by agent.

    As `latency`; runs that brought no text are left out.

    Raises:
        RequestError: a column that this needs is missing.
    """
    return _of_runs(
        runs, "time_to_first_token", "time_to_first_token", by, "Time to first token", None
    )


def _of_runs(
    table: Any, caller: str, column: str, by: str, heading: str, axis: str | None
) -> LayerChart:
    frame = as_frame(table, caller)
    need(frame, caller, column, of="runs")
    grouping, named = by_column(frame, caller, by, of="runs")
    rows = pd.DataFrame({"name": grouped_names(frame[grouping]), "seconds": seconds(frame[column])})
    return spread(
        rows, heading=f"{heading} by {named.lower()}", axis=axis or heading, group=named, of="runs"
    )


def spread(rows: pd.DataFrame, *, heading: str, axis: str, group: str, of: str) -> LayerChart:
    """Draw ``rows`` (``name``, ``seconds``), one line of the chart for each name."""
    axis = f"{axis} (s, logarithmic)"
    known = rows.dropna(subset=["seconds"])
    if known.empty:
        note = f"No {of}" if rows.empty else f"No {of} with a duration"
        return empty(note, x=axis, y=group, heading=heading)
    known = known.assign(seconds=known["seconds"].clip(lower=_SHORTEST))
    ones = pd.Series(1.0, index=known.index)
    shown = biggest(known["name"], ones, most=_MOST_GROUPS)
    known["name"] = known["name"].map(shown)
    order = list(dict.fromkeys(shown.values()))
    figures = pd.DataFrame([_figures(name, part) for name, part in _groups(known, order)])
    points = pd.DataFrame(
        [
            {"name": name, "seconds": value}
            for name, part in _groups(known, order)
            for value in _chosen(part)
        ]
    )
    marks = figures.melt(
        id_vars=["name", "runs"], value_vars=[_P50, _P95], var_name="mark", value_name="at"
    )
    y = alt.Y("name:N", title=group, sort=order, axis=look.axis(labelLimit=LABEL))
    lowest, highest = points["seconds"].min(), points["seconds"].max()
    scale = alt.Scale(type="log", domain=_domain(lowest, highest), nice=False)
    ticks = look.axis(values=_ticks(*_domain(lowest, highest)), format="~f")

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
        .mark_tick(color=FINE, opacity=0.25, thickness=1, size=ROW * 0.75)
        .encode(x=x("seconds"), y=y)
    )
    whiskers = (
        alt.Chart(figures)
        .mark_rule(color=NOTE)
        .encode(x=x("p5"), x2=alt.X2("p95"), y=y, tooltip=tooltip)
    )
    boxes = (
        alt.Chart(figures)
        .mark_bar(color=FINE, opacity=0.65, size=ROW * 0.5)
        .encode(x=x("p25"), x2="p75", y=y, tooltip=tooltip)
    )
    at = (
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
                legend=look.legend(),
            ),
            # Of different size, so that both are seen where they are in one place.
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
    return layers(
        strokes,
        whiskers,
        boxes,
        at,
        title=titled(heading, "Box: p25 to p75. Line: p5 to p95.", note),
        width=WIDTH,
        height=alt.Step(ROW + 8),
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


def _chosen(part: pd.Series[Any]) -> list[float]:
    if len(part) <= _MOST_POINTS:
        return sorted(part)
    steps = [at / (_MOST_POINTS - 1) for at in range(_MOST_POINTS)]
    return part.quantile(steps, interpolation="nearest").tolist()


def _domain(lowest: float, highest: float) -> tuple[float, float]:
    """Return the axis' ends: the next of 1, 2, 5 below and above."""
    low, high = _next(lowest / 1.05, up=False), _next(highest * 1.05, up=True)
    # One run alone would stand between two labels.
    while len(_ticks(low, high)) < _FEWEST_TICKS:
        low, high = _next(low / 1.05, up=False), _next(high * 1.05, up=True)
    return low, high


def _next(value: float, *, up: bool) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    steps = [power * step for step in (1, 2, 5, 10)]
    return (
        next(step for step in steps if step >= value)
        if up
        else next(step for step in reversed(steps) if step <= value)
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5 of each power of ten, or only the powers where that would be too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 5 else (1,)
    values = [round(step * 10.0**power, 12) for power in powers for step in steps]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]
