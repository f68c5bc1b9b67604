"""A notebook that is opened again: without its kernel, or while its run goes on."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.files import read_outputs
from tests.ui.frontend import NotebookPage
from tests.ui.opener import Opener
from tests.ui.server import JupyterServer


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
@pytest.mark.fresh_page
def test_the_answer_is_there_without_a_kernel(
    trusted: bool, page: NotebookPage, notebook: Opener, server: JupyterServer
) -> None:
    notebook("%%agent Report\nHow was the quarter?")
    for name in ("tools", "answer", "end"):
        page.release(name)
    page.run(1)
    expect(page.static(1)).to_contain_text("Quarterly summary")
    page.save()
    outputs = read_outputs(page.path, 1)
    again = notebook.write("%%agent Report\nHow was the quarter?", outputs=[outputs], kernel=False)
    if trusted:
        server.trust(again)
    page.open(again, kernel=False)
    shown = page.output(1)
    expect(shown.get_by_role("cell", name="1,204.5")).to_be_visible()
    expect(shown).to_contain_text("Completed")
    # What is folded unfolds without any script of ours.
    expect(shown.get_by_text("Supply was short until August.")).to_be_hidden()
    shown.get_by_text("get_comments").first.click()
    expect(shown.get_by_text("Supply was short until August.")).to_be_visible()
    assert page.is_trusted() == trusted
    assert page.foreign == []
    assert page.complaints == []


@pytest.mark.fresh_page
def test_a_page_loaded_again_in_mid_run_shows_all_and_the_end(notebook: Opener) -> None:
    page = notebook("%%agent Steps\nTell me.")
    page.start(1)
    expect(page.view(1).get_by_role("log")).to_have_text("First things first.")
    page.save()
    page.reload()
    view = page.view(1)
    expect(view.get_by_role("log")).to_have_text("First things first.")
    expect(view).to_have_attribute("data-status", "running")
    page.release("second")
    expect(view.get_by_role("log")).to_contain_text("Then the second.")
    page.release("third")
    page.release("end")
    expect(view).to_have_attribute("data-status", "completed")
    expect(view.get_by_role("log")).to_have_text(
        "First things first. Then the second. And the third, the last."
    )
    expect(view.get_by_role("button", name="Stop")).to_be_hidden()


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
@pytest.mark.fresh_page
def test_stop_works_in_a_page_loaded_again(notebook: Opener) -> None:
    page = notebook("%%agent Endless\nGo on.")
    page.start(1)
    expect(page.view(1).get_by_role("log")).to_contain_text("What was said")
    page.save()
    page.reload()
    view = page.view(1)
    expect(view.get_by_role("log")).to_contain_text("What was said")
    view.get_by_role("button", name="Stop").click()
    expect(view).to_have_attribute("data-status", "cancelled")
    page.until_kernel_is_idle()
