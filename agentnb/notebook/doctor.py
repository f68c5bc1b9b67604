"""``%agent doctor``: the doctor, with facts about the notebook's side."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agentnb.doctor import Host, Report, as_text, examine
from agentnb.notebook.options import usage_parser
from agentnb.notebook.tables import ColumnGroup, Table
from agentnb.render import one_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: Usage of ``%agent doctor``.
DOCTOR_USAGE: Final = "[--stream] [PLATFORM ...]"
_CELL: Final = 600
_GROUPS: Final = (
    ColumnGroup("min-width:min(16em, 25vw)", ("0 0 5em", "1 1 9em")),
    ColumnGroup("overflow-wrap:anywhere", ("1 1 15em", "1 1 15em")),
)


@dataclass(frozen=True, slots=True)
class DisplayedReport:
    """A report displayed as an HTML table, or as text of ``width`` columns."""

    report: Report
    width: int | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return as_text(self.report, width=self.width)

    def _repr_html_(self) -> str:
        findings = self.report.findings
        table = Table(
            ("result", "check", "finding", "what to do"),
            tuple(
                tuple(one_line(cell, _CELL) for cell in (f.level, f.check, f.says, f.hint))
                for f in findings
            ),
            notes=(self.report.summary,),
            column_groups=_GROUPS,
            bold_rows=frozenset(i for i, f in enumerate(findings) if f.level == "problem"),
        )
        return table.bundle()["text/html"]


def doctor(
    words: Sequence[str], *, shell: InteractiveShell | None, display: str
) -> DisplayedReport:
    """Execute ``%agent doctor``; ``display`` is the display mode of runs.

    Raises:
        ConfigError: there is no such platform.
        RequestError: an option is unknown.
    """
    options = usage_parser("doctor", DOCTOR_USAGE).parse_args(list(words))
    report = examine(options.platform, stream=options.stream, host=host(shell, display))
    is_terminal = getattr(shell, "kernel", None) is None
    return DisplayedReport(report, shutil.get_terminal_size().columns if is_terminal else None)


def host(shell: InteractiveShell | None, display: str) -> Host:
    """Return where this shell runs; to be called during a cell."""
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
        # Since ipykernel 7.0.
        subshells="kernel subshells" in kernel.kernel_info.get("supported_features", ()),
        loop=name,
    )


def _frontend(kernel: Any, shell: Any) -> str | None:
    cell = str(kernel.get_parent().get("metadata", {}).get("cellId", ""))
    if cell.startswith("vscode-notebook-cell") or "__vsc_ipynb_file__" in shell.user_ns:
        return "VS Code"
    return None
