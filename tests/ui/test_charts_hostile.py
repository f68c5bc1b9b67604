"""Charts of hostile columns, pointed at: their tooltips are text in JupyterLab's own viewer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.frontend import NotebookPage
from tests.ui.opener import Opener

# The first is a tooltip's picture, the last ends the key that it stands in.
COLUMNS = ["image", "title", "Image", 'x", "image": datum["name"], "y', "ima\\u0067e"]
_TABLE = """
import altair as alt
import pandas as pd
from agentnb import charts
said = '//a.b/" onerror="attacked=1'
runs = pd.DataFrame({{
    "agent": ["a"] * 20,
    "started_at": pd.date_range("2026-10-20", periods=20, freq="h", tz="UTC"),
    "total_tokens": [100] * 20,
    "cost_usd": [0.01] * 20,
    "duration": [pd.Timedelta(seconds=2 ** (at % 9)) for at in range(20)],
    **{{name: [said] * 20 for name in {columns!r}}},
}})
own = pd.DataFrame({{"image": [{{"image": said}}], "x": [1]}})
marks = alt.Chart(own).mark_bar(size=400, tooltip={{"content": "data"}}).encode(x="x:Q")
"""


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_a_tooltip_loads_and_runs_nothing(page: NotebookPage, notebook: Opener) -> None:
    cells = [
        *(f"charts.usage(runs, by={name!r})" for name in COLUMNS),
        "charts.cost(runs, by='image')",
        "charts.latency(runs, by='title')",
        "charts.cost(runs[:0]) & marks.encode(tooltip='image:N')",
    ]
    notebook(_TABLE.format(columns=COLUMNS), *cells)
    page.resize(1000, 1000)
    page.run(1)
    for cell in range(2, 2 + len(cells)):
        page.run(cell)
        page.output(cell).scroll_into_view_if_needed()
        drawn = page.output(cell).locator(".vega-embed canvas, .vega-embed svg.marks").last
        expect(drawn).to_be_visible()
        tooltip = pointed_at(page.page, drawn)
        expect(tooltip).to_contain_text("onerror")
        assert tooltip.locator("img, h2, script, a").count() == 0, tooltip.inner_html()
        page.page.mouse.move(0, 0)
    assert page.page.evaluate("window.attacked") is None
    assert page.foreign == []


def pointed_at(page: Page, drawn: Locator) -> Locator:
    """Point at a chart's marks until one shows its tooltip."""
    tooltip = page.locator("#vg-tooltip-element.visible")
    size = drawn.bounding_box()
    assert size is not None
    for step in range(1, 100):
        at = {"x": size["width"] * (0.2 + step % 10 * 0.06), "y": size["height"] * (step / 100)}
        drawn.hover(position=at)  # pyright: ignore[reportArgumentType]
        if tooltip.count():
            return tooltip
    raise AssertionError("no mark has a tooltip")
