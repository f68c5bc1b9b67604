"""Going back in a chat: versions of questions and answers, and other sessions."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.chatting import ChatOnPage
from tests.ui.opener import Opener

pytestmark = pytest.mark.parametrize("frontend", ["lab"], indirect=True)


def test_earlier_questions_have_versions(notebook: Opener) -> None:
    page = notebook(
        "chat = agentnb.chat(Guide)\nchat", "print([m['content'] for m in chat.messages[::2]])"
    )
    page.run(1)
    chat = ChatOnPage(page, 1)
    for number, text in enumerate(("one", "two", "three"), 1):
        chat.say(number, text)
    expect(chat.answer(3)).to_contain_text("Before this: 2 [one; two].")

    # Another question in place of the second: the agent knows the first one, and no more.
    chat.button("Edit question 2").click()
    expect(chat.element).to_contain_text("Editing question 2")
    expect(chat.field).to_have_value("two")
    chat.field.fill("zwei")
    chat.keyboard.press("Enter")
    chat.until(2)
    expect(chat.turn(2)).to_contain_text("2 / 2")
    expect(chat.answer(2)).to_contain_text("Before this: 1 [one].")
    expect(chat.element).not_to_contain_text("New session:")
    expect(chat.element).not_to_contain_text("You asked: three")

    # Another answer, and the same context.
    chat.button("Regenerate answer 2").click()
    expect(chat.turn(2)).to_contain_text("3 / 3")
    chat.until(2)
    expect(chat.answer(2)).to_contain_text("Before this: 1 [one].")
    expect(chat.answer(2)).to_contain_text("You asked: zwei")

    # By keyboard back to the first version, and to all that followed it.
    back = chat.button("Previous version of question 2")
    back.press("Enter")
    expect(chat.turn(2)).to_contain_text("2 / 3")
    expect(back).to_be_focused()
    back.press("Enter")
    chat.until(3)
    expect(chat.turn(2)).to_contain_text("1 / 3")
    expect(chat.answer(3)).to_contain_text("You asked: three")
    # The kernel follows: what is asked now is asked here.
    page.run(2)
    assert page.outputs(2)[0]["text"] == "['one', 'two', 'three']\n"
    chat.say(4, "four")
    expect(chat.answer(4)).to_contain_text("Before this: 3 [one; two; three].")

    # The arrow takes the last question back; Escape leaves all as it was.
    chat.field.press("ArrowUp")
    expect(chat.field).to_have_value("four")
    expect(chat.element).to_contain_text("Editing question 4")
    chat.field.press("Escape")
    expect(chat.field).to_have_value("")
    expect(chat.turns).to_have_count(4)
    assert page.complaints == []


def test_where_no_session_can_be_branched_the_reader_is_told(notebook: Opener) -> None:
    page = notebook('chat = agentnb.chat("operativus:echo", base_url="sandbox")\nchat')
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.say(1, "one")
    chat.say(2, "two")
    chat.button("Edit question 2").click()
    chat.field.fill("zwei")
    chat.keyboard.press("Enter")
    chat.until(2)
    note = chat.turn(2).get_by_text("New session:")
    expect(note).to_be_visible()
    expect(note).to_contain_text("cannot branch one")
    expect(note).to_contain_text("the agent does not know the messages before this one")
    # What comes after goes on there, and a first question loses nothing.
    chat.say(3, "three")
    expect(chat.turn(3)).not_to_contain_text("New session:")
    chat.button("Regenerate answer 1").click()
    chat.until(1)
    expect(chat.turn(1)).to_contain_text("2 / 2")
    expect(chat.element).not_to_contain_text("New session:")
    assert page.complaints == []


def test_sessions_are_begun_and_opened_by_keyboard(notebook: Opener) -> None:
    page = notebook("chat = agentnb.chat(Guide)\nchat")
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.say(1, "about apples")
    session = chat.element.locator(".agentnb-chat-id")
    apples = session.inner_text()
    chat.button("New session").press("Enter")
    expect(chat.turns).to_have_count(0)
    expect(session).to_be_hidden()
    expect(chat.field).to_be_focused()
    chat.keyboard.type("about pears")
    chat.keyboard.press("Enter")
    chat.until(1)
    expect(chat.answer(1)).to_contain_text("Before this: 0 [].")
    assert session.inner_text() != apples

    menu = chat.button("Earlier sessions")
    items = chat.element.get_by_role("list", name="Earlier sessions").get_by_role("button")
    menu.press("Enter")
    expect(items).to_have_count(2)
    expect(items.nth(0)).to_contain_text("about pears")
    expect(items.nth(0)).to_contain_text("open now")
    expect(items.nth(0)).to_be_focused()
    chat.keyboard.press("Escape")
    expect(items).to_have_count(0)
    expect(menu).to_be_focused()
    menu.press("Enter")
    expect(items.nth(0)).to_be_focused()
    chat.keyboard.press("ArrowDown")
    expect(items.nth(1)).to_be_focused()
    chat.keyboard.press("Enter")
    expect(chat.turn(1)).to_contain_text("You asked: about apples")
    expect(session).to_have_text(apples)
    expect(chat.field).to_be_focused()
    chat.keyboard.type("and more")
    chat.keyboard.press("Enter")
    chat.until(2)
    expect(chat.answer(2)).to_contain_text("Before this: 1 [about apples].")
    assert page.complaints == []


def test_cells_and_a_chat_go_on_in_one_session(notebook: Opener) -> None:
    page = notebook(
        "%%agent Guide\nfrom the cell", "%agent chat Guide", "%%agent Guide\nfrom the next cell"
    )
    page.run(1)
    page.run(2)
    chat = ChatOnPage(page, 2)
    chat.until(1)
    expect(chat.turn(1)).to_contain_text("You asked: from the cell")
    chat.say(2, "in the chat")
    expect(chat.answer(2)).to_contain_text("Before this: 1 [from the cell].")
    page.run(3)
    expect(page.static(3)).to_contain_text("Before this: 2 [from the cell; in the chat].")
    # And a chat that went elsewhere takes the cells along.
    chat.button("New session").click()
    chat.say(1, "begun anew")
    page.run(3)
    expect(page.static(3)).to_contain_text("Before this: 1 [begun anew].")
    assert page.complaints == []
