"""Amounts over time as stacked bars, one for each period."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import altair as alt
import pandas as pd

from agentnb.charts._data import as_frame, group_column, group_labels, require_columns, top_groups
from agentnb.charts._style import (
    HEIGHT,
    WIDTH,
    Chart,
    LayerChart,
    axis,
    colours,
    empty,
    integer_ticks,
    title,
)
from agentnb.errors import RequestError

__all__ = ["Amount", "Freq", "local_times", "stacked_bars", "usage"]

Freq = Literal["minute", "hour", "day", "week", "month"]
FREQS: Final[tuple[Freq, ...]] = ("minute", "hour", "day", "week", "month")
# More bars could not be distinguished.
_MAX_PERIODS: Final = 240
_MAX_GROUPS: Final = 10
_MAX_PERIODS_WITH_GAPS: Final = 60
_MAX_LABELS: Final = 8
_LENGTHS: Final[dict[Freq, pd.Timedelta]] = {
    "minute": pd.Timedelta(minutes=1),
    "hour": pd.Timedelta(hours=1),
    "day": pd.Timedelta(days=1),
    "week": pd.Timedelta(days=7),
    "month": pd.Timedelta(days=30),
}
_LABELS: Final[dict[Freq, str]] = {
    "minute": "%H:%M",
    "hour": "%b %d, %H:%M",
    "day": "%Y-%m-%d",
    "week": "%Y-%m-%d",
    "month": "%Y-%m",
}


@dataclass(frozen=True)
class Amount:
    """A column to sum: its title with the unit, number format, and heading."""

    column: str
    title: str
    format: str
    heading: str


_AMOUNTS: Final[dict[str, Amount]] = {
    "runs": Amount("runs", "Runs", ",d", "Runs"),
    "cost_usd": Amount("cost_usd", "Cost (USD)", "$,.3~r", "Cost"),
    "total_tokens": Amount("total_tokens", "Tokens", ".3~s", "Tokens"),
    "input_tokens": Amount("input_tokens", "Input tokens", ".3~s", "Input tokens"),
    "output_tokens": Amount("output_tokens", "Output tokens", ".3~s", "Output tokens"),
    "cached_tokens": Amount("cached_tokens", "Cached tokens", ".3~s", "Cached tokens"),
    "reasoning_tokens": Amount("reasoning_tokens", "Reasoning tokens", ".3~s", "Reasoning tokens"),
    "tool_calls": Amount("tool_calls", "Tool calls", ",d", "Tool calls"),
}
_ALIASES: Final = {"tokens": "total_tokens", "cost": "cost_usd"}


def usage(
    runs: Any, *, freq: Freq = "day", value: str = "total_tokens", by: str = "agent"
) -> Chart | LayerChart:
    """Draw usage over time: one bar per period, stacked by agent.

    ``runs`` is a table of `agentnb.runs`, or of `agentnb.usage` by a period.  ``freq`` is
    ``minute``, ``hour``, ``day``, ``week`` or ``month``, in the time zone of the table; instead of
    more than 240 bars, the next longer period is drawn, and the chart says so.  ``value`` is
    ``total_tokens`` (or another column of tokens), ``cost_usd``, ``tool_calls`` or ``runs``;
    missing values count 0.  ``by`` is ``agent``, ``platform``, ``model``, ``user``,
    ``session``, ``status`` or ``source``; groups beyond the biggest ten are drawn as one.

    Raises:
        RequestError: a column is missing, or an option is unknown.
    """
    frame = as_frame(runs, "usage")
    value = _ALIASES.get(value, value)
    if value not in _AMOUNTS:
        raise RequestError(
            f"charts.usage cannot add up '{value}'.", hint=f"It knows: {', '.join(_AMOUNTS)}."
        )
    amount = _AMOUNTS[value]
    column, label = group_column(frame, "usage", by, of="runs")
    times, zone = local_times(frame, "usage")
    if value == "runs":
        counts = frame["runs"] if "runs" in frame.columns else pd.Series(1.0, index=frame.index)
    else:
        require_columns(frame, "usage", value, of="runs")
        counts = frame[value]
    rows = pd.DataFrame(
        {
            "time": times,
            "name": group_labels(frame[column]),
            "amount": counts.astype("Float64").astype("float64"),
        }
    )
    return stacked_bars(rows, freq=freq, amount=amount, zone=zone, group=label, caller="usage")


def local_times(frame: pd.DataFrame, caller: str) -> tuple[pd.Series[Any], str]:
    """Return the start of each row as wall-clock time, and the name of its time zone.

    Raises:
        RequestError: the table has no such column.
    """
    periods = [freq for freq in FREQS if freq in frame.columns]
    if "started_at" not in frame.columns and periods:
        column: Any = frame[periods[0]]
    else:
        require_columns(frame, caller, "started_at", of="runs")
        column = frame["started_at"]
    times = cast("Any", pd).to_datetime(column)
    zone = getattr(times.dtype, "tz", None)
    return (times if zone is None else times.dt.tz_localize(None)), str(zone or "local time")


def stacked_bars(
    rows: pd.DataFrame,
    *,
    freq: Freq,
    amount: Amount,
    zone: str,
    group: str,
    caller: str,
    empty_note: str = "No runs",
) -> Chart | LayerChart:
    """Draw ``rows`` (``time``, ``name``, ``amount`` or NaN) by period and name.

    ``empty_note`` is the note in a chart without rows.
    """
    if freq not in FREQS:
        raise RequestError(
            f"charts.{caller} knows no period '{freq}'.", hint=f"It knows: {', '.join(FREQS)}."
        )
    known = rows.dropna(subset=["time", "amount"])
    heading = f"{amount.heading} by {freq} and {group.lower()}"
    if known.empty:
        note = empty_note if rows.empty else f"No run reports its {amount.heading.lower()}"
        return empty(note, x=f"{freq.capitalize()} ({zone})", y=amount.title, heading=heading)
    finest = freq
    begins = _begins(known["time"], freq)
    while begins.nunique() > _MAX_PERIODS and freq != FREQS[-1]:
        freq = FREQS[FREQS.index(freq) + 1]
        begins = _begins(known["time"], freq)
    heading = f"{amount.heading} by {freq} and {group.lower()}"
    labels = top_groups(known["name"], known["amount"], most=_MAX_GROUPS)
    order = list(dict.fromkeys(labels.values()))
    sums: Any = (
        known.assign(begin=begins, name=known["name"].map(labels))
        .groupby(["begin", "name"], sort=True)["amount"]
        .sum()
        .reset_index()
    )
    sums = sums[sums["amount"] != 0] if (sums["amount"] != 0).any() else sums
    sums["end"] = _ends(sums["begin"], freq)
    sums["rank"] = sums["name"].map({name: rank for rank, name in enumerate(order)})
    periods = sums["begin"].nunique()
    if periods <= _MAX_PERIODS_WITH_GAPS:
        # A gap between bars.
        sums["end"] -= (sums["end"] - sums["begin"]) * 0.06
    first, last = sums["begin"].min(), sums["end"].max()
    # A single bar would fill the chart.
    margin = (last - first) * 2 if periods == 1 else pd.Timedelta(0)
    for edge in ("begin", "end"):
        sums[edge] = sums[edge].dt.tz_localize("UTC")
    missing = len(rows) - len(known)
    notes = [
        f"By {freq}, because there are more than {_MAX_PERIODS} {finest}s." * (freq != finest),
        f"{missing:,} of {len(rows):,} rows report none and are left out." * bool(missing),
    ]
    x = alt.X(
        "begin:T",
        title=f"{freq.capitalize()} ({zone})",
        scale=alt.Scale(
            type="utc",
            domain=[f"{edge.isoformat()}Z" for edge in (first - margin, last + margin)]
            if margin
            else alt.Undefined,
        ),
        axis=axis(
            format=_LABELS[freq],
            labelOverlap=True,
            grid=False,
            **_ticks(freq, first - margin, last + margin),
        ),
    )
    return (
        Chart(sums)
        .mark_bar(orient="vertical")
        .encode(
            x=x,
            x2="end:T",
            y=alt.Y(
                "amount:Q",
                title=amount.title,
                stack="zero",
                axis=axis(
                    format=amount.format,
                    values=integer_ticks(sums.groupby("begin")["amount"].sum().max())
                    if amount.format == ",d"
                    else alt.Undefined,
                ),
            ),
            color=alt.Color(
                "name:N",
                title=group,
                scale=alt.Scale(domain=order, range=colours(order)),
                legend=alt.Legend(labelLimit=200),
            ),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("begin:T", title=freq.capitalize(), format=_LABELS[freq]),
                alt.Tooltip("name:N", title=group),
                alt.Tooltip("amount:Q", title=amount.title, format=_exact(amount)),
            ],
        )
        .properties(width=WIDTH, height=HEIGHT, title=title(heading, *notes))
    )


def _exact(amount: Amount) -> str:
    return ",.0f" if amount.format == ".3~s" else "$,.4~f" if "$" in amount.format else ",d"


def _begins(times: pd.Series[Any], freq: Freq) -> pd.Series[Any]:
    if freq in ("minute", "hour"):
        return times.dt.floor("min" if freq == "minute" else "h")
    days: Any = times.dt.normalize()
    if freq == "day":
        return days
    since_begin = days.dt.day_of_week if freq == "week" else days.dt.day - 1
    return days - cast("Any", pd).to_timedelta(since_begin, unit="D")


def _ends(begins: pd.Series[Any], freq: Freq) -> pd.Series[Any]:
    if freq == "month":
        return begins + pd.offsets.MonthBegin(1)
    return begins + _LENGTHS[freq]


def _ticks(freq: Freq, first: pd.Timestamp, last: pd.Timestamp) -> dict[str, Any]:
    """Return the ticks of the time axis: one for each bar if there are few."""
    periods = math.ceil((last - first) / _LENGTHS[freq])
    if freq == "week":
        # Vega's weeks begin on Sunday.
        step = math.ceil(periods / _MAX_LABELS)
        begins = [first + i * step * _LENGTHS[freq] for i in range(math.ceil(periods / step))]
        return {"values": [begin.timestamp() * 1000 for begin in begins]}
    if periods <= _MAX_LABELS and freq in ("day", "month"):
        # A number would put labels of hours within a day.  Vega has no such step for hours.
        return {"tickCount": alt.TimeIntervalStep(interval=freq, step=1)}
    return {"tickCount": max(2, min(_MAX_LABELS, periods))}
