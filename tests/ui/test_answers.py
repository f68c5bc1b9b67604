"""A run waits for an answer: filled into a form in the cell, by a person who types."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.notebook.test_tools import SETUP
from tests.ui.chatting import ChatOnPage
from tests.ui.opener import Opener

Shot = Callable[[Locator | Page, str], None]

_AGENT = """
import json
import agentnb
from agentnb.event import ApprovalRequested

%load_ext agentnb

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "title": "City", "description": "Where you start from."},
        "days": {"type": "integer", "minimum": 1, "default": 2},
        "class": {"enum": ["first", "second"], "title": "Class"},
        "quiet": {"type": "boolean", "title": "Quiet car"},
        "note": {"type": "string", "format": "textarea"},
    },
    "required": ["city", "days"],
}

def travel(prompt, context):
    yield "I need a few details."
    yield ApprovalRequested(
        approval_id="a",
        message="Where do you start, and for how long?",
        answer_schema=json.dumps(SCHEMA),
        expires_at="2199-01-01T00:00:00Z",
    )
    yield "\\n\\nI got " + json.dumps(context.payloads.get("a"), sort_keys=True)
"""


@pytest.mark.parametrize("frontend", ["lab", "notebook7"], indirect=True)
def test_the_answer_is_filled_in_and_sent(notebook: Opener, shot: Shot) -> None:
    page = notebook(_AGENT.strip(), "%%agent travel\nPlan a trip.")
    page.run(1)
    page.start(2)
    waits = page.view(2).get_by_role("list", name="Waiting for approval")
    expect(waits).to_contain_text("Expires at")
    shot(page.output(2), "answer-form")
    waits.get_by_role("button", name="Send").click()
    city = waits.get_by_label("City")
    expect(city).to_be_focused()
    expect(city).to_have_attribute("aria-invalid", "true")
    shot(page.output(2), "answer-form-invalid")
    city.fill("<b>Bern</b>")
    waits.get_by_label("days").fill("3")
    waits.get_by_label("Class").select_option(label="second")
    waits.get_by_label("Quiet car").check()
    waits.get_by_role("button", name="Send").click()
    page.until_done(2)
    answer = 'I got {"city": "<b>Bern</b>", "class": "second", "days": 3, "quiet": true}'
    expect(page.static(2)).to_contain_text(answer)
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_the_arguments_of_a_call_are_changed(notebook: Opener, shot: Shot) -> None:
    page = notebook(SETUP.strip(), "%%agent calling --tool add -o answer\nHow much?")
    page.run(1)
    page.start(2)
    waits = page.view(2).get_by_role("list", name="Waiting for approval")
    waits.get_by_text("Edit arguments").click()
    shot(page.output(2), "answer-arguments")
    waits.get_by_label("b").fill("23")
    waits.get_by_role("button", name="Approve").click()
    page.until_done(2)
    expect(page.static(2)).to_contain_text("43")
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_in_a_narrow_dark_chat(notebook: Opener, shot: Shot) -> None:
    page = notebook(_AGENT.strip(), "chat = agentnb.chat(travel)\nchat")
    page.theme("dark")
    page.resize(320, 900)
    page.run(1)
    page.run(2)
    chat = ChatOnPage(page, 2)
    chat.ask("Plan a trip.")
    chat.until(1, "paused")
    waits = chat.run(1).get_by_role("list", name="Waiting for approval")
    city = waits.get_by_label("City")
    city.fill("Bern")
    shot(chat.element, "answer-chat-dark-320")
    city.press("Enter")
    chat.until(1, "completed")
    expect(chat.run(1)).to_contain_text('I got {"city": "Bern", "days": 2}')
    assert page.complaints == []
