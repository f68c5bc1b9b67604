"""From some cells to a notebook that is open in a page."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.ui.files import Output, write_notebook
from tests.ui.frontend import NotebookPage
from tests.ui.server import JupyterServer

_AGENTS = [Path(__file__).with_name(f"{name}_agents.py") for name in ("notebook", "chat")]
_SETUP = "%load_ext agentnb\nfrom notebook_agents import *\nfrom chat_agents import *"
_numbers = itertools.count(1)


class Opener:
    """Writes notebooks and opens them in one page; cell 0 brings the agents, a test's follow."""

    def __init__(self, page: NotebookPage, server: JupyterServer) -> None:
        self._page = page
        self._server = server

    def __call__(self, *cells: str) -> NotebookPage:
        path = self.write(*cells)
        # It starts while the page loads.
        self._server.start_kernel(path)
        self._page.open(path)
        self._page.run(0)
        return self._page

    def write(
        self, *cells: str, outputs: Sequence[Sequence[Output]] = (), kernel: bool = True
    ) -> Path:
        """Write a notebook, in a folder of its own, without opening it."""
        folder = self._server.root / f"test{next(_numbers)}"
        folder.mkdir()
        for agents in _AGENTS:
            shutil.copy(agents, folder)
        path = folder / "cells.ipynb"
        write_notebook(path, [_SETUP, *cells], outputs=[[], *outputs], kernel=kernel)
        return path
