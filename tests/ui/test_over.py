"""A table of prompts in a cell: how far it is, what comes of it, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.axe import check_accessible
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener
from tests.ui.past import TOO_WIDE

Shot = Callable[[Locator | Page, str], None]

AGENTS = """
import agentnb
import pandas as pd
from notebook_agents import until

@agentnb.sandbox.agent("analyst")
async def analyst(prompt):
    await until(prompt.split()[-1])
    if "TSLA" in prompt:
        raise ValueError("No figures are known.")
    yield "All is well."

@agentnb.sandbox.agent("modest")
async def modest(prompt):
    # One answer, and then nobody is to come for ten minutes.
    agentnb.sandbox.faults("status 429 retry_after=600")
    yield "Enough for now."

analyst, modest = (agentnb.agent(f"operativus:{name}", base_url="sandbox")
                   for name in ("analyst", "modest"))
firms = pd.DataFrame({"ticker": ["NVDA", "TSLA", "AMD"], "file": ["one", "one", "two"]})
"""
REPORT = "%%agent analyst --over firms -o table\nReport on {{ticker}}, see {{file}}"
REFUSED = "%%agent modest --over firms --concurrency 1\nReport on {{ticker}}."


def progress_of(page: NotebookPage, cell: int) -> Locator:
    return page.output(cell).locator(".agentnb-run")


@pytest.mark.parametrize("theme", ["dark"], indirect=True)
def test_a_table_of_prompts_from_its_first_row_to_its_end(
    notebook: Opener, theme: Theme, shot: Shot
) -> None:
    page = notebook(AGENTS, REPORT, REFUSED)
    page.resize(1000, 900)
    page.run(1)

    page.start(2)
    progress = progress_of(page, 2)
    expect(progress).to_contain_text("0 of 3 rows")
    page.release("one")
    expect(progress).to_contain_text(re.compile(r"2 of 3 rows · 1 failed · .* left"))
    bar = progress.get_by_role("progressbar", name="Rows that are done")
    expect(bar).to_have_attribute("value", "2")
    shot(page.output(2), "over-running")
    page.theme(theme)
    shot(page.output(2), "over-running-dark")
    page.release("two")
    page.until_done(2)
    expect(progress).to_have_text(
        re.compile(r"operativus:analyst · ✓ 3 rows · 1 failed · [\d.]+ s")
    )
    rows = page.output(2).locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("No figures are known.")
    expect(rows.nth(2)).to_contain_text("All is well.")
    shot(page.output(2), "over-done-dark")
    check_accessible(progress)

    page.start(3)
    progress = progress_of(page, 3)
    expect(progress).to_contain_text(re.compile(r"1 of 3 rows · ⟳ waiting \d+ min \d\d s for the"))
    shot(page.output(3), "over-waiting-dark")
    page.resize(320, 900)
    shot(page.output(3), "over-waiting-narrow")
    # Of the output, since what is in it is replaced every second.
    assert page.output(3).evaluate(TOO_WIDE) == []
    page.interrupt()
    page.until_done(3)
    expect(progress).to_contain_text("■")
    expect(progress).to_contain_text("checkpoint='")
    expect(page.output(3)).to_contain_text("KeyboardInterrupt: The map was interrupted")
    expect(page.output(3).locator("tbody tr").first).to_contain_text("Enough for now.")
    assert progress.evaluate(TOO_WIDE) == []
    shot(page.output(3), "over-interrupted-narrow")
    page.resize(1000, 900)
    shot(page.output(3), "over-interrupted-dark")
    check_accessible(progress)

    page.save()
    page.reload()
    expect(progress_of(page, 2)).to_contain_text("✓ 3 rows · 1 failed")
    expect(progress_of(page, 3)).to_contain_text("checkpoint='")
    shot(page.output(2), "over-reopened")
    shot(page.output(3), "over-interrupted-reopened")
    assert page.complaints == []
