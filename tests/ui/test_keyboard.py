"""The live view by keyboard and for readers of the screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.ui.opener import Opener

# The name of what has the focus, and whether that stands in the live view.
FOCUSED = """() => {
  const focused = document.activeElement;
  const name = focused.ariaLabel ?? (focused.querySelector('code') ?? focused).textContent;
  return focused.closest('.agentnb') ? name.trim() : null;
}"""


def test_the_keyboard_reaches_and_works_all_of_a_live_run(notebook: Opener) -> None:
    page = notebook("%%agent Report\nHow was the quarter?", "print('ran')")
    page.start_all(1)
    page.release("tools")
    view = page.view(1)
    expect(view.get_by_text("get_comments")).to_be_visible()
    page.cell(1).focus()
    assert stops(page.page) == [
        "Stop report",
        "Reasoning",
        "get_figures",
        "compare_with_the_plan_of_the_year_before",
        "get_comments",
        "Timeline",
        "Raw events",
    ]

    figures = view.locator("details", has_text="get_figures")
    figures.locator("summary").focus()
    page.page.keyboard.press("Enter")
    expect(figures).to_have_attribute("open", "")
    page.page.keyboard.press("Space")
    expect(figures).not_to_have_attribute("open", "")

    view.get_by_role("button", name="Stop").focus()
    page.page.keyboard.press("Enter")
    expect(page.static(1)).to_contain_text("Cancelled")
    page.until_idle()
    assert page.prompt(2) == "[ ]:"
    expect(page.page.locator(".jp-Cell:focus-within")).to_have_count(1)


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_readers_of_the_screen_are_told_what_goes_on(notebook: Opener) -> None:
    page = notebook("%%agent Steps\nTell me.")
    page.start(1)
    group = page.output(1).get_by_role("group", name="Run of steps")
    log = group.get_by_role("log")
    expect(log).to_contain_text("First things first.")
    expect(log).to_have_attribute("aria-live", "polite")
    # Told once it is whole, not fragment by fragment.
    expect(log).to_have_attribute("aria-busy", "true")
    expect(group.get_by_role("status").first).to_have_text("Running")
    # Seconds are seen, not said: those of the run, and those until a connection is tried again.
    for timer in group.get_by_role("timer").all():
        expect(timer).to_have_attribute("aria-live", "off")
    names = [button.get_attribute("aria-label") for button in group.get_by_role("button").all()]
    assert names == ["Stop steps", None, None]
    expect(group.get_by_role("button").last).to_have_accessible_name("Raw events")


def stops(page: Page) -> list[str]:
    """Press Tab until the focus has come into the live view and left it again."""
    found: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name = page.evaluate(FOCUSED)
        if name is not None:
            found.append(name)
        elif found:
            break
    return found
