"""A notebook that is open in a page of marimo, and how it came there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, Request

from tests.ui.files import write_marimo
from tests.ui.marimo_server import MarimoServer, Mode

_AGENTS = [Path(__file__).with_name(f"{name}_agents.py") for name in ("notebook", "chat")]
# marimo has no `import *`; each name belongs to one cell.
_SETUP = (
    "import agentnb\nimport chat_agents\nimport notebook_agents as agents\n"
    "from agentnb.widgets.run import RunWidget"
)


class MarimoPage:
    """One notebook in one page.  Its cells run by themselves, as soon as it is open.

    Each widget is in a shadow root of its own, which locators look into by themselves.
    """

    def __init__(self, page: Page, server: MarimoServer) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self._server = server
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("request", self._note_foreign)

    @property
    def path(self) -> Path:
        """The file of the notebook."""
        return self._server.path

    def open(self) -> None:
        self.page.goto(self._server.url)
        self.cell(0).wait_for(state="attached")

    def reload(self) -> None:
        """Load the page again: an app begins anew, a notebook that is edited goes on."""
        self.page.reload()
        self.cell(0).wait_for(state="attached")

    def release(self, name: str) -> None:
        """Let an agent go on that waits for this."""
        (self.path.parent / name).touch()

    def cell(self, index: int) -> Locator:
        return self.page.locator(".marimo-cell").nth(index)

    def view(self, index: int) -> Locator:
        """The live view in a cell."""
        return self.cell(index).locator(".agentnb")

    def static(self, index: int) -> Locator:
        """The static output of a run."""
        return self.cell(index).locator("div.agentnb-run")

    def _note_foreign(self, request: Request) -> None:
        """Remember what goes elsewhere; the browser finds no other host.

        Nothing is intercepted: that would switch the browser's cache off.
        """
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc != urlsplit(self._server.url).netloc:
            self.foreign.append(request.url)

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)


class MarimoOpener:
    """Writes notebooks and opens them; cell 0 brings the agents and names, a test's follow."""

    def __init__(
        self, context: BrowserContext, folder: Callable[[], Path], ends: ExitStack
    ) -> None:
        self._context = context
        self._folder = folder
        self._ends = ends

    def __call__(self, *cells: str, mode: Mode = "run", dark: bool = False) -> MarimoPage:
        folder = self._folder()
        for agents in _AGENTS:
            shutil.copy(agents, folder)
        path = folder / "cells.py"
        write_marimo(path, [_SETUP, *cells])
        server = MarimoServer.start(path, mode=mode, dark=dark)
        self._ends.callback(server.stop)
        page = self._context.new_page()
        self._ends.callback(page.close)
        made = MarimoPage(page, server)
        made.open()
        return made
