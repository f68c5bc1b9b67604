"""The timeline in what is left of a run: in a notebook that nobody trusted, and in a narrow one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.axe import violations
from tests.ui.files import read_outputs
from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener

Shot = Callable[[Locator, str], None]

# Where each bar lies within its cell, in per cent, its height in pixels, and its colour.
BARS = """(rows) => rows.map((row) => {
  const cell = row.cells[1], bar = cell.firstElementChild, style = getComputedStyle(cell);
  const left = cell.getBoundingClientRect().left + parseFloat(style.paddingLeft);
  const wide = cell.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const box = bar.getBoundingClientRect();
  return [
    (100 * (box.left - left)) / wide, (100 * (box.right - left)) / wide,
    box.height, getComputedStyle(bar).borderTopColor,
  ];
})"""


@pytest.mark.parametrize(("theme", "width"), [("light", 1000), ("dark", 320)], indirect=["theme"])
@pytest.mark.fresh_page
def test_the_timeline_of_a_saved_run(
    theme: Theme, width: int, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    notebook("%%agent Report\nHow was the quarter?")
    for name in ("tools", "answer", "end"):
        page.release(name)
    page.run(1)
    expect(page.static(1)).to_contain_text("Quarterly summary")
    page.save()
    outputs = read_outputs(page.path, 1)
    again = notebook.write("%%agent Report\nHow was the quarter?", outputs=[outputs], kernel=False)
    page.open(again, kernel=False)
    page.theme(theme)
    page.resize(width, 2600)
    assert not page.is_trusted()
    fold = page.output(1).locator("details").filter(has_text="Timeline")
    table = fold.get_by_role("table")
    expect(table).to_have_count(0)
    fold.get_by_text("Timeline").click()
    expect(table).to_be_visible()
    shot(fold, f"timeline-saved-{theme}-{width}")
    bars = table.locator("tbody tr").evaluate_all(BARS)
    assert len(bars) >= 5
    assert len({colour for *_, colour in bars}) >= 4
    for left, right, height, _ in bars:
        # The sanitizer left the styles in; only its least width takes a bar past its scale.
        assert -0.1 <= left < right <= 103
        assert height == pytest.approx(6, abs=0.5)
    assert max(right for _, right, *_ in bars) > 50
    assert violations(fold) == []
    assert page.foreign == []
    assert page.complaints == []
