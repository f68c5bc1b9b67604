"""agentnb in IPython: the magics, completion, and how a run is shown in a cell.

The only package that imports IPython.  Loading it installs names and hooks and nothing more; what
is heavy (HTTP, models, widgets) is imported when the first cell runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb.notebook.nested import allow_nested_loops

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["allow_nested_loops", "load", "unload"]

_LAZY = {"Table": "show", "show": "show"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"agentnb.notebook.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'agentnb.notebook' has no attribute {name!r}")


def load(shell: InteractiveShell) -> None:
    """Add the magics, the rewriting of ``%%agent`` cells, and completion to ``shell``."""
    from agentnb.notebook import completion
    from agentnb.notebook.magics import AgentMagics
    from agentnb.notebook.transform import AwaitTransformer

    unload(shell)
    shell.register_magics(AgentMagics)
    shell.input_transformers_cleanup.append(AwaitTransformer(shell))
    completion.install(shell)


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` added; runs that go on are not touched."""
    from agentnb.notebook import completion
    from agentnb.notebook.transform import AwaitTransformer

    shell.input_transformers_cleanup[:] = [
        t for t in shell.input_transformers_cleanup if not isinstance(t, AwaitTransformer)
    ]
    completion.remove(shell)
    magics: Any = shell.magics_manager
    magics.registry.pop("AgentMagics", None)
    for kind in ("line", "cell"):
        magics.magics[kind].pop("agent", None)
    shell.configurables[:] = [c for c in shell.configurables if type(c).__name__ != "AgentMagics"]
