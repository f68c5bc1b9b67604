"""`show`: follows a run that code started, as a ``%%agent`` cell follows its own."""

from __future__ import annotations

import time
from typing import Final

from agentnb.notebook.display import choose_mode, current_shell, make_display
from agentnb.run import Run

__all__ = ["show"]

# How often to look for what is new, in seconds.
_TICK: Final = 0.05


def show(run: Run) -> None:
    """Show ``run`` live until it has ended.

    In a notebook that is the view of a ``%%agent`` cell, elsewhere text on standard output.  The
    caller blocks; an interrupt cancels the run.  A run that failed is shown and not raised, see
    `Run.raise_for_status`.
    """
    view = make_display(run, choose_mode(current_shell()))
    view.open()
    try:
        while not run.done:
            view.tick()
            time.sleep(_TICK)
    except BaseException:
        run.cancel()
        raise
    finally:
        view.close()
