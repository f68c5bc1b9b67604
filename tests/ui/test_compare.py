"""Several agents, asked the same, side by side in a cell."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.ui.axe import check_accessible
from tests.ui.opener import Opener

ASK = 'both = agentnb.compare([steps, endless, failing], "Tell me.")\nboth'


def test_answers_grow_together_and_end_as_a_static_output(
    notebook: Opener, shot: Callable[[Locator | Page, str], None]
) -> None:
    page = notebook(f"import agentnb\n{ASK}")
    page.start(1)
    view = page.output(1).locator(".agentnb-compare")
    answers = view.get_by_role("log")
    for index, text in enumerate(
        ("First things first.", "What was said before the end.", "The figures are as follows:")
    ):
        expect(answers.nth(index)).to_contain_text(text)
    page.release("second")
    expect(answers.nth(0)).to_contain_text("Then the second.")
    page.release("fail")
    rows = view.get_by_role("table", name="Figures").get_by_role("row")
    expect(rows.nth(3)).to_contain_text("Failed")
    expect(rows.nth(2)).to_contain_text("Running")
    shot(view, "compare-live")
    check_accessible(view)
    view.get_by_role("button", name="Stop all").click()
    static = page.output(1).locator(".agentnb-run").first
    expect(static).to_contain_text("What was said before the end.")
    expect(static.get_by_role("table").last).to_contain_text("■ Cancelled")
    expect(view).to_have_count(0)
    shot(page.output(1), "compare-end")
    assert page.complaints == []


def test_a_reloaded_page_shows_all_of_it(notebook: Opener) -> None:
    page = notebook(f"import agentnb\n{ASK}")
    page.start(1)
    page.release("fail")
    view = page.output(1).locator(".agentnb-compare")
    expect(view.get_by_role("table", name="Figures")).to_contain_text("Failed")
    page.save()
    page.reload()
    view = page.output(1).locator(".agentnb-compare")
    expect(view.get_by_role("log").nth(0)).to_contain_text("First things first.")
    expect(view.get_by_role("table", name="Figures")).to_contain_text("Failed")
    page.release("second")
    expect(view.get_by_role("log").nth(0)).to_contain_text("Then the second.")
