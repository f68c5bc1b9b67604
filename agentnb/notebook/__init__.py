"""The IPython integration: magics, completion, and the display of runs in cells.

The only package that imports IPython.  Loading it only installs names and hooks; HTTP, models and
widgets are imported when the first cell runs.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from agentnb.notebook.compare import show_comparison

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from agentnb.run.run import Run

__all__ = ["allow_nested_loops", "load", "unload"]


def allow_nested_loops() -> None:
    """Let `asyncio.run` and ``loop.run_until_complete`` be called inside a cell.

    A kernel already runs an event loop, and asyncio refuses a second one.  This patches asyncio for
    the whole process by nest-asyncio2 (the maintained successor of nest-asyncio, which loses queued
    cells on ipykernel 7.1 and later).  agentnb itself never needs it: write ``await`` instead where
    you can.
    """
    # Imported by name because it has no types.
    import_module("nest_asyncio2").apply()


def load(shell: InteractiveShell) -> None:
    """Add the magics, the rewriting of ``%%agent`` cells, completion and displays to ``shell``."""
    from agentnb.notebook.magics import AgentMagics, match_line
    from agentnb.notebook.transform import AwaitTransformer

    unload(shell)
    shell.register_magics(AgentMagics)
    AwaitTransformer(shell).install()
    # By name, so that the classes need not be imported.
    displays = _displays(shell)
    displays.for_type_by_name("agentnb.run.run", "Run", _show_run)
    displays.for_type_by_name("agentnb.comparison", "Comparison", show_comparison)
    _matchers(shell).append(match_line)
    # Unless somebody else formats DataFrames.
    for mime, show in _TABLE_FORMATTERS.items():
        formatter = _formatter(shell, mime)
        if not any(formatter.for_type_by_name(*name) for name in _FRAMES):
            for name in _FRAMES:
                formatter.for_type_by_name(*name, show)


def unload(shell: InteractiveShell) -> None:
    """Remove what `load` added; active runs are not affected."""
    from agentnb.notebook.magics import match_line
    from agentnb.notebook.transform import AwaitTransformer

    for transformer in tuple(shell.input_transformers_cleanup):
        if isinstance(transformer, AwaitTransformer):
            transformer.remove()
    with suppress(ValueError):
        _matchers(shell).remove(match_line)
    for mime, show in _TABLE_FORMATTERS.items():
        formatter = _formatter(shell, mime)
        for name in _FRAMES:
            if formatter.for_type_by_name(*name) is show:
                formatter.pop(".".join(name))
    displays = _displays(shell)
    displays.pop("agentnb.run.run.Run", None)
    displays.pop("agentnb.comparison.Comparison", None)
    magics: Any = shell.magics_manager
    magics.registry.pop("AgentMagics", None)
    for kind in ("line", "cell"):
        magics.magics[kind].pop("agent", None)
    shell.configurables[:] = [c for c in shell.configurables if type(c).__name__ != "AgentMagics"]


def _table_html(table: Any) -> str | None:
    from agentnb.tables.frame import frame_html

    return frame_html(table)


def _table_text(table: Any, printer: Any, cycle: bool) -> None:
    from agentnb.tables.frame import frame_text

    for number, line in enumerate(frame_text(table).splitlines()):
        if number:
            printer.break_()
        printer.text(line)


_TABLE_FORMATTERS: Final = {"text/html": _table_html, "text/plain": _table_text}
# The class of all tables, by its names in the versions of pandas.
_FRAMES: Final = (("pandas", "DataFrame"), ("pandas.core.frame", "DataFrame"))


def _formatter(shell: InteractiveShell, mime: str) -> Any:
    formatter: Any = shell.display_formatter
    return formatter.formatters[mime]


def _matchers(shell: InteractiveShell) -> list[Any]:
    completer: Any = shell.Completer
    return completer.custom_matchers


def _displays(shell: InteractiveShell) -> Any:
    formatter: Any = shell.display_formatter
    return formatter.ipython_display_formatter


def _show_run(run: Run) -> None:
    from agentnb.notebook.display import show_value

    show_value(run)
