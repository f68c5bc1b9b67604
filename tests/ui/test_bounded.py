"""A tool that returns megabytes, and an error as long: the page and the notebook stay small."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.opener import Opener
from tests.ui.test_looks import check

HUGE = 10_000_000
# Live views that stay, so that the notebook saves their state, too.
AGENT = f"""
import agentnb
from agentnb.event import RunFailed, TextDelta, ToolCallDelta, ToolCallFinished, ToolCallStarted
from agentnb.widgets.run import RunWidget

def huge(prompt):
    yield ToolCallStarted(call_id="a", name="fetch", arguments='{{"all": true}}')
    yield ToolCallFinished(call_id="a", result="[" + "1234567, " * {HUGE // 9} + "0]")
    yield ToolCallStarted(call_id="b", name="read", arguments="")
    for _ in range(100):
        yield ToolCallDelta(call_id="b", output="All the lines of a file. " * {HUGE // 2500})
    yield ToolCallFinished(call_id="b", error="Too long. " * {HUGE // 10})
    yield TextDelta("That was much.")
    yield RunFailed(message="Overloaded. " * {HUGE // 12})

run = agentnb.agent(huge).start("?")
RunWidget(run)
"""


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
@pytest.mark.fresh_page
def test_huge_results_are_bounded_in_the_page_and_in_the_file_but_whole_in_the_run(
    notebook: Opener, shot: Callable[[Locator | Page, str], None]
) -> None:
    page = notebook(
        AGENT,
        "first, second = run.tool_calls\n"
        "len(first.result), len(second.result), len(second.error), len(run.error)",
        "run",
    )
    page.resize(1000, 1800)
    page.run(1)
    view = page.view(1)
    expect(view).to_have_attribute("data-status", "failed")
    expect(view.get_by_role("log")).to_contain_text("That was much.")
    for name in ("fetch", "read"):
        view.get_by_text(name, exact=True).click()
    rests = view.locator(".agentnb-rest:visible")
    expect(rests).to_have_count(2)
    expect(rests.first).to_have_text("9,900,002 more characters; whole in run.tool_calls[0].result")
    expect(rests.nth(1)).to_contain_text("whole in run.tool_calls[1].result")
    more = view.get_by_role("button", name="Show 96,000 more")
    expect(more).to_have_count(2)
    shot(page.cell(1), "bounded-live")
    check(view)
    more.first.click()
    expect(more).to_have_count(1)
    assert view.evaluate("(it) => it.textContent.length") < 200_000
    page.run(2)
    expect(page.output(2)).to_contain_text("10000002, 10000000, 10000000, 9999996")
    page.run(3)
    expect(page.static(3)).to_contain_text("more characters")
    page.save()
    assert page.path.stat().st_size < 2_000_000
    assert page.complaints == []
