"""Messages that get lost between the kernel and the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.ui.frontend import NotebookPage
from tests.ui.notebook_agents import COUNTED
from tests.ui.opener import Opener

LOSSY = Path(__file__).with_name("lossy.js")


@pytest.mark.fresh_page
def test_a_view_that_loses_messages_ends_up_whole(page: NotebookPage, notebook: Opener) -> None:
    page.page.add_init_script(path=LOSSY)
    notebook(
        "from agentnb.widgets.run import RunWidget\n"
        "run = Counting.start('Count.')\n"
        "display(RunWidget(run))\n"
        "await run"
    )
    page.start(1)
    view = page.view(1)
    expect(view).to_have_attribute("data-status", "completed")
    expect(view.locator(".agentnb-md")).to_have_text(COUNTED)
    assert page.page.evaluate("window.lost") > 5
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
@pytest.mark.fresh_page
def test_an_answer_stays_whose_output_was_not_replaced(
    page: NotebookPage, notebook: Opener
) -> None:
    page.page.add_init_script(path=LOSSY)
    notebook("%%agent Counting\nCount.")
    page.run(1)
    expect(page.view(1)).to_have_attribute("data-status", "completed")
    expect(page.view(1).locator(".agentnb-md")).to_have_text(COUNTED)
    expect(page.static(1)).to_have_count(0)
