"""Amounts over time, as stacked bars of one period each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import altair as alt
import pandas as pd

from agentnb.charts._frame import as_frame, biggest, by_column, grouped_names, need
from agentnb.charts._look import (
    HEIGHT,
    WIDTH,
    Chart,
    LayerChart,
    axis,
    colours,
    empty,
    title,
    whole,
)
from agentnb.errors import RequestError

__all__ = ["Amount", "Freq", "moments", "stacked", "usage"]

Freq = Literal["minute", "hour", "day", "week", "month"]
FREQS: Final[tuple[Freq, ...]] = ("minute", "hour", "day", "week", "month")
# More bars than this could not be told apart, and would only make the chart large.
_MOST_PERIODS: Final = 240
_MOST_GROUPS: Final = 10
_APART: Final = 60
_MOST_LABELS: Final = 8
_SPANS: Final[dict[Freq, pd.Timedelta]] = {
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
    """What is added up: its column, its name with the unit, how a figure of it is written."""

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
_OTHER_NAMES: Final = {"tokens": "total_tokens", "cost": "cost_usd"}


def usage(
    runs: Any, *, freq: Freq = "day", value: str = "total_tokens", by: str = "agent"
) -> Chart | LayerChart:
    """Draw what was used over time: one bar per period, stacked by agent.

    ``runs`` is a table of `agentnb.runs`, or of `agentnb.usage` by a period.  ``freq`` is
    ``minute``, ``hour``, ``day``, ``week`` or ``month``, in the time zone of the table; where there
    would be more than 240 bars, the next longer period is drawn, and the chart says so.  ``value``
    is ``total_tokens`` (or another column of tokens), ``cost_usd``, ``tool_calls`` or ``runs``;
    runs that report none count nothing.  ``by`` is ``agent``, ``platform``, ``model``, ``user``,
    ``session``, ``status`` or ``source``; beyond the biggest ten all are one: "other".

    Raises:
        RequestError: a column that this needs is missing, or an option is unknown.
    """
    frame = as_frame(runs, "usage")
    value = _OTHER_NAMES.get(value, value)
    if value not in _AMOUNTS:
        raise RequestError(
            f"charts.usage cannot add up '{value}'.", hint=f"It knows: {', '.join(_AMOUNTS)}."
        )
    amount = _AMOUNTS[value]
    column, named = by_column(frame, "usage", by, of="runs")
    when, zone = moments(frame, "usage")
    if value == "runs":
        counts = frame["runs"] if "runs" in frame.columns else pd.Series(1.0, index=frame.index)
    else:
        need(frame, "usage", value, of="runs")
        counts = frame[value]
    rows = pd.DataFrame(
        {
            "when": when,
            "name": grouped_names(frame[column]),
            "amount": counts.astype("Float64").astype("float64"),
        }
    )
    return stacked(rows, freq=freq, amount=amount, zone=zone, group=named, caller="usage")


def moments(frame: pd.DataFrame, caller: str) -> tuple[pd.Series[Any], str]:
    """Return when each row began as wall-clock time, and the name of its time zone.

    Raises:
        RequestError: the table has no such column.
    """
    periods = [freq for freq in FREQS if freq in frame.columns]
    if "started_at" not in frame.columns and periods:
        column: Any = frame[periods[0]]
    else:
        need(frame, caller, "started_at", of="runs")
        column = frame["started_at"]
    when = cast("Any", pd).to_datetime(column)
    zone = getattr(when.dtype, "tz", None)
    # Wall-clock time, because a period begins when it does for whoever reads the chart.
    return (when if zone is None else when.dt.tz_localize(None)), str(zone or "local time")


def stacked(
    rows: pd.DataFrame,
    *,
    freq: Freq,
    amount: Amount,
    zone: str,
    group: str,
    caller: str,
    nothing: str = "No runs",
) -> Chart | LayerChart:
    """Draw ``rows`` (``when``, ``name``, ``amount``; NaN where it is unknown) by period and name.

    ``nothing`` is what is said where there are none.
    """
    if freq not in FREQS:
        raise RequestError(
            f"charts.{caller} knows no period '{freq}'.", hint=f"It knows: {', '.join(FREQS)}."
        )
    known = rows.dropna(subset=["when", "amount"])
    heading = f"{amount.heading} by {freq} and {group.lower()}"
    if known.empty:
        note = nothing if rows.empty else f"No run reports its {amount.heading.lower()}"
        return empty(note, x=f"{freq.capitalize()} ({zone})", y=amount.title, heading=heading)
    asked = freq
    begins = _begins(known["when"], freq)
    while begins.nunique() > _MOST_PERIODS and freq != FREQS[-1]:
        freq = FREQS[FREQS.index(freq) + 1]
        begins = _begins(known["when"], freq)
    heading = f"{amount.heading} by {freq} and {group.lower()}"
    shown = biggest(known["name"], known["amount"], most=_MOST_GROUPS)
    order = list(dict.fromkeys(shown.values()))
    added: Any = (
        known.assign(begin=begins, name=known["name"].map(shown))
        .groupby(["begin", "name"], sort=True)["amount"]
        .sum()
        .reset_index()
    )
    added = added[added["amount"] != 0] if (added["amount"] != 0).any() else added
    added["end"] = _ends(added["begin"], freq)
    added["rank"] = added["name"].map({name: at for at, name in enumerate(order)})
    periods = added["begin"].nunique()
    if periods <= _APART:
        # A gap between bars, where it leaves something of them.
        added["end"] -= (added["end"] - added["begin"]) * 0.06
    first, last = added["begin"].min(), added["end"].max()
    # A single bar would fill the chart from side to side.
    room = (last - first) * 2 if periods == 1 else pd.Timedelta(0)
    for edge in ("begin", "end"):
        added[edge] = added[edge].dt.tz_localize("UTC")
    missing = len(rows) - len(known)
    notes = [
        f"By {freq}, because there are more than {_MOST_PERIODS} {asked}s." * (freq != asked),
        f"{missing:,} of {len(rows):,} rows report none and are left out." * bool(missing),
    ]
    x = alt.X(
        "begin:T",
        title=f"{freq.capitalize()} ({zone})",
        scale=alt.Scale(
            type="utc",
            domain=[_instant(first - room), _instant(last + room)] if room else alt.Undefined,
        ),
        axis=axis(
            format=_LABELS[freq],
            labelOverlap=True,
            grid=False,
            **_ticks(freq, first - room, last + room),
        ),
    )
    return (
        Chart(added)
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
                    values=whole(added.groupby("begin")["amount"].sum().max())
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
                alt.Tooltip("begin:T", title=freq.capitalize(), format=f"{_LABELS[freq]}"),
                alt.Tooltip("name:N", title=group),
                alt.Tooltip("amount:Q", title=amount.title, format=_exact(amount)),
            ],
        )
        .properties(width=WIDTH, height=HEIGHT, title=title(heading, *notes))
    )


def _instant(moment: pd.Timestamp) -> str:
    return f"{moment.isoformat()}Z"


def _exact(amount: Amount) -> str:
    return ",.0f" if amount.format == ".3~s" else "$,.4~f" if "$" in amount.format else ",d"


def _begins(when: pd.Series[Any], freq: Freq) -> pd.Series[Any]:
    match freq:
        case "minute" | "hour":
            return when.dt.floor("min" if freq == "minute" else "h")
        case "day":
            return when.dt.normalize()
        case "week":
            days: Any = when.dt.normalize()
            return days - cast("Any", pd).to_timedelta(days.dt.day_of_week, unit="D")
        case "month":
            days = when.dt.normalize()
            return days - cast("Any", pd).to_timedelta(days.dt.day - 1, unit="D")


def _ends(begins: pd.Series[Any], freq: Freq) -> pd.Series[Any]:
    if freq == "month":
        return begins + pd.offsets.MonthBegin(1)
    return begins + _SPANS[freq]


def _ticks(freq: Freq, first: pd.Timestamp, last: pd.Timestamp) -> dict[str, Any]:
    """Return which labels the axis of time gets: of few bars, one for each."""
    periods = math.ceil((last - first) / _SPANS[freq])
    if freq == "week":
        # Vega's weeks begin on Sunday.
        step = math.ceil(periods / _MOST_LABELS)
        begins = [first + at * step * _SPANS[freq] for at in range(math.ceil(periods / step))]
        return {"values": [begin.timestamp() * 1000 for begin in begins]}
    if periods <= _MOST_LABELS and freq in ("day", "month"):
        # A number would put labels of hours within a day.  Vega has no such thing for the hour.
        return {"tickCount": alt.TimeIntervalStep(interval=freq, step=1)}
    return {"tickCount": max(2, min(_MOST_LABELS, periods))}
