"""Charts of runs, on Altair.

Each function takes a table (of `agentnb.runs`, `events`, `tool_calls` or `usage`) and returns an
Altair chart, which can be changed further (``.properties(width=...)``, ``+``, ``.interactive()``)
and saved (``.save("usage.png")``, ``.svg``, ``.html``).  What is drawn is added up first, so that a
chart of a million runs is as small as one of ten.  A table without rows gives a chart that says so.

In JupyterLab, Notebook and VS Code a chart is drawn without a network, and follows the theme.
Altair's own settings are left alone, and obeyed where a user chose a renderer.

Altair comes with ``pip install 'jupyter-agentnb[charts]'`` and is imported when the first chart is
made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb._support.imports import imported
from agentnb._support.installing import install_hint
from agentnb.errors import ConfigError

if TYPE_CHECKING:
    from agentnb.charts._bars import cost, errors, tools
    from agentnb.charts._gantt import timeline
    from agentnb.charts._periods import usage
    from agentnb.charts._spread import latency, time_to_first_token

__all__ = [
    "cost",
    "errors",
    "latency",
    "time_to_first_token",
    "timeline",
    "tools",
    "usage",
]

_WHERE = {
    "cost": "_bars",
    "errors": "_bars",
    "latency": "_spread",
    "time_to_first_token": "_spread",
    "timeline": "_gantt",
    "tools": "_bars",
    "usage": "_periods",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'agentnb.charts' has no attribute {name!r}")
    try:
        value = getattr(imported(f"agentnb.charts.{_WHERE[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "altair":
            raise
        raise ConfigError(
            "Charts need Altair, which is not installed.",
            hint=f"Install it: {install_hint('charts')}",
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
