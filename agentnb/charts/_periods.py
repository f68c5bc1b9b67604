"""Amounts over time as stacked bars, one for each period."""

from __future__ import annotations

import math
from typing import Any, Final, Literal, NamedTuple, cast

import altair as alt
import pandas as pd

from agentnb.charts import _style as style
from agentnb.charts._data import grouped, table, top_groups
from agentnb.charts._style import Chart, LayerChart
from agentnb.errors import RequestError

Freq = Literal["minute", "hour", "day", "week", "month"]
FREQS: Final[tuple[Freq, ...]] = ("minute", "hour", "day", "week", "month")
# More bars could not be distinguished.
_MAX_PERIODS: Final = 240
_MAX_GROUPS: Final = 10
_MAX_PERIODS_WITH_GAPS: Final = 60
_MAX_LABELS: Final = 8
# Length of each period, and format of its label.
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


class Amount(NamedTuple):
    """What a chart sums: heading, title with the unit, and number formats of axis and tooltip."""

    heading: str
    title: str
    format: str
    exact: str


_AMOUNTS: Final = {
    "runs": Amount("Runs", "Runs", ",d", ",d"),
    "cost_usd": Amount("Cost", "Cost (USD)", "$,.3~r", "$,.4~f"),
    "total_tokens": Amount("Tokens", "Tokens", ".3~s", ",.0f"),
    "input_tokens": Amount("Input tokens", "Input tokens", ".3~s", ",.0f"),
    "output_tokens": Amount("Output tokens", "Output tokens", ".3~s", ",.0f"),
    "cached_tokens": Amount("Cached tokens", "Cached tokens", ".3~s", ",.0f"),
    "reasoning_tokens": Amount("Reasoning tokens", "Reasoning tokens", ".3~s", ",.0f"),
    "tool_calls": Amount("Tool calls", "Tool calls", ",d", ",d"),
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
    value = _ALIASES.get(value, value)
    if value not in _AMOUNTS:
        raise RequestError(
            f"charts.usage cannot add up '{value}'.", hint=f"It knows: {', '.join(_AMOUNTS)}."
        )
    frame = table(runs, "usage", *(() if value == "runs" else (value,)))
    names, label = grouped(frame, "usage", by)
    times, zone = local_times(frame, "usage")
    amounts = frame.get(value, pd.Series(1.0, index=frame.index))
    rows = pd.DataFrame(
        {"time": times, "name": names, "amount": amounts.astype("Float64").astype("float64")}
    )
    return stacked_bars(
        rows, freq=freq, amount=_AMOUNTS[value], zone=zone, group=label, caller="usage"
    )


def local_times(frame: pd.DataFrame, caller: str) -> tuple[pd.Series[Any], str]:
    """Return the start of each row as wall-clock time, and the name of its time zone.

    Raises:
        RequestError: the table has no such column.
    """
    # A table of `agentnb.usage` has its period instead.
    periods = [freq for freq in FREQS if freq in frame.columns]
    name = periods[0] if periods and "started_at" not in frame.columns else "started_at"
    column: Any = table(frame, caller, name)[name]
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
    if known.empty:
        note = empty_note if rows.empty else f"No run reports its {amount.heading.lower()}"
        heading = f"{amount.heading} by {freq} and {group.lower()}"
        x_title = f"{freq.capitalize()} ({zone})"
        return style.empty(note, x=x_title, y=amount.title, heading=heading)
    finest = freq
    begins = _begins(known["time"], freq)
    while begins.nunique() > _MAX_PERIODS and freq != FREQS[-1]:
        freq = FREQS[FREQS.index(freq) + 1]
        begins = _begins(known["time"], freq)
    labels = top_groups(known["name"], known["amount"], most=_MAX_GROUPS)
    order = list(dict.fromkeys(labels.values()))
    sums: Any = (
        known.assign(begin=begins, name=known["name"].map(labels))
        .groupby(["begin", "name"], sort=True)["amount"]
        .sum()
        .reset_index()
    )
    sums = sums[sums["amount"] != 0] if (sums["amount"] != 0).any() else sums
    sums["end"] = sums["begin"] + (pd.offsets.MonthBegin(1) if freq == "month" else _LENGTHS[freq])
    sums["rank"] = sums["name"].map({name: rank for rank, name in enumerate(order)})
    highest = sums.groupby("begin")["amount"].sum().max()
    periods = sums["begin"].nunique()
    if periods <= _MAX_PERIODS_WITH_GAPS:
        # A gap between bars.
        sums["end"] -= (sums["end"] - sums["begin"]) * 0.06
    first, last = sums["begin"].min(), sums["end"].max()
    domain: Any = alt.Undefined
    if periods == 1:
        # A single bar would fill the chart.
        first, last = first - (last - first) * 2, last + (last - first) * 2
        domain = [f"{edge.isoformat()}Z" for edge in (first, last)]
    for edge in ("begin", "end"):
        sums[edge] = sums[edge].dt.tz_localize("UTC")
    notes = [
        f"By {freq}, because there are more than {_MAX_PERIODS} {finest}s." * (freq != finest),
        style.left_out(rows, known, "rows report none"),
    ]
    time_axis = style.axis(
        format=_LABELS[freq], labelOverlap=True, grid=False, **_ticks(freq, first, last)
    )
    return (
        Chart(sums)
        .mark_bar(orient="vertical")
        .encode(
            x=alt.X(
                "begin:T",
                title=f"{freq.capitalize()} ({zone})",
                scale=alt.Scale(type="utc", domain=domain),
                axis=time_axis,
            ),
            x2="end:T",
            y=alt.Y(
                "amount:Q",
                title=amount.title,
                stack="zero",
                axis=style.counts_axis(amount.format, highest),
            ),
            color=style.colour(
                "name:N", style.palette(order), title=group, legend=alt.Legend(labelLimit=200)
            ),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("begin:T", title=freq.capitalize(), format=_LABELS[freq]),
                alt.Tooltip("name:N", title=group),
                alt.Tooltip("amount:Q", title=amount.title, format=amount.exact),
            ],
        )
        .properties(
            width=style.WIDTH,
            height=style.HEIGHT,
            title=style.title(f"{amount.heading} by {freq} and {group.lower()}", *notes),
        )
    )


def _begins(times: pd.Series[Any], freq: Freq) -> pd.Series[Any]:
    if freq in ("minute", "hour"):
        return times.dt.floor("min" if freq == "minute" else "h")
    days: Any = times.dt.normalize()
    if freq == "day":
        return days
    since_begin = days.dt.day_of_week if freq == "week" else days.dt.day - 1
    return days - cast("Any", pd).to_timedelta(since_begin, unit="D")


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
