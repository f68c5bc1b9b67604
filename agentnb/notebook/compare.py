"""`compare`: one question to several agents, shown side by side where the code runs."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agentnb.comparison import AgentLike, Comparison
    from agentnb.platforms.media import MediaLike
    from agentnb.run.output import OutputType

__all__ = ["compare", "show_comparison"]

# How often to look whether all have ended, in seconds.
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
    """Ask several agents the same question at once; return the live `Comparison` at once.

    ``agents`` are two or more names, functions or `Agent` objects, and the rest is as for
    `Agent.start`.  In a notebook the name of a variable that holds a function or an `Agent` is
    meant before any other.  As a cell's value, or displayed, it shows the answers side by side
    while they stream, and their times, tokens and cost in a table; a notebook that runs unattended
    waits for the end.

    Raises:
        ConfigError: a name, an address or a key is missing or wrong.
        RequestError: one of them cannot take what was given.  Nothing was sent to any, as with
            every error.
    """
    from agentnb.comparison import ask_all

    # Whatever else was given is refused there.
    if isinstance(agents, list | tuple):
        agents = _with_variables(agents)
    asked = ask_all(agents, prompt, output_type=output_type, media=media, stream=stream, **params)
    _let_show()
    return asked


def _with_variables(agents: Sequence[AgentLike]) -> list[AgentLike]:
    """Return ``agents`` with what variables of the notebook hold in the place of their names."""
    # Not imported for it: a program that only computes needs none.
    if "IPython" not in sys.modules:
        return list(agents)
    from agentnb.notebook.display import current_shell
    from agentnb.notebook.variables import resolved

    shell = current_shell()
    return [resolved(each, shell) for each in agents]


def show_comparison(comparison: Comparison) -> None:
    """Show a comparison that is a cell's value: live where somebody looks, else its end."""
    from IPython.display import (
        display,  # pyright: ignore[reportUnknownVariableType]  # untyped in IPython
        update_display,  # pyright: ignore[reportUnknownVariableType]
    )

    from agentnb.notebook.display import choose_mode, current_shell, outlive
    from agentnb.notebook.live import close_at_end

    mode = choose_mode(current_shell())
    if comparison.done or mode != "widget":
        _wait(comparison)
        if mode == "text":
            print(comparison.bundle()["text/plain"])  # noqa: T201
        else:
            display(comparison.bundle(), raw=True)
        return

    from agentnb.widgets.compare import CompareWidget

    widget = CompareWidget(comparison)
    display_id = uuid.uuid4().hex
    display(widget, display_id=display_id)

    def close() -> None:
        update_display(comparison.bundle(), raw=True, display_id=display_id)
        outlive(widget)

    close_at_end(comparison, close)


def _wait(comparison: Comparison) -> None:
    try:
        while not comparison.done:
            time.sleep(_TICK)
    except BaseException:
        comparison.cancel()
        raise


def _let_show() -> None:
    """See to it that IPython, where the code runs in it, shows comparisons live."""
    # Not imported for it: a program that only computes needs none.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is not None:
        displays = formatter.ipython_display_formatter
        displays.for_type_by_name("agentnb.comparison", "Comparison", show_comparison)
