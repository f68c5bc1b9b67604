"""Runs that are watched in marimo, whose widgets live in shadow roots."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.axe import check_accessible
from tests.ui.marimo_page import MarimoOpener
from tests.ui.marimo_server import Mode
from tests.ui.notebook_agents import COUNTED

Shot = Callable[[Locator, str], None]
MODES = pytest.mark.parametrize("mode", ["run", "edit"])


@MODES
def test_the_answer_is_seen_growing(mode: Mode, marimo: MarimoOpener) -> None:
    page = marimo("RunWidget(agents.Steps.start('Tell me.'))", mode=mode)
    view = page.view(1)
    for name, text in (
        ("second", "First things first."),
        ("third", "First things first. Then the second."),
        ("end", "First things first. Then the second. And the third, the last."),
    ):
        expect(view.get_by_role("log")).to_have_text(text)
        expect(view).to_have_attribute("data-status", "running")
        page.release(name)
    expect(view).to_have_attribute("data-status", "completed")
    assert page.foreign == []


def test_a_run_can_be_stopped(marimo: MarimoOpener) -> None:
    page = marimo("RunWidget(agents.Endless.start('Go on.'))")
    view = page.view(1)
    expect(view.get_by_role("log")).to_contain_text("What was said before")
    view.get_by_role("button", name="Stop").click()
    expect(view).to_have_attribute("data-status", "cancelled")
    expect(view).to_contain_text("Cancelled")


def test_a_run_is_a_cells_value(marimo: MarimoOpener) -> None:
    page = marimo("agents.Counting.start('Count.').wait()")
    expect(page.static(1)).to_contain_text(COUNTED)
    assert page.complaints == []


def test_two_views_of_a_run_show_the_same(marimo: MarimoOpener) -> None:
    page = marimo("widget = RunWidget(agents.Steps.start('Tell me.'))\nwidget", "widget")
    for cell in (1, 2):
        expect(page.view(cell).get_by_role("log")).to_have_text("First things first.")
    for name in ("second", "third", "end"):
        page.release(name)
    for cell in (1, 2):
        expect(page.view(cell).get_by_role("log")).to_contain_text("And the third, the last.")
        expect(page.view(cell)).to_have_attribute("data-status", "completed")


def test_a_run_goes_on_in_a_page_that_was_loaded_again(marimo: MarimoOpener) -> None:
    page = marimo("RunWidget(agents.Steps.start('Tell me.'))", mode="edit")
    expect(page.view(1).get_by_role("log")).to_have_text("First things first.")
    page.release("second")
    expect(page.view(1).get_by_role("log")).to_contain_text("Then the second.")
    page.reload()
    expect(page.view(1).get_by_role("log")).to_have_text("First things first. Then the second.")
    for name in ("third", "end"):
        page.release(name)
    expect(page.view(1).get_by_role("log")).to_contain_text("And the third, the last.")
    expect(page.view(1)).to_have_attribute("data-status", "completed")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_run_is_accessible(dark: bool, marimo: MarimoOpener, marimo_shot: Shot) -> None:
    page = marimo("RunWidget(agents.Report.start('How was the quarter?'))", dark=dark)
    view = page.view(1)
    for name in ("tools", "answer", "end"):
        page.release(name)
    expect(view).to_have_attribute("data-status", "completed")
    marimo_shot(page.cell(1), f"7-run-{'dark' if dark else 'light'}")
    check_accessible(view)
