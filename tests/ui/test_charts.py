"""Charts in a notebook's page: drawn by what JupyterLab and Notebook bring, without a network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener

Shot = Callable[[Locator, str], None]

_TABLE = """
import pandas as pd
from agentnb import charts
from agentnb.event import ReasoningDelta, TextDelta, ToolCallFinished, ToolCallStarted
began = pd.Timestamp("2026-10-20T00:00Z")
runs = pd.DataFrame({
    "agent": [f"agent_{at % 13}" for at in range(300)],
    "started_at": [began + pd.Timedelta(hours=2 * at) for at in range(300)],
    "total_tokens": [100 + at % 70 for at in range(300)],
    "duration": [pd.Timedelta(milliseconds=500 + 37 * at) for at in range(300)],
    "cost_usd": [0.001 * (at % 7) for at in range(300)],
    "cost_source": ["platform" if at % 2 else "prices" for at in range(300)],
    "status": ["failed" if at % 9 == 0 else "completed" for at in range(300)],
    "error_class": ["ServerError" if at % 9 == 0 else None for at in range(300)],
})
class Run:
    title = "finance_agent"
    duration = 5.0
    events = (
        ReasoningDelta("Let me see."), ReasoningDelta("Well."),
        ToolCallStarted(call_id="a", name="get_price"),
        ToolCallStarted(call_id="b", name="get_news"),
        ToolCallFinished(call_id="b", error="no network"),
        ToolCallFinished(call_id="a", result="1"),
        TextDelta("It is"), TextDelta(" up."),
    )
    event_times = (0.6, 1.2, 1.3, 1.4, 2.0, 2.5, 3.0, 5.0)
"""


@pytest.mark.parametrize(
    ("frontend", "theme"),
    [("lab", "light"), ("lab", "dark"), ("notebook7", "light")],
    indirect=True,
)
def test_charts_are_drawn_without_a_network(
    theme: Theme, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    notebook(
        _TABLE,
        "charts.usage(runs)",
        "charts.latency(runs)",
        "charts.timeline(Run())",
        "charts.cost(runs) & charts.errors(runs)",
        "charts.usage(runs[:0])",
    )
    page.theme(theme)
    page.resize(1000, 2600)
    page.run(1)
    for cell, title in (
        (2, "Tokens by day and agent"),
        (3, "Latency by agent"),
        (4, "Timeline of finance_agent"),
        (5, "Errors by class"),
        (6, "Tokens by day and agent"),
    ):
        page.run(cell)
        drawn = page.output(cell).locator(".vega-embed canvas, .vega-embed svg.marks")
        expect(drawn).to_be_visible()
        # An image in its place would be the same picture, but neither point nor zoom.
        assert page.output(cell).locator("img").count() == 0, title
        box = drawn.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 40
        shot(page.output(cell), f"charts-{cell}-{theme}")
    # What is pointed at tells its figures.
    bars = page.output(2).locator(".vega-embed canvas")
    size = bars.bounding_box()
    assert size is not None
    tooltip = page.page.locator("#vg-tooltip-element")
    # Where a bar stands is the layout's affair: go along above the axis until one is met.
    for step in range(4, 19):
        bars.hover(position={"x": size["width"] * step / 20, "y": size["height"] * 0.8})
        page.page.wait_for_timeout(100)
        if tooltip.filter(has_text="Tokens").count():
            break
    expect(tooltip).to_contain_text("Tokens")
    assert page.foreign == []
    assert page.complaints == []
