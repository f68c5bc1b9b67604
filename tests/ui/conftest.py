"""The browser, the server, and a fresh notebook for each test."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import bootstrap
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.ui.frontend import WINDOW, Name, NotebookPage, Theme
from tests.ui.marimo_page import MarimoOpener
from tests.ui.opener import Opener
from tests.ui.server import JupyterServer

SHOTS = bootstrap.ROOT / "build" / "screenshots"
WAIT_MS = 30_000

expect.set_options(timeout=WAIT_MS)
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    # A page that reaches for a host elsewhere finds none.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--no-first-run",
)


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when != "teardown":
        item.stash[FAILED] = report.failed
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("ui")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    started = JupyterServer.start(tmp_path_factory.mktemp("jupyter"))
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = bootstrap.chromium()
    assert path is not None, "no Chromium; `make test` installs one"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=path,
            args=FLAGS,
            # Chromium refuses to sandbox what root starts.
            chromium_sandbox=not bootstrap.is_root(),
        )
        yield launched
        launched.close()


@pytest.fixture(scope="package", params=["lab", "notebook7"])
def frontend(request: pytest.FixtureRequest) -> Name:
    return request.param


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Shared, so that the frontend's own files are loaded and compiled once."""
    width, height = WINDOW
    made = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=1)
    made.set_default_timeout(WAIT_MS)
    yield made
    made.close()


@pytest.fixture(scope="package")
def loaded(frontend: Name) -> Iterator[list[NotebookPage]]:
    """Hold at most one page that has loaded the frontend, which takes seconds."""
    pages: list[NotebookPage] = []
    yield pages
    for page in pages:
        page.page.close()


@pytest.fixture
def page(
    request: pytest.FixtureRequest,
    context: BrowserContext,
    server: JupyterServer,
    frontend: Name,
    loaded: list[NotebookPage],
) -> Iterator[NotebookPage]:
    """An empty page; its notebook and all kernels end with the test.

    A test marked ``fresh_page`` loads the frontend anew, and so does the one after it.
    """
    is_fresh = request.node.get_closest_marker("fresh_page") is not None
    if is_fresh or not loaded:
        while loaded:
            loaded.pop().page.close()
        loaded.append(NotebookPage(context.new_page(), server, frontend))
    made = loaded.pop()
    yield made
    if is_fresh or request.node.stash.get(FAILED, False):
        made.page.close()
    else:
        made.close_notebook()
        loaded.append(made)
    server.end_kernels()


@pytest.fixture
def notebook(page: NotebookPage, server: JupyterServer) -> Opener:
    return Opener(page, server)


@pytest.fixture
def theme(request: pytest.FixtureRequest, page: NotebookPage) -> Iterator[Theme]:
    """The theme to look at; a setting that lives on in the server, so it is set back."""
    yield request.param
    page.theme("light")


@pytest.fixture
def marimo(
    context: BrowserContext, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MarimoOpener]:
    """Opens notebooks in marimo; pages and servers end with the test."""
    with ExitStack() as ends:
        yield MarimoOpener(context, lambda: tmp_path_factory.mktemp("marimo"), ends)


@pytest.fixture
def marimo_shot() -> Callable[[Locator | Page, str], None]:
    """Keep a picture of what marimo shows."""

    def take(what: Locator | Page, name: str) -> None:
        what.screenshot(path=SHOTS / f"{name}-marimo.png", animations="disabled")

    return take


@pytest.fixture
def shot(frontend: Name) -> Callable[[Locator | Page, str], None]:
    """Keep a picture, for people to look at."""

    def take(what: Locator | Page, name: str) -> None:
        what.screenshot(path=SHOTS / f"{name}-{frontend}.png", animations="disabled")

    return take
