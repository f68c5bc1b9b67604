"""How it looks: pictures for people, and what can be measured about them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.frontend import NotebookPage, Theme
from tests.ui.opener import Opener
from tests.ui.seen import errors

Shot = Callable[[Locator, str], None]

# Every stretch of text that can be seen, with the ratio of its colour to that behind it.
CONTRASTS = """(root) => {
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const over = (top, below) => below.map((c, i) => c + (top[i] - c) * top[3]);
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({ visibilityProperty: true })) continue;
    const chain = [];
    for (let at = element; at; at = at.parentElement) chain.unshift(getComputedStyle(at));
    let back = [255, 255, 255];
    let opacity = 1;
    for (const style of chain) {
      back = over(colour(style.backgroundColor), back);
      opacity *= Number(style.opacity);
    }
    const own = colour(getComputedStyle(element).color);
    const front = over([...own.slice(0, 3), own[3] * opacity], back);
    const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
    found.push({ text: text.slice(0, 40), ratio: (high + 0.05) / (low + 0.05) });
  }
  return found;
}"""

# Text that sticks out at the side, but for what can be scrolled there.
SIDEWAYS = """(root) => {
  const edge = root.getBoundingClientRect().right + 1;
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!element.checkVisibility() || element.closest('pre, table')) continue;
    if (getComputedStyle(element).overflowX !== 'visible') continue;
    range.selectNodeContents(walker.currentNode);
    if (Array.from(range.getClientRects()).some((box) => box.right > edge))
      found.push(walker.currentNode.textContent.slice(0, 60));
  }
  return found;
}"""


@pytest.mark.parametrize(
    ("frontend", "theme", "width"),
    [
        ("lab", "light", 1000),
        ("lab", "dark", 320),
        ("notebook7", "dark", 1000),
        ("notebook7", "light", 320),
    ],
    indirect=["frontend", "theme"],
)
def test_a_run_with_everything(
    theme: Theme, width: int, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    notebook("%%agent Report\nHow was the quarter, and what do you make of it?")
    page.theme(theme)
    page.resize(width, 2600)
    name = f"{theme}-{width}"
    page.start(1)
    view = page.view(1)
    expect(view.get_by_text("Reasoning")).to_be_visible()
    expect(view.get_by_role("log")).to_contain_text("year")
    shot(page.cell(1), f"1-reasoning-{name}")
    page.release("tools")
    expect(view.get_by_text("get_comments")).to_be_visible()
    view.get_by_text("get_figures").click()
    view.get_by_text("compare_with").click()
    shot(page.cell(1), f"2-tools-{name}")
    page.release("answer")
    expect(view).to_contain_text("have their place, too.")
    expect(view).to_contain_text("sample-model-1")
    shot(page.cell(1), f"3-answer-{name}")
    check(view)
    page.release("end")
    page.until_done(1)
    static = page.static(1)
    # The timeline names them again, below.
    for part in ("get_figures", "compare_with"):
        static.get_by_text(part).first.click()
    static.get_by_text("Reasoning", exact=True).click()
    static.get_by_text("Timeline", exact=True).click()
    shot(page.cell(1), f"4-static-{name}")
    check(static)


@pytest.mark.parametrize(
    ("frontend", "theme"),
    [("lab", "dark"), ("notebook7", "light")],
    indirect=True,
)
def test_runs_that_did_not_come_to_their_end(
    theme: Theme, page: NotebookPage, notebook: Opener, shot: Shot
) -> None:
    notebook(
        "%%agent Failing --bg\nShow me.",
        "%%agent Endless --bg\nGo on.",
        "%%agent Nothing\nSay nothing.",
        "%%agent Failing\nShow me.",
        "%%agent Steps --sesion x\nTell me.",
    )
    page.theme(theme)
    page.resize(1000, 1300)
    for cell in (1, 2):
        page.run(cell)
        expect(page.view(cell).get_by_role("log")).not_to_be_empty()
    shot(page.page.locator(".jp-Notebook"), f"5-background-{theme}")
    page.release("fail")
    page.view(2).get_by_role("button", name="Stop").click()
    page.run(3)
    page.run(4)
    page.run(5)
    assert errors(page, 5) == ["RequestError"]
    expect(page.output(5)).to_contain_text("--session")
    expect(page.static(3)).to_contain_text("nothing")
    shot(page.page.locator(".jp-Notebook"), f"6-ended-{theme}")
    for cell in (1, 2, 3, 4):
        check(page.static(cell))


def check(what: Locator) -> None:
    assert what.evaluate(SIDEWAYS) == []
    contrasts = what.evaluate(CONTRASTS)
    assert contrasts
    assert [one for one in contrasts if one["ratio"] < 4.5] == []
