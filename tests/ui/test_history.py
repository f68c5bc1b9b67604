"""The history in a cell: searched, sorted, paged, and its runs opened."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.axe import check_accessible
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener
from tests.ui.past import PAST, TOO_WIDE

# Awaits, as a cell with `%%agent` does.
BUSY = 'print("begun")\nawait until("end")'
Shot = Callable[[Locator | Page, str], None]


@pytest.fixture
def past(notebook: Opener) -> NotebookPage:
    page = notebook(PAST, "%agent history", BUSY)
    # Beside the side bar there is room for all columns.
    page.resize(1250, 1000)
    page.run(1)
    page.run(2)
    return page


def view_of(page: NotebookPage) -> Locator:
    return page.output(2).locator(".agentnb-history")


def rows_of(view: Locator) -> Locator:
    return view.locator(".agentnb-table tbody tr")


def test_it_is_searched_sorted_and_paged(past: NotebookPage, shot: Shot) -> None:
    view = view_of(past)
    rows = rows_of(view)
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("tags")
    expect(view.locator(".agentnb-history-count")).to_have_text("1–20 of 45 runs")
    shot(view, "history")
    check_accessible(view)
    view.get_by_role("button", name="Next runs").click()
    expect(view.locator(".agentnb-history-count")).to_have_text("21–40 of 45 runs")
    view.get_by_role("button", name="Next runs").click()
    expect(rows).to_have_count(5)
    head = view.get_by_role("columnheader", name="Cost")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(rows.first).to_contain_text("Compare the margins")
    expect(view.locator(".agentnb-history-count")).to_have_text("1–20 of 45 runs")
    field = view.get_by_role("searchbox")
    # In these letters are shortcuts of a notebook: none of them may be carried out.
    assert past.type_into(field, "ZEBRAS") == []
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("39")
    shot(view, "history-search")
    past.type_into(field, " nowhere")
    expect(view).to_contain_text("No run matches.")
    shot(view, "history-no-match")
    view.get_by_role("button", name="Show all runs").click()
    expect(rows).to_have_count(20)
    view.get_by_label("Status").select_option("failed")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("overloaded")
    shot(view, "history-failed")
    view.get_by_label("Status").select_option("")
    agent = view.get_by_label("Agent")
    agent.hover()
    agent.select_option("local:research")
    expect(view.locator(".agentnb-history-count")).to_have_text("15 runs")
    assert past.complaints == []


def test_a_run_is_opened_by_keyboard_and_closed(past: NotebookPage, shot: Shot) -> None:
    view = view_of(past)
    rows = rows_of(view)
    keys = past.page.keyboard
    first = rows.first.get_by_role("button")

    def open_the_second() -> None:
        first.focus()
        keys.press("ArrowDown")
        keys.press("Enter")

    assert past.commands_of(open_the_second) == []
    panel = view.get_by_role("region", name="Opened run")
    answer = panel.locator(".agentnb-answer")
    expect(answer).to_contain_text("Several sources agree.")
    expect(panel.get_by_role("button", name="Close")).to_be_focused()
    shot(view, "history-open")
    check_accessible(view)
    panel.get_by_role("button", name="Raw events").click()
    expect(panel.locator(".agentnb-record tbody tr")).not_to_have_count(0)
    assert past.commands_of(lambda: keys.press("Escape")) == []
    expect(panel).to_be_hidden()
    expect(rows.nth(1).get_by_role("button")).to_be_focused()
    rows.nth(3).locator("td").last.click()
    expect(answer).to_have_count(1)
    assert past.complaints == []


def test_it_answers_while_a_cell_runs(past: NotebookPage) -> None:
    view = view_of(past)
    past.start(3)
    expect(past.output(3)).to_contain_text("begun")
    past.type_into(view.get_by_role("searchbox"), "zebras")
    expect(rows_of(view)).to_have_count(1)
    assert past.prompt(3) == "[*]:"
    past.release("end")
    past.until_done(3)


@pytest.mark.parametrize("theme", ["dark"], indirect=True)
def test_looks_in_the_dark_and_where_it_is_narrow(
    past: NotebookPage, theme: Theme, shot: Shot
) -> None:
    past.theme(theme)
    view = view_of(past)
    rows_of(view).nth(2).click()
    expect(view.locator(".agentnb-answer")).to_have_count(1)
    shot(view, "history-dark")
    check_accessible(view)
    past.resize(320, 900)
    view.scroll_into_view_if_needed()
    expect(view.locator(".agentnb-history-brief").first).to_be_visible()
    shot(view, "history-narrow")
    assert view.evaluate(TOO_WIDE) == []


def test_nothing_yet_and_a_store_that_cannot_be_read(notebook: Opener, shot: Shot) -> None:
    page = notebook(
        'import agentnb\nagentnb.history.use("none.sqlite")\n%agent history',
    )
    page.run(1)
    view = page.output(1).locator(".agentnb-history")
    expect(view).to_contain_text("No runs yet.")
    shot(view, "history-empty")
    check_accessible(view)
    # With what SQLite keeps beside the file.
    for file in page.path.parent.glob("none.sqlite*"):
        file.write_bytes(b"this is no database" * 500)
    view.get_by_role("button", name="Look again").click()
    expect(view.locator(".agentnb-history-word").first).to_contain_text("store of runs")
    shot(view, "history-unreadable")


def test_it_is_kept_with_the_notebook(past: NotebookPage, shot: Shot) -> None:
    view = view_of(past)
    view.get_by_label("Status").select_option("failed")
    expect(rows_of(view)).to_have_count(3)
    past.save()
    past.reload()
    view = view_of(past)
    expect(rows_of(view)).not_to_have_count(0)
    past.type_into(view.get_by_role("searchbox"), "zebras")
    expect(view).to_contain_text("No run matches.")
