"""What a run did when, one click away in its view: seen, by keyboard, and in a narrow column."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.axe import violations
from tests.ui.chatting import ChatOnPage
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener
from tests.ui.test_looks import check

Shot = Callable[[Locator, str], None]


@pytest.mark.parametrize(
    ("frontend", "theme", "width"),
    [("lab", "light", 1000), ("lab", "dark", 1000), ("notebook7", "dark", 320)],
    indirect=["frontend", "theme"],
)
def test_the_timeline_of_a_run(
    theme: Theme, width: int, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    notebook("%%agent Report\nHow was the quarter?")
    page.theme(theme)
    page.resize(width, 2600)
    page.start(1)
    view = page.view(1)
    page.release("tools")
    expect(view.get_by_text("get_comments")).to_be_visible()
    view.get_by_role("button", name="Timeline").click()
    panel = view.locator(".agentnb-timeline")
    rows = panel.get_by_role("listitem")
    expect(rows).to_have_count(5)
    expect(rows.nth(3)).to_contain_text("tool call")
    expect(rows.nth(3)).to_contain_text("failed")
    expect(rows.nth(4)).to_contain_text("running")
    shot(page.cell(1), f"timeline-1-live-{theme}-{width}")

    page.release("answer")
    expect(view).to_contain_text("sample-model-1")
    panel.get_by_role("button", name="Refresh").click()
    expect(rows).to_have_count(6)
    rows.first.focus()
    page.page.keyboard.press("End")
    expect(rows.last).to_be_focused()
    expect(panel).to_contain_text("Answer: ")
    shot(page.cell(1), f"timeline-2-answer-{theme}-{width}")
    check(panel)
    assert violations(panel) == []
    # Every bar lies in its track, and none is too thin to be seen.
    boxes = panel.evaluate(
        """(panel) => [...panel.querySelectorAll('.agentnb-timeline-bar')].map((bar) => {
          const [own, track] = [bar, bar.parentElement].map((e) => e.getBoundingClientRect());
          return own.width >= 2 && own.left >= track.left - 1 && own.right <= track.right + 4;
        })"""
    )
    assert boxes == [True] * 6
    page.release("end")
    page.until_done(1)


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_the_timeline_of_an_answer_in_a_chat(notebook: Opener, shot: Shot) -> None:
    page = notebook("agentnb.chat(Scribe)")
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.say(1, "How was the quarter?")
    chat.run(1).get_by_role("button", name="Timeline").press("Enter")
    panel = chat.run(1).locator(".agentnb-timeline")
    expect(panel.get_by_role("list")).to_contain_text("get_figures")
    expect(panel.get_by_role("button", name="Refresh")).to_have_count(0)
    # The arrow keys are the chart's own, and select no other cell.
    panel.get_by_role("listitem").first.focus()
    page.page.keyboard.press("ArrowDown")
    expect(panel.get_by_role("listitem").nth(1)).to_be_focused()
    shot(chat.element, "timeline-3-chat")
    assert page.complaints == []
