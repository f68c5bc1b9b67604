"""What holds for every chart, on many rows, one and none."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any, Final

import altair as alt
import pandas as pd
import pytest

from agentnb import charts
from agentnb.errors import RequestError
from tests.charts import tables

Draw = Callable[[pd.DataFrame], Any]
Make = Callable[[int], pd.DataFrame]

#: Name -> how to draw it, what of, and the titles of its axes.
CHARTS: Final[dict[str, tuple[Draw, Make, str, str | None]]] = {
    "usage": (charts.usage, tables.runs, "Day (UTC)", "Tokens"),
    "usage-cost": (
        lambda t: charts.usage(t, freq="month", value="cost_usd", by="model"),
        tables.runs,
        "Month (UTC)",
        "Cost (USD)",
    ),
    "usage-runs": (
        lambda t: charts.usage(t, freq="week", value="runs", by="session"),
        tables.runs,
        "Week (UTC)",
        "Runs",
    ),
    "cost": (charts.cost, tables.runs, "Cost (USD)", "Agent"),
    "cost-session": (
        lambda t: charts.cost(t, by="session"),
        tables.runs,
        "Cost (USD)",
        "Session",
    ),
    "latency": (charts.latency, tables.runs, "Duration (s, logarithmic)", "Agent"),
    "first-token": (
        lambda t: charts.time_to_first_token(t, by="user"),
        tables.runs,
        "Time to first token (s, logarithmic)",
        "User",
    ),
    "errors": (charts.errors, tables.runs, "Runs that failed", "Error class"),
    "errors-by-day": (
        lambda t: charts.errors(t, freq="day"),
        tables.runs,
        "Day (UTC)",
        "Runs that failed",
    ),
    "tools": (charts.tools, tables.tool_calls, "Calls", "Tool"),
    "tools-duration": (
        lambda t: charts.tools(t, value="duration"),
        tables.tool_calls,
        "Duration (s, logarithmic)",
        "Tool",
    ),
    "timeline": (charts.timeline, tables.events, "Time since sending (s)", None),
}
# Altair refuses more rows in one table, and a notebook has to keep each chart.
MOST_ROWS: Final = 5000
MOST_BYTES: Final = 250_000

every = pytest.mark.parametrize(("draw", "make", "x", "y"), CHARTS.values(), ids=list(CHARTS))
# A run has events, also without tool calls: there is no timeline of nothing.
EMPTY = {name: chart for name, chart in CHARTS.items() if chart[1] is not tables.events}
every_that_may_be_empty = pytest.mark.parametrize(
    ("draw", "make", "x", "y"), EMPTY.values(), ids=list(EMPTY)
)


def axis_titles(spec: dict[str, Any], channel: str) -> set[str | None]:
    found = [part["encoding"] for part in spec.get("layer", [spec]) if "encoding" in part]
    return {one[channel].get("title") for one in found if "title" in one.get(channel, {})}


@every
@pytest.mark.parametrize("count", [0, 1, 6000])
def test_it_can_be_drawn(draw: Draw, make: Make, x: str, y: str | None, count: int) -> None:
    table = make(count)
    before = table.copy(deep=True)
    chart = draw(table)
    assert isinstance(chart, alt.Chart | alt.LayerChart)
    pd.testing.assert_frame_equal(table, before)
    spec = chart.to_dict()
    # A run without a single tool call has a timeline all the same.
    if count or make is not tables.events:
        assert axis_titles(spec, "x") == {x}
        assert axis_titles(spec, "y") == {y}
    assert spec["title"]["text"]
    assert all(len(rows) <= MOST_ROWS for rows in spec.get("datasets", {}).values())
    assert len(json.dumps(spec)) <= MOST_BYTES
    assert drawn(chart, "png").startswith(b"\x89PNG")
    assert b"<svg" in drawn(chart, "svg")


@every
def test_marks_have_tooltips(draw: Draw, make: Make, x: str, y: str | None) -> None:
    spec = draw(make(100)).to_dict()
    assert any("tooltip" in part["encoding"] for part in spec.get("layer", [spec]))


@every
def test_it_can_be_changed_further(draw: Draw, make: Make, x: str, y: str | None) -> None:
    chart = draw(make(10))
    wide = chart.properties(width=900, title="Mine")
    assert wide.to_dict()["width"] == 900
    assert chart.to_dict()["width"] != 900
    line = alt.Chart(pd.DataFrame({"limit": [1.0]})).mark_rule().encode(y="limit:Q")
    for changed in (wide, chart + line, chart | chart, chart & chart, chart.interactive()):
        assert drawn(changed, "png").startswith(b"\x89PNG")


@every_that_may_be_empty
def test_a_note_without_rows(draw: Draw, make: Make, x: str, y: str | None) -> None:
    svg = drawn(draw(make(0)), "svg").decode()
    assert "No runs" in svg or "No tool calls" in svg or "No calls" in svg


@every
def test_a_table_of_something_else(draw: Draw, make: Make, x: str, y: str | None) -> None:
    with pytest.raises(RequestError, match=r"needs the column '.+'") as caught:
        draw(pd.DataFrame({"height": [1.0]}))
    assert "agentnb." in str(caught.value.hint)


@every
def test_invalid_tables(draw: Draw, make: Make, x: str, y: str | None) -> None:
    with pytest.raises(RequestError, match="takes a DataFrame, not int"):
        draw(7)  # pyright: ignore[reportArgumentType]


@every
def test_everything_is_missing(draw: Draw, make: Make, x: str, y: str | None) -> None:
    table = make(3)
    blank: Any = table.iloc[:0].reindex(range(3)).astype(table.dtypes.to_dict())
    assert drawn(draw(blank), "png").startswith(b"\x89PNG")


def test_tables_that_convert_themselves() -> None:
    class Runs:
        def to_pandas(self) -> pd.DataFrame:
            return tables.runs(3)

    assert charts.usage(Runs()).to_dict() == charts.usage(tables.runs(3)).to_dict()


def drawn(chart: Any, form: str) -> bytes:
    target = BytesIO() if form == "png" else StringIO()
    chart.save(target, format=form)
    content = target.getvalue()
    return content if isinstance(content, bytes) else content.encode()
