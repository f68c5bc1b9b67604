"""A run whose connection breaks off: what is seen of it while it is taken up again, and after."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.axe import check_accessible
from tests.ui.chatting import ChatOnPage
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener
from tests.ui.seen import errors
from tests.ui.test_looks import check

Shot = Callable[[Locator | Page, str], None]

# A sandbox that misbehaves: its agent's stream breaks off after some words, and the server then
# asks to be left alone for a while; or it refuses the request.
AGENTS = """
import asyncio
import agentnb
from agentnb import sandbox
from notebook_agents import until

@sandbox.agent("story")
async def story(prompt, context):
    for text in ("The tariff rises in **May**. ", "Three suppliers are hit, ", "one leaves."):
        yield text
        await asyncio.sleep(0.05)

def broken(script, **more):
    return agentnb.agent(
        "operativus:story", base_url="sandbox", model=f"fault:{script}", **more
    )

@sandbox.agent("held")
async def held(prompt, context):
    yield "The tariff rises in **May**. "
    yield "Three suppliers are hit, "
    await until("rest")
    yield "one leaves."

CUT = "drop events=3 on=start times=1"
# Long enough to be seen by a page that is busy.
AWAY = "status 503 retry_after=6 on=join times=1"
Held = agentnb.agent("operativus:held", base_url="sandbox", model=f"fault:{CUT}; {AWAY}")
Cut = broken(f"{CUT}; status 503 retry_after=100 on=join times=1")
Limited = broken("status 429 retry_after=100 times=1")
Lost = broken(
    f"{CUT}; status 503 on=join; status 503 on=other", retries=agentnb.Retries(reconnects=2)
)
"""
SAID = "The tariff rises in May."
WORDS = re.compile(r"Reconnecting, 2 of 5, in 1 min \d\d s|Reconnecting, 2 of 5, in \d\d s")


def line(view: Locator) -> Locator:
    return view.locator(".agentnb-waiting")


def saved(page: NotebookPage) -> str:
    page.save()
    return page.path.read_text("utf-8")


@pytest.mark.parametrize(
    ("frontend", "theme", "width"),
    [("lab", "light", 1000), ("lab", "dark", 320), ("notebook7", "dark", 1000)],
    indirect=["frontend", "theme"],
)
def test_what_is_tried_is_seen_and_can_be_stopped(
    theme: Theme, width: int, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    notebook(
        AGENTS,
        "%%agent Cut\nWhat would a change of the tariff mean?",
        "%%agent Limited\nWhat would a change of the tariff mean?",
        "%%agent Lost\nWhat would a change of the tariff mean?",
    )
    page.theme(theme)
    page.resize(width, 1400)
    name = f"{theme}-{width}"
    page.run(1)

    page.start(2)
    view = page.view(2)
    expect(line(view)).to_contain_text(WORDS)
    expect(line(view)).to_contain_text("503")
    expect(view.get_by_role("log")).to_contain_text(SAID)
    shot(page.cell(2), f"reconnecting-1-countdown-{name}")
    check(view)
    check_accessible(view)
    before = line(view).inner_text()
    expect(line(view)).not_to_have_text(before)
    view.get_by_role("button", name="Stop").click()
    page.until_done(2)
    expect(page.static(2)).to_contain_text("Stopped")
    expect(page.static(2)).to_contain_text(SAID)
    assert errors(page, 2) == ["RunCancelledError"]
    shot(page.cell(2), f"reconnecting-2-stopped-{name}")

    page.start(3)
    view = page.view(3)
    expect(line(view)).to_contain_text("Trying again, 1 of 2, in")
    expect(line(view)).to_contain_text("429")
    shot(page.cell(3), f"reconnecting-3-limited-{name}")
    check(view)
    check_accessible(view)
    view.get_by_role("button", name="Stop").click()
    page.until_done(3)

    page.run(4)
    static = page.static(4)
    expect(static).to_contain_text("Cut off")
    expect(static).to_contain_text(SAID)
    expect(static).to_contain_text("2 attempts to resume it")
    assert errors(page, 4) == ["RunTruncatedError"]
    shot(page.cell(4), f"reconnecting-4-given-up-{name}")
    check(static)
    kept = saved(page)
    assert "Reconnecting" not in kept
    assert "Trying again" not in kept
    assert page.foreign == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_an_answer_that_was_taken_up_again_is_whole_and_bears_no_trace(notebook: Opener) -> None:
    page = notebook(AGENTS, "%%agent Held\nTell me.")
    page.run(1)
    page.start(2)
    expect(line(page.view(2))).to_contain_text("Reconnecting")
    page.release("rest")
    page.until_done(2)
    static = page.static(2)
    expect(static).to_contain_text(f"{SAID} Three suppliers are hit, one leaves.")
    expect(static).to_contain_text("Completed")
    assert errors(page, 2) == []
    kept = saved(page)
    assert "Reconnecting" not in kept
    assert json.loads(kept)["cells"]


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
@pytest.mark.parametrize("theme", ["light"], indirect=True)
def test_a_chat_a_comparison_and_a_monitor_tell_it_too(
    theme: Theme, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    notebook(
        AGENTS,
        "agentnb.chat(Cut)",
        'both = agentnb.compare([Cut, Limited], "What would it mean?")\nboth',
        "agentnb.monitor(both.runs)",
    )
    page.resize(1100, 1500)
    page.run(1)
    page.run(2)
    chat = ChatOnPage(page, 2)
    chat.ask("What would a change of the tariff mean?")
    expect(line(chat.run(1))).to_contain_text(WORDS)
    expect(chat.element.locator("> .agentnb-said")).to_have_text("Reconnecting, 2 of 5.")
    shot(chat.element, "reconnecting-5-chat")
    check(chat.element)
    chat.button("Stop").click()
    chat.until(1, "cancelled")
    expect(line(chat.run(1))).to_have_text("")
    shot(chat.element, "reconnecting-6-chat-stopped")

    page.start(3)
    compared = page.output(3).locator(".agentnb-compare")
    expect(line(compared).nth(0)).to_contain_text(WORDS)
    expect(line(compared).nth(1)).to_contain_text("Trying again, 1 of 2")
    shot(compared, "reconnecting-7-compare")
    check(compared)
    page.start(4)
    rows = page.output(4).locator(".agentnb-monitor tbody tr")
    expect(rows.nth(0)).to_contain_text("Reconnecting, 2 of 5: operativus answered 503")
    expect(rows.nth(1)).to_contain_text("Trying again, 1 of 2: operativus answered 429")
    shot(page.output(4), "reconnecting-8-monitor")
    compared.get_by_role("button", name="Stop all").click()
    expect(rows.nth(1)).to_contain_text("Cancelled")


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_a_reopened_page_knows_it_while_there_is_a_kernel_and_not_for_ever(
    notebook: Opener, shot: Shot
) -> None:
    page = notebook(AGENTS, "%%agent Cut\nTell me.")
    page.run(1)
    page.start(2)
    expect(line(page.view(2))).to_contain_text(WORDS)
    assert "Reconnecting" not in saved(page)
    page.reload()
    expect(line(page.view(2))).to_contain_text(WORDS)
    page.restart()
    view = page.view(2)
    expect(view).to_have_attribute("data-status", "interrupted")
    expect(line(view)).to_have_text("")
    shot(page.cell(2), "reconnecting-9-kernel-gone")
