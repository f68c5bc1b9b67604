"""Chats in marimo, whose widgets live in shadow roots and whose messages go another way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.axe import complain, violations
from tests.ui.chatting import ChatOnPage
from tests.ui.marimo_page import MarimoOpener
from tests.ui.marimo_server import Mode

Shot = Callable[[Locator, str], None]
STEPPED = "First things first. Then the second. And the third, the last."


@pytest.mark.parametrize("mode", ["run", "edit"])
def test_a_chat_is_talked_to_and_stopped(mode: Mode, marimo: MarimoOpener) -> None:
    page = marimo(
        "agentnb.chat(agents.steps)",
        "agentnb.chat(agents.endless)",
        "agentnb.chat(chat_agents.guide)",
        mode=mode,
    )
    chat = ChatOnPage(page, 1)
    chat.ask("Tell me.")
    for name, text in (
        ("second", "First things first."),
        ("third", "First things first. Then the second."),
        ("end", STEPPED),
    ):
        expect(chat.answer(1)).to_have_text(text)
        expect(chat.run(1)).to_have_attribute("data-status", "running")
        page.release(name)
    chat.until(1)

    endless = ChatOnPage(page, 2)
    endless.ask("Go on.")
    expect(endless.answer(1)).to_contain_text("What was said before")
    endless.button("Stop").last.click()
    endless.until(1, "cancelled")

    guide = ChatOnPage(page, 3)
    guide.say(1, "Where to?")
    guide.run(1).get_by_role("button", name="And what else?").click()
    guide.until(2)
    expect(guide.answer(2)).to_contain_text("Before this: 1 [Where to?].")
    assert page.foreign == []
    assert page.complaints == []


def test_attachments_arrive(marimo: MarimoOpener) -> None:
    page = marimo("agentnb.chat(chat_agents.weigh)")
    chat = ChatOnPage(page, 1)
    content = bytes(range(256)) * 4096
    with page.page.expect_file_chooser() as chooser:
        chat.button("Attach files").click()
    chooser.value.set_files(
        {"name": "bytes.bin", "mimeType": "application/octet-stream", "buffer": content}
    )
    chat.say(1, "Weigh this")
    expect(chat.answer(1)).to_contain_text("Weigh this: 1")
    expect(chat.answer(1)).to_contain_text(hashlib.sha256(content).hexdigest())


def test_a_chat_goes_on_with_a_platforms_agent(marimo: MarimoOpener) -> None:
    page = marimo("agentnb.chat('echo', base_url='sandbox')")
    chat = ChatOnPage(page, 1)
    chat.say(1, "Say this after me.")
    expect(chat.answer(1)).to_contain_text("Say this after me.")
    chat.say(2, "And that.")
    expect(chat.answer(2)).to_contain_text("And that.")
    assert page.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_chat_is_accessible(dark: bool, marimo: MarimoOpener, marimo_shot: Shot) -> None:
    page = marimo("agentnb.chat(chat_agents.scribe)", dark=dark)
    chat = ChatOnPage(page, 1)
    expect(chat.field).to_be_visible()
    found = {"empty": violations(chat.element)}
    chat.say(1, "How was the quarter?")
    marimo_shot(page.cell(1), f"8-chat-{'dark' if dark else 'light'}")
    found["answered"] = violations(chat.element)
    complain(found)


def test_a_finished_comparison_is_a_cells_value(marimo: MarimoOpener) -> None:
    page = marimo("agentnb.compare([agents.Counting, agents.steps], 'Tell me.').wait()")
    for name in ("second", "third", "end"):
        page.release(name)
    shown = page.static(1).first
    expect(shown).to_contain_text("0199")
    expect(shown).to_contain_text(STEPPED)
    assert page.complaints == []
