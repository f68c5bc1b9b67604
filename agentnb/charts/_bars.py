"""Bar charts of amounts: cost, errors, tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import altair as alt
import pandas as pd

from agentnb.charts import _style as style
from agentnb.charts._data import MISSING, group_labels, grouped, seconds, table, top_groups
from agentnb.charts._periods import Amount, Freq, local_times, stacked_bars
from agentnb.charts._quantiles import quantile_chart
from agentnb.charts._style import Chart, LayerChart
from agentnb.errors import RequestError
from agentnb.tables.columns import FAILED_STATUSES

_MAX_BARS: Final = 20
_SOURCES: Final = {"platform": "reported by the platform", "prices": "computed from prices"}
_NO_SOURCE: Final = "source unknown"
_NO_CLASS: Final = ", no class"
_ORANGE: Final = "#f28e2b"
_COST_COLOURS: Final = {
    _SOURCES["platform"]: style.OK_COLOUR,
    _SOURCES["prices"]: _ORANGE,
    _NO_SOURCE: style.NEUTRAL_COLOUR,
}
_FAILED_COLOURS: Final = (style.FAILED_COLOUR, _ORANGE, style.NEUTRAL_COLOUR)
_TOOL_COLOURS: Final = {
    "completed": style.OK_COLOUR,
    "failed": style.FAILED_COLOUR,
    "abandoned": _ORANGE,
    "running": "#76b7b2",
    MISSING: style.NEUTRAL_COLOUR,
}


def cost(runs: Any, *, by: str = "agent") -> Chart | LayerChart:
    """Draw the cost of runs in US dollars, by agent (or user, session, model, platform).

    ``runs`` is a table of `agentnb.runs` or `agentnb.usage`.  Costs that the platform reported and
    those computed from prices have different colours; runs without a cost are left out and counted
    below the title.  The 20 biggest groups are drawn.

    Raises:
        RequestError: a column is missing.
    """
    frame = table(runs, "cost", "cost_usd")
    names, label = grouped(frame, "cost", by)
    source = frame["cost_source"].astype("object") if "cost_source" in frame.columns else None
    rows = pd.DataFrame(
        {
            "name": names,
            "part": _NO_SOURCE if source is None else source.map(_SOURCES).fillna(_NO_SOURCE),
            "amount": frame["cost_usd"].astype("Float64").astype("float64"),
        }
    )
    known = rows.dropna(subset=["amount"])
    total = float(known["amount"].sum())
    dollars = f"${total:,.2f}" if total >= 1 or total == 0 else f"${total:.3g}"
    return _bars(
        known,
        heading=f"Cost by {label.lower()}",
        notes=[
            f"{dollars} in total." * bool(len(known)),
            style.left_out(rows, known, "rows report none"),
        ],
        axis="Cost (USD)",
        group=label,
        colours=_COST_COLOURS,
        legend="Cost",
        number_format="$,.3~r",
        empty_note="No runs" if rows.empty else "No run has a cost",
    )


def errors(runs: Any, *, freq: Freq | None = None) -> Chart | LayerChart:
    """Draw the errors of runs: how often each class occurred, or with ``freq``, when.

    ``runs`` is a table of `agentnb.runs`.  An error without a class is counted under its
    code, or without one, under the run's status.  A cancelled run is
    no error.  ``freq`` is as for `usage`.

    Raises:
        RequestError: a column is missing.
    """
    frame = table(runs, "errors", "status", "error_class")
    failed = frame[frame["status"].astype("object").isin(FAILED_STATUSES)]
    status = failed["status"].astype("object")
    name = failed["error_class"].astype("object")
    if "error_code" in failed.columns:
        name = name.where(name.notna(), failed["error_code"].astype("object"))
    name = group_labels(name.where(name.notna(), status.astype(str) + _NO_CLASS))
    empty_note = "No runs" if frame.empty else "No run failed"
    if freq is not None:
        times, zone = local_times(failed, "errors")
        return stacked_bars(
            pd.DataFrame({"time": times, "name": name, "amount": 1.0}),
            freq=freq,
            amount=Amount("Errors", "Runs that failed", ",d", ",d"),
            zone=zone,
            group="Error class",
            caller="errors",
            empty_note=empty_note,
        )
    share = f" ({len(failed) / len(frame):.1%})" if len(frame) else ""
    return _bars(
        pd.DataFrame({"name": name, "part": status.astype(str), "amount": 1.0}),
        heading="Errors by class",
        notes=[f"{len(failed):,} of {len(frame):,} runs failed{share}."],
        axis="Runs that failed",
        group="Error class",
        colours=dict(zip(FAILED_STATUSES, _FAILED_COLOURS, strict=True)),
        legend="Status",
        number_format=",d",
        empty_note=empty_note,
    )


def tools(tool_calls: Any, *, value: Literal["calls", "duration"] = "calls") -> Chart | LayerChart:
    """Draw how often tools were called and failed, or how long their calls took.

    ``tool_calls`` is a table of `agentnb.tool_calls`; ``value`` is ``calls``, or ``duration`` for a
    chart like `latency`.

    Raises:
        RequestError: a column is missing, or ``value`` is invalid.
    """
    frame = table(tool_calls, "tools", "name", "status", of="tool_calls")
    name = group_labels(frame["name"])
    if value == "duration":
        frame = table(frame, "tools", "duration", of="tool_calls")
        return quantile_chart(
            pd.DataFrame({"name": name, "seconds": seconds(frame["duration"])}),
            heading="Duration of tool calls",
            axis="Duration",
            group="Tool",
            of="calls",
        )
    if value != "calls":
        raise RequestError(
            f"charts.tools cannot draw '{value}'.", hint="It knows: calls, duration."
        )
    status = frame["status"].astype("object")
    failures = int((status == "failed").sum())
    part = status.where(status.isin(list(_TOOL_COLOURS)), MISSING)
    return _bars(
        pd.DataFrame({"name": name, "part": part, "amount": 1.0}),
        heading="Tool calls",
        notes=[f"{failures:,} of {len(frame):,} calls failed." * bool(len(frame))],
        axis="Calls",
        group="Tool",
        colours=_TOOL_COLOURS,
        legend="Status",
        number_format=",d",
        empty_note="No tool calls",
    )


def _bars(
    rows: pd.DataFrame,
    *,
    heading: str,
    notes: Sequence[str],
    axis: str,
    group: str,
    colours: dict[str, str],
    legend: str,
    number_format: str,
    empty_note: str,
) -> Chart | LayerChart:
    """Draw ``rows`` (``name``, ``part``, ``amount``) as one bar for each name, stacked by part."""
    if rows.empty:
        return style.empty(empty_note, x=axis, y=group, heading=heading)
    labels = top_groups(rows["name"], rows["amount"], most=_MAX_BARS)
    order = [name for name, label in labels.items() if label == name]
    # No bar for the others: it could dwarf all bars.
    rest = f"The {len(order)} biggest of {len(labels):,}." * (len(labels) > len(order))
    sums: Any = (
        rows[rows["name"].isin(order)]
        .groupby(["name", "part"], sort=True)["amount"]
        .agg(amount="sum", rows="size")
        .reset_index()
    )
    colours = {part: colour for part, colour in colours.items() if (sums["part"] == part).any()}
    sums["rank"] = sums["part"].map({part: rank for rank, part in enumerate(colours)})
    totals: Any = sums.groupby("name", sort=False)["amount"].sum().reset_index()
    lowest, highest = float(totals["amount"].min()), float(totals["amount"].max())
    is_count = number_format == ",d"
    y = alt.Y("name:N", title=group, sort=order, axis=style.axis(labelLimit=style.LABEL_WIDTH))
    x = alt.X(
        "amount:Q",
        title=axis,
        # With room for the figures beside the bars.
        scale=alt.Scale(domain=[min(0.0, lowest), highest * 1.12 or 1.0], nice=False),
        axis=style.counts_axis(number_format, highest, tickCount=6),
    )
    tooltip = [
        alt.Tooltip("name:N", title=group),
        alt.Tooltip("part:N", title=legend),
        alt.Tooltip("amount:Q", title=axis, format=",d" if is_count else "$,.6~f"),
    ]
    if not is_count:
        tooltip.append(alt.Tooltip("rows:Q", title="Rows", format=",d"))
    bars = (
        alt.Chart(sums)
        .mark_bar()
        .encode(
            x=x.stack("zero"),
            y=y,
            color=style.colour("part:N", colours),
            order=alt.Order("rank:Q"),
            tooltip=tooltip,
        )
    )
    figures = (
        alt.Chart(totals)
        .mark_text(align="left", dx=5, color=style.NOTE_COLOUR)
        .encode(x=x, y=y, text=alt.Text("amount:Q", format=number_format))
    )
    heading_and_notes = style.title(heading, *notes, rest)
    return style.layered(bars, figures, title=heading_and_notes, height=alt.Step(style.ROW_HEIGHT))
