"""A page of JupyterLab with a real kernel, and what measures both."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bootstrap
from playwright.sync_api import BrowserContext, expect, sync_playwright

from tests.bench.measure import Row
from tests.ui.frontend import NotebookPage
from tests.ui.opener import Opener
from tests.ui.server import JupyterServer
from tests.ui.wire import Wire

WAIT_MS: Final = 120_000
SAVE_STATE: Final = "lab/api/settings/@jupyter-widgets/jupyterlab-manager:plugin"


@dataclass(frozen=True)
class Bench:
    """An open page of JupyterLab, and what measures it."""

    context: BrowserContext
    server: JupyterServer
    page: NotebookPage
    wire: Wire
    notebook: Opener

    def value(self, cell: int) -> Any:
        """Run a cell and return its value, which is JSON."""
        self.page.run(cell)
        [output] = self.page.outputs(cell)
        assert "data" in output, output
        return json.loads(output["data"]["text/plain"])

    @contextmanager
    def main_thread(self) -> Generator[Callable[[], float], None, None]:
        """Yield what tells how many seconds of CPU the page's main thread took since."""
        session: Any = self.context.new_cdp_session(self.page.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def busy() -> float:
            told = session.send("Performance.getMetrics")
            return next(m["value"] for m in told["metrics"] if m["name"] == "TaskDuration")

        before = busy()
        try:
            yield lambda: busy() - before
        finally:
            session.detach()

    def saved(self, *, state: bool) -> int:
        """Save the notebook, with the state of its widgets or without; return its size."""
        self.page.save()
        if state:
            self.server.ask("PUT", SAVE_STATE, {"raw": json.dumps({"saveState": True})})
            # The page asks for its settings as it is loaded, and for its widgets.
            self.page.reload()
            self.page.page.wait_for_timeout(3000)
            self.page.save()
            self.server.ask("PUT", SAVE_STATE, {"raw": "{}"})
        return self.page.path.stat().st_size


@contextmanager
def opened() -> Generator[Bench, None, None]:
    expect.set_options(timeout=WAIT_MS)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = JupyterServer.start(Path(home))
        try:
            browser = playwright.chromium.launch(
                executable_path=bootstrap.chromium(),
                args=["--disable-gpu"],
                chromium_sandbox=not bootstrap.is_root(),
            )
            context = browser.new_context(viewport={"width": 1000, "height": 900})
            context.set_default_timeout(WAIT_MS)
            page = NotebookPage(context.new_page(), server, "lab")
            wire = Wire(page.page)
            yield Bench(context, server, page, wire, Opener(page, server))
            browser.close()
        finally:
            server.stop()


def figures(*values: tuple[str, float, str, float]) -> list[Row]:
    """Return rows of things of a unit ("" where they are ratios) that are at most so much."""
    return [
        Row(what, [value], goal, at_least=False, unit=unit) for what, value, unit, goal in values
    ]
