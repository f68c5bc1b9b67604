"""Talking with an agent in a chat."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.ui.chatting import ChatOnPage
from tests.ui.frontend import NotebookPage
from tests.ui.opener import Opener

LOSSY = Path(__file__).with_name("lossy.js")
CHAT = "chat = agentnb.chat(Guide)\nchat"
SEEN = (
    "print(chat.status, chat.session_id is not None, chat.usage.total_tokens, len(chat.messages))"
)


def test_a_conversation_goes_on_in_its_session(notebook: Opener) -> None:
    page = notebook(CHAT, SEEN)
    page.run(1)
    chat = ChatOnPage(page, 1)
    assert page.type_into(chat.field, "Good morning,") == []
    expect(chat.field).to_be_focused()
    chat.keyboard.press("Shift+Enter")
    chat.keyboard.type("on two lines")
    expect(chat.field).to_have_value("Good morning,\non two lines")
    expect(chat.turns).to_have_count(0)
    chat.keyboard.press("Enter")
    expect(chat.field).to_have_value("")
    expect(chat.turn(1)).to_contain_text("Good morning,\non two lines")
    chat.until(1)

    chat.ask("slowly this time")
    expect(chat.answer(2)).to_have_text("Before this: 1 [Good morning, on two lines].")
    expect(chat.run(2)).to_have_attribute("data-status", "running")
    expect(chat.button("Stop")).to_be_visible()
    page.release("middle")
    expect(chat.answer(2)).to_contain_text("The middle was reached.")
    expect(chat.run(2)).to_have_attribute("data-status", "running")
    page.release("end")
    chat.until(2)

    # A suggestion is asked by a click, and answered in the same session.
    session = chat.element.locator(".agentnb-chat-id").inner_text()
    chat.button("Why is that so?").click()
    chat.until(3)
    expect(chat.answer(3)).to_contain_text("Before this: 2 [")
    expect(chat.turn(3)).to_contain_text("You asked: Why is that so?")
    assert chat.element.locator(".agentnb-chat-id").inner_text() == session
    page.run(2)
    assert page.outputs(2)[0]["text"] == "completed True 45 6\n"
    assert page.complaints == []


def test_jupyters_shortcuts_never_fire_in_a_chat(notebook: Opener) -> None:
    page = notebook(CHAT, "print('ran')")
    page.run(1)
    chat = ChatOnPage(page, 1)
    cells = page.page.locator(".jp-NotebookPanel .jp-Cell").count()
    assert page.type_into(chat.field, "late dd a b x z m y 00 ii") == []
    keys = ("Shift+Enter", "Escape", "ArrowUp", "Control+Enter", "Escape", "d", "d", "a", "b", "x")

    def press(those: tuple[str, ...]) -> None:
        for key in those:
            chat.keyboard.press(key)

    assert page.commands_of(lambda: press(keys)) == []
    # By Control+Enter it was sent, as by Enter.
    expect(chat.run(1)).to_have_attribute("data-status", "running")
    expect(chat.field).to_have_value("ddabx")

    # Elsewhere in it: Jupyter's keys are those of whatever isn't written in.
    reach = ("d", "d", "a", "b", "x", "Enter", "ArrowDown", "d", "d", "Escape", "Escape")
    for place in (chat.log, chat.button("Edit question 1"), chat.button("Earlier sessions")):
        place.focus()
        assert page.commands_of(lambda: press(reach)) == []
    page.release("late")
    chat.until(1)
    assert page.page.locator(".jp-NotebookPanel .jp-Cell").count() == cells
    assert [page.prompt(cell) for cell in (0, 1, 2)] == ["[1]:", "[2]:", "[ ]:"]


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_what_ends_an_answer_early_is_told(notebook: Opener) -> None:
    page = notebook(CHAT, "print([(m['status'], m['content'][:6]) for m in chat.messages[1::2]])")
    page.run(1)
    chat = ChatOnPage(page, 1)
    # Before the first byte, by keyboard: the focus stays where one writes.
    chat.ask("late for ever")
    chat.button("Stop").press("Enter")
    chat.until(1, "cancelled")
    expect(chat.run(1).get_by_text("Cancelled")).to_be_visible()
    expect(chat.field).to_be_focused()
    # In the middle: what arrived stays.
    chat.ask("slowly")
    expect(chat.answer(2)).to_contain_text("Before this")
    chat.button("Stop").click()
    chat.until(2, "cancelled")
    expect(chat.answer(2)).to_contain_text("Before this")
    expect(chat.run(2).get_by_text("Cancelled")).to_be_visible()
    chat.ask("fail")
    chat.until(3, "failed")
    expect(chat.answer(3)).to_contain_text("Before this")
    expect(chat.run(3).get_by_text("The model is overloaded.")).to_be_visible()
    expect(chat.run(3).get_by_text("OVERLOADED", exact=True)).to_be_visible()
    # It can be talked on after each of these.
    chat.say(4, "still there")
    page.run(2)
    told = ("cancelled", ""), ("cancelled", "Before"), ("failed", "Before"), ("completed", "Before")
    assert page.outputs(2)[0]["text"] == f"{list(told)}\n"
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_code_and_several_views_take_part_in_one_chat(notebook: Opener) -> None:
    page = notebook(
        "chat = agentnb.chat(Guide)\nseen = []\n"
        "chat.observe(lambda change: seen.append(change['new']), 'status')\nchat",
        "agentnb.chat(Guide)",
        "chat",
        "run = chat.send('from code').wait()",
        "print(seen[-2:], run.text == chat.messages[1]['content'])",
    )
    for cell in (1, 2, 3):
        page.run(cell)
    first, other, second = (ChatOnPage(page, cell) for cell in (1, 2, 3))
    page.run(4)
    for view in (first, second):
        view.until(1)
        expect(view.turn(1)).to_contain_text("You asked: from code")
    # What is written but not sent is the same in all views of a chat, and in no other chat.
    other.ask("something else")
    second.ask("slowly")
    other.until(1)
    expect(first.answer(2)).to_have_text("Before this: 1 [from code].")
    first.field.click()
    first.keyboard.insert_text("too early")
    first.keyboard.press("Enter")
    expect(first.note).to_contain_text("An answer is under way")
    expect(first.field).to_have_value("too early")
    page.release("middle")
    page.release("end")
    for view in (first, second):
        view.until(2)
        expect(view.answer(2)).to_contain_text("You asked: slowly")
    expect(other.turns).to_have_count(1)
    expect(other.answer(1)).to_contain_text("Before this: 0 [].")
    expect(other.element).not_to_contain_text("from code")
    page.run(5)
    assert page.outputs(5)[0]["text"] == "['running', 'completed'] True\n"
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
@pytest.mark.fresh_page
def test_a_question_that_is_refused_comes_back(page: NotebookPage, notebook: Opener) -> None:
    page.page.add_init_script(path=LOSSY)
    notebook(CHAT, "run = chat.send('late, from code')")
    page.page.evaluate("window.loses = () => false")
    page.run(1)
    chat = ChatOnPage(page, 1)
    expect(chat.field).to_be_editable()
    # The page does not hear that a question was asked.
    page.page.evaluate("window.loses = (content) => ['chat', 'run'].includes(content?.type)")
    page.run(2)
    chat.ask("asked at the same time")
    expect(chat.note).to_contain_text("An answer is under way")
    expect(chat.field).to_have_value("asked at the same time")
    page.page.evaluate("window.loses = () => false")
    page.release("late")
    expect(chat.turn(1)).to_contain_text("You asked: late, from code")
    chat.field.press("Enter")
    chat.until(2)
    expect(chat.answer(2)).to_contain_text("Before this: 1 [late, from code].")
