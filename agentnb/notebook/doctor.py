"""``%agent doctor``: the doctor, told what only a notebook's side can tell."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agentnb.doctor import Host, Report, as_text, examine
from agentnb.notebook.options import LineParser
from agentnb.notebook.tables import Beside, Table
from agentnb.render import one_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["DOCTOR_USAGE", "Examined", "doctor"]

#: What ``%agent doctor`` takes, in words.
DOCTOR_USAGE: Final = "[--stream] [PLATFORM ...]"
_CELL: Final = 600
_BESIDE: Final = (
    Beside("min-width:min(16em, 25vw)", ("0 0 5em", "1 1 9em")),
    Beside("overflow-wrap:anywhere", ("1 1 15em", "1 1 15em")),
)


@dataclass(frozen=True, slots=True)
class Examined:
    """A report that shows itself as an HTML table or as aligned text, ``width`` columns wide."""

    report: Report
    width: int | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return as_text(self.report, width=self.width)

    def _repr_html_(self) -> str:
        found = self.report.findings
        shown = Table(
            ("result", "check", "finding", "what to do"),
            tuple(
                tuple(one_line(cell, _CELL) for cell in (f.level, f.check, f.says, f.hint))
                for f in found
            ),
            notes=(self.report.summary,),
            beside=_BESIDE,
            strong=frozenset(i for i, f in enumerate(found) if f.level == "problem"),
        )
        return shown.bundle()["text/html"]


def doctor(words: Sequence[str], *, shell: InteractiveShell | None, display: str) -> Examined:
    """Do what stands after ``%agent doctor``; ``display`` is how runs are shown here.

    Raises:
        ConfigError: there is no such platform.
        RequestError: an option is unknown.
    """
    options = _parser().parse_args(list(words))
    report = examine(options.platforms, stream=options.stream, host=host(shell, display))
    is_terminal = getattr(shell, "kernel", None) is None
    return Examined(report, shutil.get_terminal_size().columns if is_terminal else None)


def host(shell: InteractiveShell | None, display: str) -> Host:
    """Return what this shell tells of where it runs; to be called by a cell itself."""
    kernel: Any = getattr(shell, "kernel", None)
    try:
        loop = type(asyncio.get_running_loop())
    except RuntimeError:
        loop = None
    name = f"{loop.__module__.partition('.')[0]} ({loop.__name__.lstrip('_')})" if loop else None
    if kernel is None:
        return Host(kind="python" if shell is None else "ipython", display=display, loop=name)
    return Host(
        kind="kernel",
        display=display,
        frontend=_frontend(kernel, shell),
        # A property of ipykernel from 7.0 on; a private one, and what older ones have is no.
        subshells=bool(getattr(kernel, "_supports_kernel_subshells", False)),
        loop=name,
    )


def _frontend(kernel: Any, shell: Any) -> str | None:
    """Return who sent the cell, where the message or the namespace says so."""
    cell = str(kernel.get_parent().get("metadata", {}).get("cellId", ""))
    if cell.startswith("vscode-notebook-cell") or "__vsc_ipynb_file__" in shell.user_ns:
        return "VS Code"
    return None


def _parser() -> LineParser:
    parser = LineParser(prog="%agent doctor", add_help=False, allow_abbrev=False)
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM")
    parser.add_argument("--stream", action="store_true")
    return parser
