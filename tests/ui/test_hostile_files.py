"""Hostile text in files that a browser opens, and in marimo: nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nbconvert.exporters import HTMLExporter
from playwright.sync_api import BrowserContext, Page, Route, expect

from agentnb.render import comparison_html, to_html, to_text
from agentnb.render.chat import chat_html
from tests.faults.hostile import HOST, texts
from tests.faults.test_rendering import chat_of, comparison_of
from tests.faults.test_rendering_exports import notebook_of
from tests.render.harmless import everywhere
from tests.ui.hostile import LAST, Dialogs, agent_code, check_inert
from tests.ui.marimo_page import MarimoOpener

SAID = [text[:700] for text in texts().values()]


class Watched:
    """A page that opens files, and what it asked the network for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.dialogs = Dialogs(page)
        page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        if route.request.url.startswith("file:") and route.request.is_navigation_request():
            route.continue_()
            return
        self.asked.append(route.request.url)
        route.abort()

    def open(self, path: Path) -> list[str]:
        """Open a file and return what was asked for while it was loaded."""
        self.asked.clear()
        self.page.goto(path.as_uri())
        self.page.locator("details").evaluate_all(
            "(all) => all.forEach((one) => (one.open = true))"
        )
        # Twice the browser's own next frame, by when what is seen has been asked for.
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        return list(self.asked)


@pytest.fixture
def watched(context: BrowserContext) -> Iterator[Watched]:
    made = Watched(context.new_page())
    yield made
    made.page.close()


def notebook_as_html(path: Path, *bundles: dict[str, str]) -> Path:
    path.write_text(str(HTMLExporter().from_notebook_node(notebook_of(*bundles))[0]), "utf-8")
    return path


def test_the_page_would_tell(watched: Watched, tmp_path: Path) -> None:
    # Else the tests below could not fail.
    path = notebook_as_html(tmp_path / "a.html", {"text/html": f"<img src='https://{HOST}/x'>"})
    assert f"https://{HOST}/x" in watched.open(path)


def test_a_notebook_as_html(watched: Watched, tmp_path: Path) -> None:
    # What nbconvert's own page asks for, whatever is in it.
    plain = watched.open(notebook_as_html(tmp_path / "plain.html", {"text/html": "<p>x</p>"}))
    bundles: list[dict[str, str]] = []
    for text in SAID:
        view = everywhere(text)
        bundles += [{"text/html": to_html(view)}, {"text/plain": to_text(view)}]
        bundles += [{"text/html": chat_html(chat_of(text))}]
    asked = watched.open(notebook_as_html(tmp_path / "hostile.html", *bundles))
    assert sorted(set(asked)) == sorted(set(plain))
    for output in watched.page.locator("div.agentnb-run").all()[:40]:
        expect(output.locator("img, script, iframe, form, button, svg, math")).to_have_count(0)
    assert watched.dialogs.said == []


@pytest.mark.parametrize("kind", ["run", "chat", "comparison"])
def test_an_export(kind: str, watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "export.html"
    for text in SAID:
        match kind:
            case "run":
                made = to_html(everywhere(text), standalone=True)
            case "chat":
                made = chat_html(chat_of(text), standalone=True)
            case _:
                made = comparison_html(comparison_of(text), standalone=True)
        path.write_text(made, "utf-8")
        assert watched.open(path) == []
        active = watched.page.locator(
            "body :is(img, script, iframe, form, button, svg, math, link)"
        )
        expect(active).to_have_count(0)
    assert watched.dialogs.said == []


def test_marimo(marimo: MarimoOpener, tmp_path: Path) -> None:
    page = marimo(
        # Each name belongs to one cell.
        agent_code(tmp_path).replace("import agentnb\n", ""),
        "live = Hostile.start('Say it.')\nRunWidget(live)",
        "Path('end').touch()\nlive.wait(check=False)",
    )
    dialogs = Dialogs(page.page)
    expect(page.view(2)).to_contain_text(LAST)
    check_inert(page.view(2))
    expect(page.static(3)).to_contain_text(LAST)
    check_inert(page.static(3))
    page.page.screenshot(path="build/screenshots/hostile-marimo.png")
    assert page.foreign == []
    assert dialogs.said == []
