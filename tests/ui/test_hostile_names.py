"""Hostile names in every view that lists runs: nothing is fetched, run, hidden or without end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.chatting import ChatOnPage
from tests.ui.files import read_outputs
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.hostile import Dialogs
from tests.ui.hostile_names import NAMES, check_names, names_code
from tests.ui.opener import Opener
from tests.ui.test_hostile import FORMULA, check_typesetter

Shot = Callable[[Locator | Page, str], None]


@pytest.mark.parametrize(
    ("frontend", "theme"), [("lab", "light"), ("notebook7", "dark")], indirect=True
)
def test_in_views_that_are_live(
    theme: Theme, page: NotebookPage, notebook: Opener, tmp_path: Path, shot: Shot
) -> None:
    dialogs = Dialogs(page.page)
    notebook(
        names_code(tmp_path),
        "agentnb.monitor(runs)",
        "agentnb.compare(agents[:2], ' '.join(names[:-1]))",
        "agentnb.chat(agents[0].start('Ask me.').wait(check=False))",
        "Path('end').touch()\nfor run in runs:\n    run.wait(check=False)\n%agent history",
    )
    page.theme(theme)
    page.resize(1250, 1000)
    page.run(1)
    page.run(2)
    expect(page.output(2).locator(".agentnb-monitor tbody tr")).to_have_count(len(NAMES))
    check_names(page.output(2))
    shot(page.page, "names-monitor")
    page.run(3)
    runs = page.output(3).locator(".agentnb-compare-runs > .agentnb")
    expect(runs).to_have_count(2)
    expect(runs.first.locator(".agentnb-tool")).to_have_count(len(NAMES) + 1)
    check_names(page.output(3))
    shot(page.page, "names-compared")
    page.run(4)
    chat = ChatOnPage(page, 4)
    # Its session has two runs more.
    chat.until(3, "paused")
    expect(chat.run(3).get_by_role("button", name="Approve")).to_have_count(1)
    chat.button("Earlier sessions").click()
    expect(chat.element.get_by_role("list", name="Earlier sessions")).to_contain_text("3 questions")
    chat.element.scroll_into_view_if_needed()
    shot(page.page, "names-approval")
    check_names(page.output(4))
    page.run(5)
    history = page.output(5).locator(".agentnb-history")
    expect(history.locator("tbody tr")).not_to_have_count(0)
    history.locator("tbody tr").last.get_by_role("button").click()
    panel = history.get_by_role("region", name="Opened run")
    for name in ("Timeline", "Raw events"):
        panel.get_by_role("button", name=name).click()
    expect(panel.locator(".agentnb-record tbody tr")).not_to_have_count(0)
    expect(panel.locator(".agentnb-timeline-rows li")).not_to_have_count(0)
    check_names(page.output(5))
    history.scroll_into_view_if_needed()
    shot(page.page, "names-history")
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == []
    assert dialogs.said == []
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_in_tables_and_charts(
    notebook: Opener, page: NotebookPage, tmp_path: Path, shot: Shot
) -> None:
    dialogs = Dialogs(page.page)
    notebook(
        names_code(tmp_path),
        "Path('end').touch()\nfor run in runs:\n    run.wait(check=False)\n%agent sessions",
        "from IPython.display import display\n"
        "for table in (agentnb.runs, agentnb.tool_calls, agentnb.events, agentnb.sessions):\n"
        "    display(table())\n"
        "agentnb.history.RunList(runs)",
        "agentnb.compare(agents[:2], ' '.join(names[:-1])).wait(check=False)",
        "agentnb.charts.timeline(runs[0])",
        "agentnb.charts.tools(agentnb.tool_calls())",
        FORMULA,
    )
    for cell in range(1, 8):
        page.run(cell)
    check_typesetter(page, 7)
    for cell in (5, 6):
        expect(page.output(cell).locator(".vega-embed canvas")).to_be_visible()
        shot(page.output(cell), f"names-chart-{cell}")
    expect(page.output(3).locator("table")).to_have_count(5)
    shot(page.output(3), "names-tables")
    for cell in range(2, 7):
        check_names(page.output(cell))
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == []
    assert dialogs.said == []
    assert page.complaints == []
    page.save()
    said = [str(output) for cell in range(2, 7) for output in read_outputs(page.path, cell)]
    assert max(map(len, said)) < 300_000
