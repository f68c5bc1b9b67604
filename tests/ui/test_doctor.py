"""``%agent doctor`` in a page: what is wrong stands first and can be read, in any width."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.axe import check_accessible
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener
from tests.ui.test_looks import SIDEWAYS

Shot = Callable[[Locator, str], None]

# One platform that nobody listens for, and one without a key.
_WRONG = """
import os
os.environ["OPERATIVUS_BASE_URL"] = "http://127.0.0.1:1"
os.environ["OPERATIVUS_API_KEY"] = "sk-canary-3f9b2c7d51"
os.environ["SEEKR_BASE_URL"] = "http://127.0.0.1:1"
"""

# What a page makes of a formula, and what of one that a platform's error is made of.
_FORMULA = """
from IPython.display import HTML
HTML("<p>$x^2$</p>")
"""
_SAID = r"""
from agentnb.doctor import Report
from agentnb.doctor.report import problem
from agentnb.notebook.doctor import DisplayedReport
DisplayedReport(Report((problem("seekr: access", r"$\href{https://evil.example}{Click}$"),), 1.0))
"""


@pytest.mark.parametrize(
    ("frontend", "theme", "width"),
    [("lab", "light", 1250), ("lab", "dark", 1250), ("notebook7", "light", 320)],
    indirect=["frontend", "theme"],
)
def test_what_is_wrong_stands_first(
    theme: Theme, width: int, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    page = notebook(_WRONG, "%agent doctor")
    page.theme(theme)
    page.resize(width, 1000)
    page.run(1)
    page.run(2)
    table = page.output(2).locator("table")
    rows = table.locator("tbody tr")
    expect(rows.first).to_contain_text("problem")
    expect(table).to_contain_text("Nothing listens there")
    expect(table).to_contain_text("runs are live views")
    expect(page.output(2)).not_to_contain_text("sk-canary")
    assert page.output(2).evaluate(SIDEWAYS) == []
    assert not table.evaluate("(t) => t.getBoundingClientRect().right > innerWidth")
    shot(page.output(2), f"doctor-{theme}-{width}")
    # What scrolls around it is Jupyter's own.
    check_accessible(table)


def test_a_formula_in_what_a_platform_says_is_none(notebook: Opener) -> None:
    page = notebook(_SAID, _FORMULA)
    page.run(1)
    page.run(2)
    expect(page.output(2).locator("mjx-container")).to_have_count(1)
    expect(page.output(1)).to_contain_text(r"$\href{https://evil.example}{Click}$")
    expect(page.output(1).locator("mjx-container, a")).to_have_count(0)
