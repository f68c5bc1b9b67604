"""A remote agent calls a function of the notebook: decided in the cell, by a person who clicks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.notebook.test_tools import SETUP
from tests.ui.opener import Opener

Shot = Callable[[Locator | Page, str], None]


@pytest.mark.parametrize("frontend", ["lab", "notebook7"], indirect=True)
@pytest.mark.parametrize("button", ["Approve", "Deny"])
def test_the_call_is_decided_in_the_cell(notebook: Opener, shot: Shot, button: str) -> None:
    page = notebook(SETUP.strip(), "%%agent calling --tool add -o answer\nHow much?")
    page.run(1)
    page.start(2)
    view = page.view(2)
    waits = view.get_by_role("list", name="Waiting for approval")
    expect(waits).to_contain_text("call add in this kernel")
    expect(waits).to_contain_text("22")
    assert page.prompt(2) == "[*]:"
    shot(page.output(2), f"tool-waits-{button.lower()}")
    waits.get_by_role("button", name=button).click()
    page.until_done(2)
    answer = "It is 42" if button == "Approve" else "It is Error: The user denied this call."
    expect(page.static(2)).to_contain_text(answer)
    shot(page.output(2), f"tool-done-{button.lower()}")
    assert page.complaints == []
