"""The magics ``%%agent`` and ``%agent`` and their completion.

Heavy imports wait for the first cell.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,  # pyright: ignore[reportUnknownVariableType]  # untyped in IPython
)
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from traitlets import Enum, Unicode, observe

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from agentnb.notebook.commands import Commands
    from agentnb.notebook.runner import CellRunner

_LINE: Final = re.compile(r"^\s*%%?agent\s")


@magics_class
class AgentMagics(Magics):
    """Magics that run agents; ``%config AgentMagics`` shows and sets these options."""

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
        from agentnb.notebook.runner import CellRunner

        runner = CellRunner(cast("InteractiveShell", self.shell))
        runner.mode = self.display
        return runner

    @cached_property
    def commands(self) -> Commands:
        from agentnb.notebook.commands import Commands

        return Commands(self.runner)

    async def ask(self, line: str, cell: str) -> None:
        """Run a ``%%agent`` cell; `AwaitTransformer` rewrites cells to this call."""
        _load_transport()
        self._use_default()
        await self.runner.run_async(line, cell)

    @cell_magic("agent")  # pyright: ignore[reportUntypedFunctionDecorator]
    def agent_cell(self, line: str, cell: str) -> None:
        """Send the cell to an agent."""
        _load_transport()
        self._use_default()
        self.runner.run_blocking(line, cell)

    @line_magic("agent")  # pyright: ignore[reportUntypedFunctionDecorator]
    def agent_line(self, line: str) -> Any:
        """Manage agents, sessions and runs; '%agent help' lists the commands."""
        from agentnb.errors import AgentnbError
        from agentnb.notebook.runner import show_as_one_line

        self._use_default()
        try:
            return self.commands.run(line)
        except AgentnbError as error:
            raise show_as_one_line(error) from error.__cause__

    @observe("display")
    def _display_changed(self, change: dict[str, Any]) -> None:
        if "runner" in self.__dict__:
            self.runner.mode = change["new"]

    def _use_default(self) -> None:
        from agentnb.config import config
        from agentnb.errors import ConfigError

        # A broken file is reported when it is needed; '%agent doctor' works without it.
        with suppress(ConfigError):
            config().option_agent = self.default_agent or None


def _load_transport() -> None:
    """Import what sends a request, on this thread.

    Imports take nearly all the time until the first request; the event loop would make them while
    this thread imports the display.
    """
    from agentnb._http.options import load_transport

    load_transport()


def _help() -> str:
    from agentnb.notebook.options import usage

    return f"{AgentMagics.agent_cell.__doc__}\n\n{usage()}"


# IPython's hook for `%%agent?`, which builds the help only when it is displayed.
AgentMagics.agent_cell.getdoc = _help  # pyright: ignore[reportFunctionMemberAccess]


@context_matcher()  # pyright: ignore[reportUntypedFunctionDecorator]
def match_line(context: CompletionContext) -> SimpleMatcherResult:
    """Complete the line of a magic; an entry of IPython's ``Completer.custom_matchers``."""
    # Only the first line of a cell is the line of a magic.
    line = context.line_with_cursor[: context.cursor_position]
    if context.cursor_line != 0 or _LINE.match(line) is None:
        return {"completions": []}
    from agentnb.notebook.completion_choices import complete, last_word

    choices = complete(line)
    # IPython replaces only its token, which may begin after a colon or a dash.
    skipped = len(last_word(line)) - len(context.token)
    return {
        "completions": [SimpleCompletion(text=c[max(0, skipped) :], type="agent") for c in choices],
        "suppress": bool(choices),
    }
