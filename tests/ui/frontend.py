"""A notebook that is open in a page of JupyterLab or Notebook 7."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, Request, expect

from tests.ui.server import JupyterServer

Name = Literal["lab", "notebook7"]
Theme = Literal["light", "dark"]

# Width and height in pixels.
WINDOW = (1000, 900)

# Both frontends are the same machine inside: their shell holds a panel, the panel the notebook.
_PANEL = """
  const panel = Array.from(window.jupyterapp?.shell?.widgets('main') ?? [])
    .find((widget) => widget.context && widget.content?.widgets && widget.isVisible);
"""

_READY = f"""() => {{
  {_PANEL}
  return Boolean(panel?.context.isReady && panel.content.widgets.length
    && panel.content.widgets.every((cell) => cell.isAttached));
}}"""


# A click on a cell has been dealt with before; what keys set off comes while they are pressed.
_NOTE_COMMANDS = """() => {
  const found = [];
  const note = (_, { id }) => found.push(id);
  const { commandExecuted } = window.jupyterapp.commands;
  commandExecuted.connect(note);
  window.takeCommands = () => {
    commandExecuted.disconnect(note);
    return found;
  };
}"""


# Opens a notebook in the page that has loaded; Notebook 7 would take another tab for it.
_OPEN = """async (path) => {
  await window.jupyterapp.commands.execute("docmanager:open", { path, options: { ref: "_noref" } });
}"""

_CLOSE = """() => {
  for (const widget of [...window.jupyterapp.shell.widgets('main')]) {
    if (widget.context) widget.context.model.dirty = false;
    if (!widget.id.startsWith('launcher')) widget.dispose();
  }
}"""


class NotebookPage:
    """One notebook in one page.  Everything that waits does so for a condition."""

    def __init__(self, page: Page, server: JupyterServer, frontend: Name) -> None:
        self.page = page
        self.frontend: Name = frontend
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        #: Whether the frontend has loaded and shows no notebook.
        self.is_empty = False
        self._server = server
        self._path = Path()  # of the notebook that is open
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("request", self._note_foreign)

    @property
    def path(self) -> Path:
        """The file of the notebook that is open."""
        return self._path

    # -- opening ---------------------------------------------------------------------------------

    def open(self, path: Path, *, kernel: bool = True) -> None:
        """Open a notebook below the server's root and wait until it can be worked with.

        Without ``kernel`` its kernel must be one that isn't installed: the frontend then asks, and
        is told that there shall be none.
        """
        self._path = path
        if self.is_empty and kernel:
            self.page.evaluate(_OPEN, path.relative_to(self._server.root).as_posix())
        else:
            self.page.goto(self._address())
        self.is_empty = False
        self._settle(kernel=kernel)

    def _address(self) -> str:
        place = self._path.relative_to(self._server.root).as_posix()
        base = (
            f"lab/workspaces/{self._path.stem}/tree/{place}?reset&"
            if self.frontend == "lab"
            else f"notebooks/{place}?"
        )
        return f"{self._server.url}{base}token={self._server.token}"

    def reload(self) -> None:
        """Load the page again, as a reader does who pressed F5; the kernel goes on."""
        if self.frontend == "notebook7":
            # Its address still has the notebook that was opened in it first.
            self.page.goto(self._address())
        else:
            self.page.reload()
        self.page.wait_for_function(_READY)
        self.complaints.clear()

    def close_notebook(self) -> None:
        """Close what is open, so that the next test finds the frontend loaded."""
        self.resize(*WINDOW)
        self.page.evaluate(_CLOSE)
        self.page.wait_for_function(f"() => {{ {_PANEL} return !panel; }}")
        self.foreign.clear()
        self.complaints.clear()
        self.is_empty = True

    def _settle(self, *, kernel: bool) -> None:
        if not kernel:
            dialog = self.page.get_by_role("dialog")
            dialog.get_by_role("button", name="No Kernel").click()
            expect(dialog).to_be_hidden()
        self.page.wait_for_function(_READY)
        if kernel:
            self.until_idle()
        # What Jupyter complains of while it loads is its own affair.
        self.complaints.clear()

    # -- running ---------------------------------------------------------------------------------

    def start_all(self, first: int) -> None:
        """Send this cell and all below it; returns at once."""
        self._on_cell(first, "notebook:run-all-below")

    def run(self, index: int) -> None:
        """Run one cell and wait for its end."""
        self.start(index)
        self.until_done(index)

    def start(self, index: int) -> None:
        """Send one cell; returns at once."""
        self._on_cell(index, "notebook:run-cell")

    def release(self, name: str) -> None:
        """Let an agent go on that waits for this."""
        (self._path.parent / name).touch()

    def interrupt(self) -> None:
        """Interrupt the kernel, as the button in the toolbar does."""
        self._command("notebook:interrupt-kernel")

    def restart(self) -> None:
        """Restart the kernel, as the button in the toolbar does; nothing is imported after it."""
        self.page.evaluate(
            """() => {
              const { commands } = window.jupyterapp;
              window.restarted = commands.execute('notebook:restart-kernel');
            }"""
        )
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name="Confirm Kernel Restart").click()
        self.page.evaluate("window.restarted")
        self.until_idle()

    def until_idle(self) -> None:
        """Wait until the kernel rests and no cell waits for it.

        The kernel's status alone won't do: what a widget's page sends is dealt with beside the
        running cell, and reported with an `idle` of its own.
        """
        self.page.wait_for_function(
            f"""() => {{
              {_PANEL}
              const waits = (cell) =>
                cell.node.querySelector('.jp-InputPrompt').textContent.includes('*');
              return panel?.sessionContext?.session?.kernel?.status === 'idle'
                && !panel.content.widgets.some(waits);
            }}"""
        )

    def until_kernel_is_idle(self) -> None:
        """Wait until the kernel rests, in a page that sent it nothing itself."""
        self.page.wait_for_function(
            f"""() => {{
              {_PANEL}
              return panel?.sessionContext?.session?.kernel?.status === 'idle';
            }}"""
        )

    def until_done(self, index: int) -> None:
        """Wait until the cell has run."""
        expect(self.cell(index).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\d"))

    # -- reading ---------------------------------------------------------------------------------

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-NotebookPanel .jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """The cell's whole output area."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def view(self, index: int) -> Locator:
        """The live view of the run in a cell."""
        return self.cell(index).locator(".agentnb")

    def static(self, index: int) -> Locator:
        """The static output that is left of a run."""
        return self.cell(index).locator(".jp-RenderedHTMLCommon div.agentnb-run")

    def prompt(self, index: int) -> str:
        """What stands beside the cell: ``[ ]:``, ``[*]:`` or ``[3]:``."""
        return self.cell(index).locator(".jp-InputPrompt").inner_text().strip()

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs as the page's model holds them."""
        return self._panel(f"return panel.content.widgets[{index}].model.outputs.toJSON();")

    def is_trusted(self) -> bool:
        """Whether the frontend trusts what the notebook's cells hold."""
        return bool(
            self._panel("return panel.content.widgets.every((cell) => cell.model.trusted);")
        )

    def save(self) -> None:
        """Save the notebook and wait until it is on disk."""
        self._panel("return panel.context.save();")

    # -- working in an output --------------------------------------------------------------------

    def type_into(self, field: Locator, text: str) -> list[str]:
        """Type into a field of a widget, key by key, as a person does; a line's end is Enter.

        Returns the commands that Jupyter carried out meanwhile: its shortcuts, which it should
        have left alone.
        """
        field.click()
        return self.commands_of(lambda: self.page.keyboard.type(text))

    def commands_of(self, act: Callable[[], None]) -> list[str]:
        """Return the commands that Jupyter carries out while something is done."""
        self.page.evaluate(_NOTE_COMMANDS)
        act()
        commands: list[str] = self.page.evaluate("window.takeCommands()")
        return commands

    # -- looks -----------------------------------------------------------------------------------

    def theme(self, theme: Theme) -> None:
        """Switch to this theme and wait until it is there."""
        self.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            f"JupyterLab {theme.title()}",
        )
        light = str(theme == "light").lower()
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", light)

    def resize(self, width: int, height: int) -> None:
        """Give the window this size in pixels; a narrow one shows no side bar."""
        self.page.set_viewport_size({"width": width, "height": height})
        if self.frontend == "lab":
            collapsed = self.page.evaluate("window.jupyterapp.shell.leftCollapsed")
            if collapsed != (width < 500):
                self._command("application:toggle-left-area")

    def _on_cell(self, index: int, command: str) -> None:
        # In one go: between two, a button of another cell that just had a click may get the focus
        # and make its own cell the active one.
        self._panel(
            f"""
            panel.content.deselectAll();
            panel.content.activeCellIndex = {index};
            void window.jupyterapp.commands.execute("{command}");
            """
        )

    def _panel(self, code: str) -> Any:
        return self.page.evaluate(f"async () => {{ {_PANEL} {code} }}")

    def _command(self, name: str) -> None:
        # Not awaited: what it promises may be the end of the run.
        self.page.evaluate("(name) => { void window.jupyterapp.commands.execute(name); }", name)

    # -- what must not happen --------------------------------------------------------------------

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
