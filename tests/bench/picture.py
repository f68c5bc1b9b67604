"""The rows as a picture: how far each is from its goal, in light and dark surroundings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import altair as alt
import pandas as pd
import vl_convert

from tests.bench.machine import summary

__all__ = ["draw"]

# Colours of the light page, and what they are on a dark one; a style sheet in the picture, which
# heeds what the reader's system is set to, puts the latter in their place.
INK: Final = "#1f2328"
FAINT: Final = "#59636e"
LINE: Final = "#d1d9e0"
PAPER: Final = "#ffffff"
MET: Final = "#0b7285"
MISSED: Final = "#c2410c"
LIMIT: Final = "#8b6f00"
DARK: Final = {
    INK: "#f0f6fc",
    FAINT: "#9198a1",
    LINE: "#3d444d",
    PAPER: "#0d1117",
    MET: "#3bc9db",
    MISSED: "#ff8a4c",
    LIMIT: "#e3b341",
}
FONT: Final = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
WIDTH: Final = 360
STEP: Final = 21
# Room for what stands beside each line.
FIGURES: Final = 230
NAMES: Final = 430
# So far away from its goal, in either direction, that it does not matter how far.
FAR: Final = 10.0


def draw(told: dict[str, Any], path: Path) -> None:
    """Write the rows that have a goal to ``path`` as SVG; no file, where there are none."""
    rows = [row for row in told["rows"] if row["goal"] is not None]
    if not rows:
        return
    chart = _chart(pd.DataFrame([_shown(row) for row in rows]), summary(told["machine"]))
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_in_both(svg), "utf-8")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    unit = f" {row['unit']}" if row["unit"] else ""
    over = f", over {row['over']}" if row["over"] else ""
    sign = "≥" if row["at_least"] else "≤"
    exponent = row["exponent"]
    growth = "" if exponent is None else f"   n^{exponent['median']:.2f}"
    ends = sorted(_reached(row, value) for value in (row["low"], row["high"]))
    limit = row["limit"]
    return {
        "name": f"{row['row']}   {row['what']}{over}",
        "reached": _reached(row, row["median"]),
        "low": ends[0],
        "high": ends[1],
        "limit": None if limit is None else _reached(row, limit["median"]),
        "state": "goal met" if row["met"] else "missed",
        "figures": f"{_short(row['median'])}{unit}  ({sign} {_short(row['goal'])}){growth}",
    }


def _reached(row: dict[str, Any], value: float) -> float:
    """How many times as good as the goal, where more is better; within what can be shown."""
    goal = row["goal"]
    good, least = (value, goal) if row["at_least"] else (goal, value)
    return min(max(good / least if least else FAR, 1 / FAR), FAR)


def _chart(rows: pd.DataFrame, machine: list[str]) -> Any:
    base: Any = alt.Chart(rows)
    # Named, since rows without a limit would come after those that have one.
    y = alt.Y("name:N", sort=list(rows["name"]), title=None)
    scale = alt.Scale(type="log", domain=[1 / FAR, FAR])
    axis = alt.Axis(
        title="how many times as good as the goal",
        values=[0.1, 0.2, 0.5, 1, 2, 5, 10],
        format="~g",
    )
    colour = alt.Color(
        "state:N",
        scale=alt.Scale(domain=["goal met", "missed"], range=[MET, MISSED]),
        legend=alt.Legend(title=None, orient="top", symbolType="circle"),
    )
    goal: Any = alt.Chart(pd.DataFrame({"goal": [1.0]}))
    layers: Any = alt.layer(
        goal.mark_rule(color=INK, strokeWidth=1.5).encode(
            x=alt.X("goal:Q", scale=scale, axis=axis)
        ),
        base.mark_tick(color=LIMIT, thickness=2, height=13).encode(x="limit:Q", y=y),
        base.mark_rule(strokeWidth=3, opacity=0.5, strokeCap="round").encode(
            x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, color=colour
        ),
        base.mark_circle(size=70, opacity=1).encode(
            x=alt.X("reached:Q", scale=scale), y=y, color=colour
        ),
        base.mark_text(align="left", color=INK, fontSize=11).encode(
            x=alt.value(WIDTH + 10), y=y, text="figures:N"
        ),
    )
    return (
        layers.properties(
            width=WIDTH,
            height=alt.Step(STEP),
            title=alt.Title(
                "agentnb beside its peers",
                subtitle=[
                    "Median (dot) and spread (line) over at least seven rounds; the yellow tick is"
                    " what the machine does at best.",
                    "At the right the median, the goal, and how cost grows with size n.",
                    *machine,
                ],
                anchor="start",
                fontSize=16,
                color=INK,
                subtitleColor=FAINT,
                offset=12,
            ),
            background=PAPER,
            padding={"left": 16, "top": 16, "bottom": 16, "right": FIGURES},
        )
        .configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=FAINT,
            gridColor=LINE,
            domain=False,
            ticks=False,
            labelFontSize=11,
            labelLimit=600,
        )
        .configure_axisY(labelAlign="left", labelPadding=NAMES)
        .configure_legend(labelColor=INK, labelFontSize=11)
    )


def _in_both(svg: str) -> str:
    """Return the picture with its dark colours in a style sheet."""
    rules = "".join(
        f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}'
        for light, dark in DARK.items()
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    head, bracket, rest = svg.partition(">")
    return f"{head}{bracket}{style}{rest}\n"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
