"""Charts of runs, on Altair.

Each function takes a table (of `agentnb.runs`, `events`, `tool_calls` or `usage`) and returns an
Altair chart, which can be changed further (``.properties(width=...)``, ``+``, ``.interactive()``)
and saved (``.save("usage.png")``, ``.svg``, ``.html``).  Rows are aggregated first, so a chart of a
million runs is as small as one of ten.  A table without rows gives a chart with a note.

JupyterLab, Notebook and VS Code draw a chart without a network, and in the colours of the theme.
A renderer that the user enabled in Altair is used instead.

Altair comes with ``pip install 'jupyter-agentnb[charts]'`` and is imported with the first chart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb._support import install_hint
from agentnb._support.fork import imported
from agentnb.errors import ConfigError

if TYPE_CHECKING:
    from agentnb.charts._bars import cost, errors, tools
    from agentnb.charts._periods import usage
    from agentnb.charts._quantiles import latency, time_to_first_token
    from agentnb.charts._timeline import timeline

__all__ = [
    "cost",
    "errors",
    "latency",
    "time_to_first_token",
    "timeline",
    "tools",
    "usage",
]

_MODULES = {
    "cost": "_bars",
    "errors": "_bars",
    "latency": "_quantiles",
    "time_to_first_token": "_quantiles",
    "timeline": "_timeline",
    "tools": "_bars",
    "usage": "_periods",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'agentnb.charts' has no attribute {name!r}")
    try:
        value = getattr(imported(f"agentnb.charts.{_MODULES[name]}"), name)
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
