"""What axe-core says to a run, in each state that people meet it in."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.axe import complain, violations
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener

# The live views stay after the ends of their runs: nothing static takes their places.
CELLS = (
    "from agentnb.widgets.run import RunWidget\nRunWidget(Report.start('How was the quarter?'))",
    "RunWidget(Failing.start('Show me.'))",
    "RunWidget(Endless.start('Go on.'))",
    "%%agent Report --bg\nHow was the quarter?",
    "%%agent Failing --bg\nShow me.",
)


@pytest.mark.parametrize("theme", ["light", "dark"], indirect=True)
def test_a_run_is_accessible_in_each_state(
    theme: Theme, page: NotebookPage, notebook: Opener
) -> None:
    notebook(*CELLS)
    page.theme(theme)
    page.resize(1000, 1600)
    for cell in range(1, 6):
        page.run(cell)
    report, failing, endless = (page.view(cell) for cell in (1, 2, 3))
    found: dict[str, list[str]] = {}

    # Running
    page.release("tools")
    expect(report.get_by_text("get_comments")).to_be_visible()
    report.get_by_text("get_figures").click()
    report.get_by_text("compare_with").click()
    expect(endless.get_by_role("log")).to_contain_text("What was said")
    found["running"] = violations(report) + violations(endless)

    # Ended
    for name in ("answer", "end", "fail"):
        page.release(name)
    endless.get_by_role("button", name="Stop").click()
    for name, view in (("completed", report), ("failed", failing), ("cancelled", endless)):
        expect(view).to_have_attribute("data-status", name)
        found[name] = violations(view)

    # What is left in the file
    for name, cell in (("completed, static", 4), ("failed, static", 5)):
        expect(page.static(cell)).to_be_visible()
        found[name] = violations(page.static(cell), static=True)

    complain(found)
