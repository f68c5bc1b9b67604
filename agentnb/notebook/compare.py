"""`compare`: one prompt to several agents, displayed side by side."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agentnb.comparison import AgentLike, Comparison
    from agentnb.platforms.media import MediaLike
    from agentnb.run.output import OutputType

# Seconds between two checks whether all have ended.
_TICK: Final = 0.05


def compare(
    agents: Sequence[AgentLike],
    prompt: str,
    *,
    media: MediaLike | Sequence[MediaLike] = (),
    output_type: OutputType | None = None,
    stream: bool = True,
    **params: Any,
) -> Comparison:
    """Send the same prompt to several agents; return the live `Comparison` without waiting.

    ``agents`` are two or more names, functions or `Agent` objects; the rest is as for
    `Agent.start`.  In a notebook variables that hold a function or an `Agent` take precedence over
    other names.  Displayed, it shows the streaming answers side by side, and their times, tokens
    and cost in a table; an unattended notebook waits for the end.

    Raises:
        ConfigError: a name, an address or a key is missing or wrong.
        RequestError: one of them does not support an argument.

        After an error nothing was sent.
    """
    from agentnb.comparison import ask_all

    # Other types are rejected by `ask_all`.
    if isinstance(agents, list | tuple):
        agents = _with_variables(agents)
    comparison = ask_all(
        agents, prompt, output_type=output_type, media=media, stream=stream, **params
    )
    _register_display()
    return comparison


def _with_variables(agents: Sequence[AgentLike]) -> list[AgentLike]:
    if "IPython" not in sys.modules:
        return list(agents)
    from agentnb.notebook.display import current_shell
    from agentnb.notebook.variables import resolve_variable

    shell = current_shell()
    return [resolve_variable(each, shell) for each in agents]


def show_comparison(comparison: Comparison) -> None:
    """Display a comparison: live in an interactive frontend, else at its end."""
    from agentnb.notebook.display import (
        LiveDisplay,
        choose_mode,
        close_at_end,
        current_shell,
        show_bundle,
    )

    mode = choose_mode(current_shell())
    if comparison.done or mode != "widget":
        _wait(comparison)
        show_bundle(comparison.bundle(), mode)
        return

    from agentnb.widgets.compare import CompareWidget

    view = LiveDisplay(CompareWidget(comparison), comparison.bundle)
    view.open()
    close_at_end(comparison, view.close)


def _wait(comparison: Comparison) -> None:
    try:
        while not comparison.done:
            time.sleep(_TICK)
    except BaseException:
        comparison.cancel()
        raise


def _register_display() -> None:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is not None:
        displays = formatter.ipython_display_formatter
        displays.for_type_by_name("agentnb.comparison", "Comparison", show_comparison)
