"""agentnb in IPython: the magics, completion, and how a run is shown in a cell.

The only package that imports IPython.  Loading it installs names and hooks and nothing more; what
is heavy (HTTP, models, widgets) is imported when the first cell runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentnb.notebook.compare import show_comparison
from agentnb.notebook.nested import allow_nested_loops

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from agentnb.run.run import Run

__all__ = ["allow_nested_loops", "load", "unload"]


def load(shell: InteractiveShell) -> None:
    """Add the magics, the rewriting of ``%%agent`` cells, and completion to ``shell``."""
    from agentnb.notebook import completion
    from agentnb.notebook.magics import AgentMagics
    from agentnb.notebook.transform import AwaitTransformer

    unload(shell)
    shell.register_magics(AgentMagics)
    AwaitTransformer(shell).install()
    # By name, so that the class need not be imported to be known.
    _displays(shell).for_type_by_name("agentnb.run.run", "Run", _show_run)
    _displays(shell).for_type_by_name("agentnb.comparison", "Comparison", show_comparison)
    completion.install(shell)
    _show_tables(shell)


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` added; runs that go on are not touched."""
    from agentnb.notebook import completion
    from agentnb.notebook.transform import AwaitTransformer

    for transformer in tuple(shell.input_transformers_cleanup):
        if isinstance(transformer, AwaitTransformer):
            transformer.remove()
    completion.remove(shell)
    _leave_tables(shell)
    _displays(shell).pop("agentnb.run.run.Run", None)
    _displays(shell).pop("agentnb.comparison.Comparison", None)
    magics: Any = shell.magics_manager
    magics.registry.pop("AgentMagics", None)
    for kind in ("line", "cell"):
        magics.magics[kind].pop("agent", None)
    shell.configurables[:] = [c for c in shell.configurables if type(c).__name__ != "AgentMagics"]


def _show_tables(shell: InteractiveShell) -> None:
    """See to it that tables of ours are shown as text, unless somebody else shows all tables."""
    for mime, show in _TABLES.items():
        formatter = _formatter(shell, mime)
        if not any(formatter.for_type_by_name(*name) for name in _FRAMES):
            for name in _FRAMES:
                formatter.for_type_by_name(*name, show)


def _leave_tables(shell: InteractiveShell) -> None:
    for mime, show in _TABLES.items():
        formatter = _formatter(shell, mime)
        for name in _FRAMES:
            if formatter.for_type_by_name(*name) is show:
                formatter.pop(".".join(name))


def _table_html(table: Any) -> str | None:
    from agentnb.tables.frame import shown_html

    return shown_html(table)


def _table_text(table: Any, printer: Any, cycle: bool) -> None:
    from agentnb.tables.frame import shown_text

    for number, line in enumerate(shown_text(table).splitlines()):
        if number:
            printer.break_()
        printer.text(line)


_TABLES: Final = {"text/html": _table_html, "text/plain": _table_text}
# The class of all tables, as the versions of pandas call it.
_FRAMES: Final = (("pandas", "DataFrame"), ("pandas.core.frame", "DataFrame"))


def _formatter(shell: InteractiveShell, mime: str) -> Any:
    formatter: Any = shell.display_formatter
    return formatter.formatters[mime]


def _displays(shell: InteractiveShell) -> Any:
    formatter: Any = shell.display_formatter
    return formatter.ipython_display_formatter


def _show_run(run: Run) -> None:
    from agentnb.notebook.live import show_value

    show_value(run)
