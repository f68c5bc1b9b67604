"""Hostile text in JupyterLab and Notebook 7: live, saved, and opened again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.files import read_outputs
from tests.ui.frontend import NotebookPage
from tests.ui.hostile import LAST, Dialogs, agent_code, check_inert
from tests.ui.opener import Opener
from tests.ui.server import JupyterServer

Shot = Callable[[Locator | Page, str], None]
# So that the typesetter is at work on this page when the rest is looked at.
FORMULA = "from IPython.display import HTML\nHTML('<p>$x^2$ and \\\\(y^2\\\\)</p>')"


def check_typesetter(page: NotebookPage, cell: int) -> None:
    expect(page.output(cell).locator("mjx-container")).to_have_count(2)


def test_live_saved_and_opened_again(
    notebook: Opener, page: NotebookPage, server: JupyterServer, tmp_path: Path, shot: Shot
) -> None:
    dialogs = Dialogs(page.page)
    cells = (agent_code(tmp_path), "%%agent Hostile\nSay it.", FORMULA)
    notebook(*cells)
    page.run(1)
    page.start(2)
    expect(page.view(2)).to_contain_text(LAST)
    check_inert(page.view(2))
    page.view(2).get_by_text(LAST).scroll_into_view_if_needed()
    shot(page.page, "hostile-live")
    page.release("end")
    page.until_done(2)
    page.run(3)
    check_typesetter(page, 3)
    expect(page.static(2)).to_contain_text(LAST)
    check_inert(page.static(2))
    page.static(2).get_by_text(LAST).scroll_into_view_if_needed()
    shot(page.page, "hostile-static")
    page.save()
    outputs = [read_outputs(page.path, number) for number in (1, 2, 3)]
    for trusted in (True, False):
        again = notebook.write(*cells, outputs=outputs, kernel=False)
        if trusted:
            server.trust(again)
        page.open(again, kernel=False)
        assert page.is_trusted() == trusted
        expect(page.output(2)).to_contain_text(LAST)
        check_typesetter(page, 3)
        check_inert(page.output(2).locator("div.agentnb-run"))
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == []
    assert dialogs.said == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_an_image_is_loaded_when_it_is_asked_for(notebook: Opener) -> None:
    page = notebook("%%agent Nosy\nBe nosy.")
    page.start(1)
    notice = page.view(1).get_by_role("log").get_by_role("button", name="Load image “chart”")
    expect(notice).to_be_visible()
    assert page.foreign == []
    notice.click()
    expect(page.view(1).get_by_role("log").locator("img")).to_have_count(1)
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == ["https://images.example/chart.png"]
    page.release("end")


def test_a_page_loaded_again_in_mid_stream(
    notebook: Opener, page: NotebookPage, tmp_path: Path
) -> None:
    dialogs = Dialogs(page.page)
    notebook(agent_code(tmp_path), "%%agent Hostile\nSay it.")
    page.run(1)
    page.start(2)
    expect(page.view(2)).to_contain_text(LAST)
    page.save()
    page.reload()
    expect(page.view(2)).to_contain_text(LAST)
    check_inert(page.view(2))
    assert page.foreign == []
    assert dialogs.said == []


def test_everything_else_that_shows_it(
    notebook: Opener, page: NotebookPage, tmp_path: Path, shot: Shot
) -> None:
    dialogs = Dialogs(page.page)
    notebook(
        agent_code(tmp_path),
        'Path("end").touch()\n'
        "both = agentnb.compare([Hostile, Hostile], said[3]).wait(check=False)\nboth",
        'agentnb.chat(Hostile.start("Say it.").wait(check=False))',
        "agentnb.runs()[['agent', 'prompt', 'text', 'error']]",
        "%agent history",
        "%agent sessions",
        FORMULA,
    )
    for cell in range(1, 8):
        page.run(cell)
    check_typesetter(page, 7)
    comparison = page.output(2)
    expect(comparison).to_contain_text(LAST)
    check_inert(comparison.locator("div.agentnb-run").first)
    chat = page.output(3).locator(".agentnb-chat")
    expect(chat.locator(".agentnb-compact").last).to_contain_text(LAST)
    check_inert(chat)
    shot(page.page, "hostile-others")
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == []
    assert dialogs.said == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
@pytest.mark.fresh_page
def test_its_export_in_the_preview_of_markdown(
    notebook: Opener, page: NotebookPage, tmp_path: Path, shot: Shot
) -> None:
    dialogs = Dialogs(page.page)
    notebook(
        agent_code(tmp_path),
        'Path("end").touch()\nrun = Hostile.start("Say it.").wait(check=False)\n'
        'run.export("said.md")\nprint(run.status)',
    )
    page.run(1)
    page.run(2)
    expect(page.output(2)).to_contain_text("failed")
    folder = page.path.parent.relative_to(page.path.parent.parent)
    page.page.evaluate(
        "(path) => window.jupyterapp.commands.execute('markdownviewer:open', { path })",
        f"{folder}/said.md",
    )
    preview = page.page.locator(".jp-MarkdownViewer .jp-RenderedMarkdown")
    expect(preview).to_contain_text(LAST)
    check_inert(preview, drawn=True)
    shot(page.page, "hostile-markdown")
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == []
    assert dialogs.said == []
