"""A chat follows the end of an answer, but never takes from a reader what is being read."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.chatting import ChatOnPage
from tests.ui.opener import Opener

PAGES = """\
import agentnb
from notebook_agents import until

async def pages(prompt):
    yield "\\n\\n".join(f"Paragraph {i} of the first part." for i in range(60))
    await until("more")
    yield "\\n\\n" + "\\n\\n".join(f"Line {i} of the second part." for i in range(60))
    await until("end")

chat = agentnb.chat(pages)
chat"""


def top(what: Locator) -> float:
    """Return how far from the page's upper edge something is, in pixels."""
    box = what.bounding_box()
    assert box is not None
    return box["y"]


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_the_end_is_followed_until_the_reader_goes_elsewhere(notebook: Opener) -> None:
    page = notebook(PAGES)
    page.run(1)
    chat = ChatOnPage(page, 1)
    jump = chat.element.get_by_role("button", name="Jump to the end")
    chat.ask("Tell me all.")
    expect(chat.answer(1).get_by_text("Paragraph 59 of")).to_be_in_viewport()
    expect(jump).to_be_hidden()
    expect(chat.field).to_be_in_viewport()

    chat.log.hover()
    page.page.mouse.wheel(0, -500)
    expect(jump).to_be_visible()
    expect(jump).to_have_attribute("aria-label", "Jump to the end")
    read = chat.answer(1).get_by_text("Paragraph 45 of")
    read.scroll_into_view_if_needed()
    before = top(read)
    page.release("more")
    expect(chat.answer(1).get_by_text("Line 59 of")).to_be_attached()
    expect(jump).to_have_attribute("aria-label", "Jump to the end, there is new text")
    assert top(read) == pytest.approx(before, abs=1)

    jump.click()
    expect(chat.answer(1).get_by_text("Line 59 of")).to_be_in_viewport()
    expect(jump).to_be_hidden()
    expect(chat.field).to_be_focused()
    page.release("end")
    chat.until(1)
    # What the end of a run adds, its figures for example, is followed as well.
    expect(chat.run(1).get_by_role("button", name="Raw events")).to_be_in_viewport()
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_at_its_ends_a_chat_lets_the_notebook_scroll(notebook: Opener) -> None:
    page = notebook(PAGES, *["print('\\n' * 60)"] * 2)
    page.start_all(1)
    page.until_done(3)
    chat = ChatOnPage(page, 1)
    chat.ask("Tell me all.")
    expect(chat.answer(1).get_by_text("Paragraph 59 of")).to_be_in_viewport()
    before = top(chat.element)
    chat.log.hover()
    # The log is at its end, and has nothing to scroll by this.
    page.page.mouse.wheel(0, 200)
    page.page.wait_for_function(
        "([chat, before]) => chat.getBoundingClientRect().top < before - 50",
        arg=[chat.element.element_handle(), before],
    )
    page.release("more")
    page.release("end")
