"""Amounts side by side: cost, errors, tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import altair as alt
import pandas as pd

from agentnb.charts import _look as look
from agentnb.charts._frame import (
    MISSING,
    as_frame,
    biggest,
    by_column,
    grouped_names,
    need,
    seconds,
)
from agentnb.charts._look import (
    FAILED,
    FINE,
    LABEL,
    NEUTRAL,
    NOTE,
    ROW,
    WIDTH,
    Chart,
    LayerChart,
    empty,
    layers,
    title,
)
from agentnb.charts._periods import Amount, Freq, moments, stacked
from agentnb.charts._spread import spread
from agentnb.errors import RequestError

__all__ = ["cost", "errors", "tools"]

_MOST_BARS: Final = 20
_SOURCES: Final = {"platform": "reported by the platform", "prices": "computed from prices"}
_UNTOLD: Final = "source unknown"
_UNCLASSED: Final = ", no class"
_FAILED: Final = ("failed", "truncated", "interrupted")


def cost(runs: Any, *, by: str = "agent") -> Chart | LayerChart:
    """Draw what runs cost in US dollars, by agent (or user, session, model, platform).

    ``runs`` is a table of `agentnb.runs` or `agentnb.usage`.  What the platform reported and what
    was computed from prices have different colours; runs without a cost are left out and counted
    below the title.  The 20 biggest are drawn.

    Raises:
        RequestError: a column that this needs is missing.
    """
    frame = as_frame(runs, "cost")
    need(frame, "cost", "cost_usd", of="runs")
    column, named = by_column(frame, "cost", by, of="runs")
    source = frame["cost_source"].astype("object") if "cost_source" in frame.columns else None
    rows = pd.DataFrame(
        {
            "name": grouped_names(frame[column]),
            "part": _UNTOLD if source is None else source.map(_SOURCES).fillna(_UNTOLD),
            "amount": frame["cost_usd"].astype("Float64").astype("float64"),
        }
    )
    known = rows.dropna(subset=["amount"])
    missing = len(rows) - len(known)
    total = float(known["amount"].sum())
    parts = [*_SOURCES.values(), _UNTOLD]
    return _bars(
        known,
        heading=f"Cost by {named.lower()}",
        notes=[
            f"{_dollars(total)} in total." * bool(len(known)),
            f"{missing:,} of {len(rows):,} rows report none and are left out." * bool(missing),
        ],
        axis="Cost (USD)",
        group=named,
        colours=dict(zip(parts, (FINE, "#f28e2b", NEUTRAL), strict=True)),
        legend="Cost",
        form="$,.3~r",
        nothing="No runs" if rows.empty else "No run has a cost",
    )


def errors(runs: Any, *, freq: Freq | None = None) -> Chart | LayerChart:
    """Draw how runs failed: how often each class of error came, or with ``freq``, when.

    ``runs`` is a table of `agentnb.runs`.  An error that came from the platform without a
    class stands under its code, or where it has none, under the run's status.  A cancelled run is
    no error.  ``freq`` is as for `usage`.

    Raises:
        RequestError: a column that this needs is missing.
    """
    frame = as_frame(runs, "errors")
    need(frame, "errors", "status", "error_class", of="runs")
    failed = frame[frame["status"].astype("object").isin(_FAILED)]
    status = failed["status"].astype("object")
    name = failed["error_class"].astype("object")
    if "error_code" in failed.columns:
        name = name.where(name.notna(), failed["error_code"].astype("object"))
    name = grouped_names(name.where(name.notna(), status.astype(str) + _UNCLASSED))
    if freq is not None:
        when, zone = moments(failed, "errors")
        rows = pd.DataFrame({"when": when, "name": name, "amount": 1.0})
        amount = Amount("runs", "Runs that failed", ",d", "Errors")
        return stacked(
            rows,
            freq=freq,
            amount=amount,
            zone=zone,
            group="Error class",
            caller="errors",
            nothing="No runs" if frame.empty else "No run failed",
        )
    share = f" ({len(failed) / len(frame):.1%})" if len(frame) else ""
    return _bars(
        pd.DataFrame({"name": name, "part": status.astype(str), "amount": 1.0}),
        heading="Errors by class",
        notes=[f"{len(failed):,} of {len(frame):,} runs failed{share}."],
        axis="Runs that failed",
        group="Error class",
        colours=dict(zip(_FAILED, (FAILED, "#f28e2b", NEUTRAL), strict=True)),
        legend="Status",
        form=",d",
        nothing="No runs" if frame.empty else "No run failed",
    )


def tools(tool_calls: Any, *, value: Literal["calls", "duration"] = "calls") -> Chart | LayerChart:
    """Draw which tools were called how often, with failures apart, or how long they took.

    ``tool_calls`` is a table of `agentnb.tool_calls`; ``value`` is ``calls`` or ``duration``, which
    is drawn as `latency` draws it.

    Raises:
        RequestError: a column that this needs is missing, or ``value`` is another.
    """
    frame = as_frame(tool_calls, "tools")
    need(frame, "tools", "name", "status", of="tool_calls")
    name = grouped_names(frame["name"])
    if value == "duration":
        need(frame, "tools", "duration", of="tool_calls")
        return spread(
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
        "completed": FINE,
        "failed": FAILED,
        "abandoned": "#f28e2b",
        "running": "#76b7b2",
        MISSING: NEUTRAL,
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
        form=",d",
        nothing="No tool calls",
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
    form: str,
    nothing: str,
) -> Chart | LayerChart:
    """Draw ``rows`` (``name``, ``part``, ``amount``) as one bar for each name, stacked by part."""
    if rows.empty:
        return empty(nothing, x=axis, y=group, heading=heading)
    shown = biggest(rows["name"], rows["amount"], most=_MOST_BARS)
    order = [name for name in shown if shown[name] == name]
    others = len(shown) - len(order)
    # Not a bar of their own, which could be so long that of the others nothing is seen.
    rest = f"The {len(order)} biggest of {len(shown):,}." * bool(others)
    added: Any = (
        rows[rows["name"].isin(order)]
        .assign(rows=1)
        .groupby(["name", "part"], sort=True)
        .agg(amount=("amount", "sum"), rows=("rows", "sum"))
        .reset_index()
    )
    parts = [part for part in colours if (added["part"] == part).any()]
    added["rank"] = added["part"].map({part: at for at, part in enumerate(parts)})
    totals: Any = added.groupby("name", sort=False)["amount"].sum().reset_index()
    y = alt.Y("name:N", title=group, sort=order, axis=look.axis(labelLimit=LABEL))
    counts = form == ",d"
    ticks = look.whole(float(totals["amount"].max())) if counts else alt.Undefined
    # Room for the figures beside the bars.
    longest = float(totals["amount"].max()) * 1.12 or 1.0
    x = alt.X(
        "amount:Q",
        title=axis,
        scale=alt.Scale(domain=[min(0.0, float(totals["amount"].min())), longest], nice=False),
        axis=look.axis(format=form, tickCount=6, values=ticks),
    )
    bars = (
        alt.Chart(added)
        .mark_bar()
        .encode(
            x=x.stack("zero"),
            y=y,
            color=alt.Color(
                "part:N",
                title=None,
                scale=alt.Scale(domain=parts, range=[colours[part] for part in parts]),
                legend=look.legend(),
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
        .mark_text(align="left", dx=5, color=NOTE)
        .encode(x=x, y=y, text=alt.Text("amount:Q", format=form))
    )
    return layers(
        bars, figures, title=title(heading, *notes, rest), width=WIDTH, height=alt.Step(ROW)
    )


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.3g}"
