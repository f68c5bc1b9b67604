"""Bar charts of amounts: cost, errors, tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import altair as alt
import pandas as pd

from agentnb.charts import _style as style
from agentnb.charts._data import (
    MISSING,
    as_frame,
    group_column,
    group_labels,
    require_columns,
    seconds,
    top_groups,
)
from agentnb.charts._periods import Amount, Freq, local_times, stacked_bars
from agentnb.charts._quantiles import quantile_chart
from agentnb.charts._style import (
    FAILED_COLOUR,
    LABEL_WIDTH,
    NEUTRAL_COLOUR,
    NOTE_COLOUR,
    OK_COLOUR,
    ROW_HEIGHT,
    WIDTH,
    Chart,
    LayerChart,
    empty,
    layered,
    title,
)
from agentnb.errors import RequestError
from agentnb.tables.columns import FAILED_STATUSES

__all__ = ["cost", "errors", "tools"]

_MAX_BARS: Final = 20
_SOURCES: Final = {"platform": "reported by the platform", "prices": "computed from prices"}
_NO_SOURCE: Final = "source unknown"
_NO_CLASS: Final = ", no class"


def cost(runs: Any, *, by: str = "agent") -> Chart | LayerChart:
    """Draw the cost of runs in US dollars, by agent (or user, session, model, platform).

    ``runs`` is a table of `agentnb.runs` or `agentnb.usage`.  Costs that the platform reported and
    those computed from prices have different colours; runs without a cost are left out and counted
    below the title.  The 20 biggest groups are drawn.

    Raises:
        RequestError: a column is missing.
    """
    frame = as_frame(runs, "cost")
    require_columns(frame, "cost", "cost_usd", of="runs")
    column, label = group_column(frame, "cost", by, of="runs")
    source = frame["cost_source"].astype("object") if "cost_source" in frame.columns else None
    rows = pd.DataFrame(
        {
            "name": group_labels(frame[column]),
            "part": _NO_SOURCE if source is None else source.map(_SOURCES).fillna(_NO_SOURCE),
            "amount": frame["cost_usd"].astype("Float64").astype("float64"),
        }
    )
    known = rows.dropna(subset=["amount"])
    missing = len(rows) - len(known)
    total = float(known["amount"].sum())
    parts = [*_SOURCES.values(), _NO_SOURCE]
    return _bars(
        known,
        heading=f"Cost by {label.lower()}",
        notes=[
            f"{_dollars(total)} in total." * bool(len(known)),
            f"{missing:,} of {len(rows):,} rows report none and are left out." * bool(missing),
        ],
        axis="Cost (USD)",
        group=label,
        colours=dict(zip(parts, (OK_COLOUR, "#f28e2b", NEUTRAL_COLOUR), strict=True)),
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
    frame = as_frame(runs, "errors")
    require_columns(frame, "errors", "status", "error_class", of="runs")
    failed = frame[frame["status"].astype("object").isin(FAILED_STATUSES)]
    status = failed["status"].astype("object")
    name = failed["error_class"].astype("object")
    if "error_code" in failed.columns:
        name = name.where(name.notna(), failed["error_code"].astype("object"))
    name = group_labels(name.where(name.notna(), status.astype(str) + _NO_CLASS))
    if freq is not None:
        times, zone = local_times(failed, "errors")
        rows = pd.DataFrame({"time": times, "name": name, "amount": 1.0})
        amount = Amount("runs", "Runs that failed", ",d", "Errors")
        return stacked_bars(
            rows,
            freq=freq,
            amount=amount,
            zone=zone,
            group="Error class",
            caller="errors",
            empty_note="No runs" if frame.empty else "No run failed",
        )
    share = f" ({len(failed) / len(frame):.1%})" if len(frame) else ""
    return _bars(
        pd.DataFrame({"name": name, "part": status.astype(str), "amount": 1.0}),
        heading="Errors by class",
        notes=[f"{len(failed):,} of {len(frame):,} runs failed{share}."],
        axis="Runs that failed",
        group="Error class",
        colours=dict(zip(FAILED_STATUSES, (FAILED_COLOUR, "#f28e2b", NEUTRAL_COLOUR), strict=True)),
        legend="Status",
        number_format=",d",
        empty_note="No runs" if frame.empty else "No run failed",
    )


def tools(tool_calls: Any, *, value: Literal["calls", "duration"] = "calls") -> Chart | LayerChart:
    """Draw how often tools were called and failed, or how long their calls took.

    ``tool_calls`` is a table of `agentnb.tool_calls`; ``value`` is ``calls``, or ``duration`` for a
    chart like `latency`.

    Raises:
        RequestError: a column is missing, or ``value`` is invalid.
    """
    frame = as_frame(tool_calls, "tools")
    require_columns(frame, "tools", "name", "status", of="tool_calls")
    name = group_labels(frame["name"])
    if value == "duration":
        require_columns(frame, "tools", "duration", of="tool_calls")
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
    colours = {
        "completed": OK_COLOUR,
        "failed": FAILED_COLOUR,
        "abandoned": "#f28e2b",
        "running": "#76b7b2",
        MISSING: NEUTRAL_COLOUR,
    }
    return _bars(
        pd.DataFrame(
            {"name": name, "part": status.where(status.isin(list(colours)), MISSING), "amount": 1.0}
        ),
        heading="Tool calls",
        notes=[f"{failures:,} of {len(frame):,} calls failed." * bool(len(frame))],
        axis="Calls",
        group="Tool",
        colours=colours,
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
        return empty(empty_note, x=axis, y=group, heading=heading)
    labels = top_groups(rows["name"], rows["amount"], most=_MAX_BARS)
    order = [name for name, label in labels.items() if label == name]
    # No bar for the others: it could dwarf all bars.
    rest = f"The {len(order)} biggest of {len(labels):,}." * (len(labels) > len(order))
    sums: Any = (
        rows[rows["name"].isin(order)]
        .assign(rows=1)
        .groupby(["name", "part"], sort=True)
        .agg(amount=("amount", "sum"), rows=("rows", "sum"))
        .reset_index()
    )
    parts = [part for part in colours if (sums["part"] == part).any()]
    sums["rank"] = sums["part"].map({part: rank for rank, part in enumerate(parts)})
    totals: Any = sums.groupby("name", sort=False)["amount"].sum().reset_index()
    y = alt.Y("name:N", title=group, sort=order, axis=style.axis(labelLimit=LABEL_WIDTH))
    counts = number_format == ",d"
    ticks = style.integer_ticks(float(totals["amount"].max())) if counts else alt.Undefined
    # With room for the figures beside the bars.
    x_end = float(totals["amount"].max()) * 1.12 or 1.0
    x = alt.X(
        "amount:Q",
        title=axis,
        scale=alt.Scale(domain=[min(0.0, float(totals["amount"].min())), x_end], nice=False),
        axis=style.axis(format=number_format, tickCount=6, values=ticks),
    )
    bars = (
        alt.Chart(sums)
        .mark_bar()
        .encode(
            x=x.stack("zero"),
            y=y,
            color=alt.Color(
                "part:N",
                title=None,
                scale=alt.Scale(domain=parts, range=[colours[part] for part in parts]),
                legend=style.legend(),
            ),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("name:N", title=group),
                alt.Tooltip("part:N", title=legend),
                alt.Tooltip("amount:Q", title=axis, format=",d" if counts else "$,.6~f"),
                *([] if counts else [alt.Tooltip("rows:Q", title="Rows", format=",d")]),
            ],
        )
    )
    figures = (
        alt.Chart(totals)
        .mark_text(align="left", dx=5, color=NOTE_COLOUR)
        .encode(x=x, y=y, text=alt.Text("amount:Q", format=number_format))
    )
    return layered(
        bars, figures, title=title(heading, *notes, rest), width=WIDTH, height=alt.Step(ROW_HEIGHT)
    )


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.3g}"
