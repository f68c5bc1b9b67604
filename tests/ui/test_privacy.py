"""Nothing that an agent says makes the page reach out."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.opener import Opener

# What would load something, or act, in any of the answer's elements.
ACTIVE = "img, script, iframe, link, style, object, embed, video, audio, form, [style*='url(']"


@pytest.mark.fresh_page
def test_rendering_an_answer_asks_the_network_for_nothing(notebook: Opener) -> None:
    page = notebook("%%agent Nosy\nBe nosy.")
    page.start(1)
    view = page.view(1)
    expect(view).to_contain_text("styled")
    unfold(view)
    expect(view.locator(ACTIVE)).to_have_count(0)
    page.release("end")
    static = page.static(1)
    expect(static).to_contain_text("styled")
    unfold(static)
    expect(static.locator(ACTIVE)).to_have_count(0)
    expect(static.locator("[data-commandlinker-command]")).to_have_count(0)
    page.until_done(1)
    # Time for what was begun: a round trip through the page's own network.
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == []


def unfold(where: Locator) -> None:
    where.locator("details").evaluate_all("(found) => found.forEach((one) => (one.open = true))")
