"""A run that is watched while it goes on."""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import expect

from tests.ui.opener import Opener
from tests.ui.seen import errors

# Notes how long the answer is whenever the page changes, as long as the run goes on.
WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const view = document.querySelector('.agentnb[data-status="running"]');
    const length = view?.querySelector('.agentnb-md')?.textContent.length ?? 0;
    if (length && window.seen.at(-1) !== length) window.seen.push(length);
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


def test_the_answer_is_seen_growing_while_the_run_goes_on(notebook: Opener) -> None:
    page = notebook("%%agent Steps\nTell me.")
    page.start(1)
    view = page.view(1)
    for name, text in (
        ("second", "First things first."),
        ("third", "First things first. Then the second."),
        ("end", "First things first. Then the second. And the third, the last."),
    ):
        expect(view.get_by_role("log")).to_have_text(text)
        expect(view).to_have_attribute("data-status", "running")
        expect(view.get_by_role("button", name="Stop")).to_be_visible()
        assert page.prompt(1) == "[*]:"
        page.release(name)
    page.until_done(1)
    expect(page.static(1)).to_contain_text("And the third, the last.")
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_a_remote_agents_answer_grows_in_the_page(notebook: Opener) -> None:
    page = notebook('%%agent echo\n{"deltas": 40, "delay_ms": 50}')
    page.page.evaluate(WATCH)
    page.run(1)
    seen: list[int] = page.page.evaluate("window.seen")
    assert len(seen) >= 4
    assert seen == sorted(seen)
    assert page.complaints == []


def test_stop_ends_the_run_and_the_cells_that_wait(notebook: Opener) -> None:
    page = notebook(
        '%%agent echo\n{"deltas": 100000, "delay_ms": 20}',
        "print('ran')",
    )
    page.start_all(1)
    view = page.view(1)
    expect(view.get_by_role("log")).to_contain_text("0003")
    view.get_by_role("button", name="Stop").click()
    page.until_idle()
    expect(page.static(1)).to_contain_text("Cancelled")
    expect(page.static(1)).to_contain_text("0003")
    assert errors(page, 1) == ["RunCancelledError"]
    assert page.prompt(2) == "[ ]:"
    assert page.outputs(2) == []
    expect(view).to_have_count(0)


def test_an_interrupted_kernel_cancels_the_run(notebook: Opener) -> None:
    page = notebook("%%agent Endless\nGo on.", "print('ran')")
    page.start_all(1)
    expect(page.view(1).get_by_role("log")).to_contain_text("What was said before")
    page.interrupt()
    page.until_idle()
    expect(page.static(1)).to_contain_text("Cancelled")
    expect(page.static(1)).to_contain_text("What was said before")
    assert (page.path.parent / "closed").exists()
    assert errors(page, 1) == ["KeyboardInterrupt"]
    assert page.prompt(2) == "[ ]:"
    # The kernel lives and answers again.
    page.run(2)
    assert page.outputs(2)[0]["text"] == "ran\n"


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_stop_reaches_a_kernel_whose_main_thread_is_blocked(notebook: Opener) -> None:
    page = notebook("%autoawait off", "%%agent Endless\nGo on.", "print('ran')")
    page.start_all(1)
    view = page.view(2)
    expect(view.get_by_role("log")).to_contain_text("What was said before")
    view.get_by_role("button", name="Stop").click()
    expect(page.static(2)).to_contain_text("Cancelled")
    page.until_idle()
    assert errors(page, 2) == ["RunCancelledError"]
    assert page.prompt(3) == "[ ]:"


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_a_kernel_that_does_not_hear_the_click_is_said_to_be_busy(notebook: Opener) -> None:
    page = notebook("%%agent Endless --bg\nGo on.", "import os\nprint(os.getpid())")
    page.start_all(1)
    page.until_done(2)
    kernel = int(page.outputs(2)[0]["text"])
    view = page.view(1)
    expect(view.get_by_role("log")).to_contain_text("What was said before")
    os.kill(kernel, signal.SIGSTOP)
    try:
        view.get_by_role("button", name="Stop").click()
        expect(view).to_contain_text("The kernel is busy")
        expect(view.get_by_role("button", name="Stop")).to_have_text("Stop again")
    finally:
        os.kill(kernel, signal.SIGCONT)
    # The click was only late.
    expect(page.static(1)).to_contain_text("Cancelled")


def test_a_background_run_goes_on_after_its_cell(notebook: Opener) -> None:
    page = notebook("%%agent Steps --bg\nTell me.", "print('next')")
    page.start_all(1)
    page.until_done(2)
    view = page.view(1)
    expect(view.get_by_role("log")).to_have_text("First things first.")
    expect(view).to_have_attribute("data-status", "running")
    for name in ("second", "third", "end"):
        page.release(name)
    expect(page.static(1)).to_contain_text("And the third, the last.")
    expect(view).to_have_count(0)
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_a_background_run_can_be_stopped(notebook: Opener) -> None:
    page = notebook("%%agent Endless --bg -o answer\nGo on.", "print(answer.status, answer.text)")
    page.run(1)
    view = page.view(1)
    expect(view.get_by_role("log")).to_contain_text("What was said before")
    view.get_by_role("button", name="Stop").click()
    expect(page.static(1)).to_contain_text("Cancelled")
    page.run(2)
    assert page.outputs(2)[0]["text"] == "cancelled What was said **before** the end.\n"
