"""``%%agent`` and ``%agent``.

Imported by ``%load_ext``, so nothing heavy is imported here before the first cell runs.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from traitlets import Enum, Unicode, observe

from agentnb.notebook.loading import load

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from agentnb.notebook.commands import Commands
    from agentnb.notebook.runner import CellRunner

__all__ = ["AgentMagics"]


@magics_class
class AgentMagics(Magics):
    """Ask remote agents from a cell; ``%config AgentMagics`` shows and sets these options."""

    display = Enum(
        ["auto", "widget", "static", "text"],
        default_value="auto",
        help="How a run is shown: a live widget, one static output, plain text, or what fits.",
    ).tag(config=True)
    default_agent = Unicode(
        "", help="The agent of a '%%agent' that names none, as platform:agent or an alias."
    ).tag(config=True)

    @cached_property
    def runner(self) -> CellRunner:
        """What runs the cells of this shell."""
        from agentnb.notebook.runner import CellRunner

        runner = CellRunner(cast("InteractiveShell", self.shell))
        runner.mode = self.display
        return runner

    @cached_property
    def commands(self) -> Commands:
        """What ``%agent`` can do."""
        from agentnb.notebook.commands import Commands

        return Commands(self.runner)

    async def ask(self, line: str, cell: str) -> None:
        """Run a ``%%agent`` cell that was rewritten to an ``await``."""
        load()
        self._use_default()
        await self.runner.run_async(line, cell)

    @cell_magic("agent")  # pyright: ignore[reportUntypedFunctionDecorator]
    def agent_cell(self, line: str, cell: str) -> None:
        """Ask an agent the question that the cell holds."""
        load()
        self._use_default()
        self.runner.run_blocking(line, cell)

    @line_magic("agent")  # pyright: ignore[reportUntypedFunctionDecorator]
    def agent_line(self, line: str) -> Any:
        """Look after agents, sessions and runs; '%agent help' lists the commands."""
        from agentnb.errors import AgentnbError
        from agentnb.notebook.runner import brief

        self._use_default()
        try:
            return self.commands.run(line)
        except AgentnbError as error:
            raise brief(error) from error.__cause__

    @observe("display")
    def _display_changed(self, change: dict[str, Any]) -> None:
        if "runner" in self.__dict__:
            self.runner.mode = change["new"]

    def _use_default(self) -> None:
        from agentnb.config import config
        from agentnb.errors import ConfigError

        # A file that cannot be read is told of by what needs it; '%agent doctor' does not.
        with suppress(ConfigError):
            config().option_agent = self.default_agent or None


def _help() -> str:
    from agentnb.notebook.options import usage

    return f"{AgentMagics.agent_cell.__doc__}\n\n{usage()}"


# What `%%agent?` shows; IPython asks for it by this name before it looks at the docstring, and the
# options are not gone through before somebody wants to see them.
AgentMagics.agent_cell.getdoc = _help  # pyright: ignore[reportFunctionMemberAccess]
