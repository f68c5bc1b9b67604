"""Several runs in a table, while they go on and as they end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.axe import check_accessible
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener
from tests.ui.past import TOO_WIDE

Shot = Callable[[Locator | Page, str], None]

START = """
import agentnb
asked = "What would a change of the tariff mean for the three largest suppliers of the region?"
runs = [
    Steps.start("Tell me in three steps."),
    Endless.start(asked),
    Failing.start("What are the figures?"),
    Report.start("Summarise the quarter."),
    Nothing.start("Say nothing."),
]
runs[-1].wait()
watched = agentnb.monitor(runs)
watched
"""

# Another client, so that the run is nobody's here: its platform has to be asked.
REMOTE = """
import agentnb, threading
from agentnb import sandbox
here = sandbox.start()
def agent(**more):
    return agentnb.agent(
        "operativus:finance_agent",
        base_url=here.base_url("operativus"), api_key=here.api_key, **more,
    )
done = agent().run("What is the current NVDA stock price?", check=False)
watched = agentnb.monitor([(agent(deadlines=agentnb.Deadlines(idle=99)), done.id)], interval=1)
watched
"""


@pytest.fixture
def going(notebook: Opener) -> NotebookPage:
    page = notebook(START, "watched.stop()")
    page.resize(1150, 900)
    page.run(1)
    return page


def view_of(page: NotebookPage) -> Locator:
    return page.output(1).locator(".agentnb-monitor")


def test_runs_are_followed_and_stopped_until_all_have_ended(
    going: NotebookPage, shot: Shot
) -> None:
    view = view_of(going)
    rows = view.locator("tbody tr")
    counts = view.locator(".agentnb-monitor-counts")
    expect(rows).to_have_count(5)
    expect(counts).to_have_text("4 running, 1 completed")
    expect(rows.nth(0)).to_contain_text("Answers")
    expect(rows.nth(3)).to_contain_text("Thinks")
    shot(view, "monitor-going")
    check_accessible(view)
    before = rows.nth(1).locator(".agentnb-monitor-figure").first.inner_text()
    expect(rows.nth(1).locator(".agentnb-monitor-figure").first).not_to_have_text(before)
    going.release("fail")
    expect(rows.nth(2)).to_contain_text("The model is overloaded.")
    stop = rows.nth(1).get_by_role("button")

    def press() -> None:
        stop.focus()
        going.page.keyboard.press("Enter")

    assert going.commands_of(press) == []
    expect(rows.nth(1)).to_contain_text("Cancelled")
    expect(rows.nth(1).get_by_role("rowheader")).to_be_focused()
    expect(counts).to_have_text("2 running, 1 completed, 1 failed, 1 cancelled")
    shot(view, "monitor-some-ended")
    for name in ("second", "third", "end", "tools", "answer"):
        going.release(name)
    expect(counts).to_have_text("3 completed, 1 failed, 1 cancelled")
    expect(view.locator(".agentnb-monitor-asking")).to_contain_text("All have ended")
    expect(view.get_by_role("button")).to_have_count(0)
    expect(rows.nth(3)).to_contain_text("2,352")
    shot(view, "monitor-ended")
    check_accessible(view)
    assert going.complaints == []


def test_a_reloaded_page_goes_on_and_a_lost_kernel_is_told(going: NotebookPage, shot: Shot) -> None:
    going.save()
    going.reload()
    view = view_of(going)
    counts = view.locator(".agentnb-monitor-counts")
    expect(counts).to_have_text("4 running, 1 completed")
    going.release("fail")
    expect(counts).to_have_text("3 running, 1 completed, 1 failed")
    going.save()
    going.restart()
    expect(view).to_contain_text("Not live")
    expect(view.locator("tbody tr")).to_have_count(5)
    expect(view.get_by_role("button")).to_have_count(0)
    shot(view, "monitor-lost")
    check_accessible(view)


def test_a_watch_that_is_stopped_says_so(going: NotebookPage) -> None:
    going.run(2)
    view = view_of(going)
    expect(view.locator(".agentnb-monitor-asking")).to_have_text("No longer watched.")
    expect(view.locator(".agentnb-monitor-counts")).to_have_text("4 running, 1 completed")


@pytest.mark.parametrize("theme", ["dark"], indirect=True)
def test_looks_in_the_dark_and_where_it_is_narrow(
    going: NotebookPage, theme: Theme, shot: Shot
) -> None:
    going.theme(theme)
    view = view_of(going)
    expect(view.locator("tbody tr")).to_have_count(5)
    shot(view, "monitor-dark")
    check_accessible(view)
    going.resize(320, 900)
    view.scroll_into_view_if_needed()
    shot(view, "monitor-narrow")
    assert view.evaluate(TOO_WIDE) == []


def test_a_platform_is_asked_for_its_run(notebook: Opener, shot: Shot) -> None:
    page = notebook(REMOTE)
    page.run(1)
    view = view_of(page)
    expect(view.locator(".agentnb-monitor-counts")).to_have_text("1 completed")
    expect(view.locator(".agentnb-monitor-asking")).to_contain_text("All have ended")
    shot(view, "monitor-remote")
