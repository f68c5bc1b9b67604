"""How a chat looks, and whether everybody can use it: states, themes, widths, keys, motion."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.axe import complain, violations
from tests.ui.chatting import ChatOnPage
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener
from tests.ui.test_chat_things import bring, picture
from tests.ui.test_looks import CONTRASTS, SIDEWAYS

Shot = Callable[[Locator, str], None]

# What has the focus, as a reader hears it, and whether a ring is to be seen around it.
# Once what the key made scroll has been drawn: the button that leads to the end comes and goes.
FOCUSED = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const focused = document.activeElement;
  if (!focused.closest('.agentnb-chat')) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(focused);
  const frame = focused.closest('.agentnb-chat-composer');
  const ring = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2
    || focused.matches('textarea') && getComputedStyle(frame).boxShadow !== 'none';
  const label = focused.querySelector('.agentnb-summary-label, code');
  return [focused.ariaLabel ?? (label ?? focused).textContent.trim(), ring];
}"""

MOVING = """(root) => root.getAnimations({ subtree: true })
  .filter((one) => one.playState === 'running').length"""


class Looks:
    """Looks at chats in one state after the other."""

    def __init__(self, shot: Shot, suffix: str) -> None:
        self.found: dict[str, list[str]] = {}
        self._shot = shot
        self._suffix = suffix

    def look(self, chat: ChatOnPage, state: str) -> None:
        element = chat.element
        self._shot(element, f"chat-{len(self.found) + 1:02d}-{state}-{self._suffix}")
        assert element.evaluate(SIDEWAYS) == [], state
        assert element.evaluate("(it) => it.scrollWidth <= it.clientWidth"), state
        contrasts = element.evaluate(CONTRASTS)
        assert contrasts, state
        assert [one for one in contrasts if one["ratio"] < 4.5] == [], state
        self.found[state] = violations(element)


@pytest.mark.parametrize(
    ("frontend", "theme", "width"),
    [("lab", "light", 1000), ("lab", "dark", 320), ("notebook7", "dark", 1000)],
    indirect=["frontend", "theme"],
)
def test_a_chat_looks_right_in_each_state(
    theme: Theme, width: int, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    notebook("chat = agentnb.chat(Scribe)\nchat", "agentnb.chat(Guide)")
    page.theme(theme)
    page.resize(width, 1400)
    page.run(1)
    chat = ChatOnPage(page, 1)
    looks = Looks(shot, f"{theme}-{width}")
    expect(chat.field).to_be_visible()
    looks.look(chat, "empty")
    chat.field.fill("How was the quarter, and what do you make of it?")
    bring(chat, "drop", "quarter.png", "image/png", picture())
    bring(chat, "drop", "a-rather-long-name-of-a-table.csv", "text/csv", b"a,b\n1,2\n")
    expect(chat.element.locator(".agentnb-chat-file img")).to_be_visible()
    looks.look(chat, "attachments")
    chat.keyboard.press("Enter")
    chat.until(1)
    looks.look(chat, "completed")

    page.run(2)
    chat = ChatOnPage(page, 2)
    chat.ask("late")
    expect(chat.run(1)).to_have_attribute("data-status", "running")
    looks.look(chat, "running")
    chat.button("Stop").click()
    chat.until(1, "cancelled")
    looks.look(chat, "stopped")
    chat.ask("fail")
    chat.until(2, "failed")
    looks.look(chat, "failed")
    chat.say(3, "Once more, please.")
    chat.button("Regenerate answer 3").click()
    expect(chat.turn(3)).to_contain_text("2 / 2")
    chat.until(3)
    looks.look(chat, "versions")
    chat.button("Edit question 3").click()
    looks.look(chat, "editing")
    chat.field.press("Escape")
    chat.button("Earlier sessions").click()
    expect(chat.element.get_by_role("list", name="Earlier sessions")).to_contain_text("late")
    looks.look(chat, "sessions")
    complain(looks.found)
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
@pytest.mark.fresh_page
def test_the_keyboard_reaches_all_of_a_chat(notebook: Opener) -> None:
    page = notebook("agentnb.chat(Scribe)")
    page.page.emulate_media(reduced_motion="reduce")
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.say(1, "How was the quarter?")
    expect(chat.field).to_be_focused()
    back = walk(page.page, "Shift+Tab")
    chat.element.get_by_role("button", name="Copy the session's id").focus()
    forth = walk(page.page, "Tab")
    assert forth == [
        "Earlier sessions",
        "New session",
        "Conversation",
        "Copy question 1",
        "Edit question 1",
        "Regenerate answer 1",
        "Reasoning",
        "get_figures",
        "the filing",
        # What is scrolled by itself, a table and code; their words are their names.
        *forth[9:11],
        "Copy code",
        "And what else?",
        "Why is that so?",
        "Copy as Markdown",
        "Timeline",
        "Raw events",
        "Attach files",
        "Message to scribe",
        "Send",
    ]
    assert forth[9].startswith("Segment")
    assert forth[10].startswith("def growth(")
    assert back[:-1] == forth[-3::-1]
    assert back[-1].startswith("Copy the session's id")


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
@pytest.mark.fresh_page
def test_nothing_moves_for_those_who_do_not_like_it(notebook: Opener) -> None:
    page = notebook("agentnb.chat(Guide)")
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.ask("late")
    expect(chat.run(1)).to_have_attribute("data-status", "running")
    assert chat.element.evaluate(MOVING) > 0
    page.page.emulate_media(reduced_motion="reduce")
    assert chat.element.evaluate(MOVING) == 0
    page.release("late")
    chat.until(1)
    assert chat.element.evaluate(MOVING) == 0


def walk(page: Page, key: str) -> list[str]:
    """Press a key until the focus leaves the chat; return what had it, each with a ring."""
    found: list[str] = []
    for _ in range(40):
        page.keyboard.press(key)
        seen = page.evaluate(FOCUSED)
        if seen is None:
            break
        name, ring = seen
        assert ring, name
        found.append(name)
    return found
