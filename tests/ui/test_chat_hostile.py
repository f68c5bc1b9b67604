"""Text that is made to make a page slow is shown all the same."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.ui.chatting import ChatOnPage
from tests.ui.opener import Opener

PATTERNS = Path(__file__).parents[1] / "conformance" / "markdown_pathological.json"

SPEAK = """\
import json
from pathlib import Path
import agentnb

def written(pattern):
    match pattern:
        case "LISTS":
            return "".join("  " * x + "* a\\n" for x in range(1000))
        case "TICKS":
            return "".join("e" + "`" * x for x in range(3000))
        case "TABLE":
            row = "|" + "b|" * 5000 + "\\n"
            return "|" + "a|" * 5000 + "\\n|" + "-|" * 5000 + "\\n" + row * 5
        case parts:
            return "".join(text * times for text, times in parts)

patterns = json.loads(Path("markdown_pathological.json").read_text())["patterns"]

def speak(prompt):
    return written(patterns[prompt])

chat = agentnb.chat(speak)
chat"""


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_pathological_markdown_is_shown_and_the_page_still_hears(notebook: Opener) -> None:
    names = list(json.loads(PATTERNS.read_text())["patterns"])
    page = notebook(SPEAK)
    shutil.copy(PATTERNS, page.path.parent)
    page.run(1)
    chat = ChatOnPage(page, 1)
    for name in names:
        chat.say(1, name)
        # Not all of it: what is nested without end is cut off.
        expect(chat.answer(1)).to_have_text(re.compile(r"\S"))
        chat.button("New session").click()
        expect(chat.turns).to_have_count(0)
    # The page still hears.
    chat.field.fill("many link openers x10000")
    expect(chat.button("Send")).to_be_enabled()
    assert page.foreign == []
    assert page.complaints == []
