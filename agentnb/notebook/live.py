"""`show`: follows a run that code started, as a ``%%agent`` cell follows its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from IPython.display import display  # pyright: ignore[reportUnknownVariableType]  # untyped

from agentnb.notebook.display import choose_mode, current_shell, make_display, static_bundle
from agentnb.run.run import Run

__all__ = ["Lasting", "close_at_end", "show", "show_value"]

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


def show_value(run: Run) -> None:
    """Show a run that is a cell's value: live while it goes on, without waiting for it.

    Where nobody can see it go on, a replay is shown whole.
    """
    mode = choose_mode(current_shell())
    if run.via == "replay" and mode != "widget":
        show(run)
        return
    if run.done or mode != "widget":
        display(static_bundle(run), raw=True)
        return
    view = make_display(run, mode, background=True)
    view.open()
    close_at_end(run, view.close)


class Lasting(Protocol):
    """What goes on for a while: a run, or several."""

    @property
    def done(self) -> bool: ...

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]: ...


def close_at_end(run: Lasting, close: Callable[[], None]) -> None:
    """Call ``close`` once when ``run`` has ended, or now."""
    once = threading.Lock()
    undo: list[Callable[[], None]] = []

    def finish() -> None:
        # Called on the loop's thread, perhaps before `subscribe` returns, and here, where it may
        # have ended already.
        if run.done and once.acquire(blocking=False):
            for unsubscribe in undo:
                unsubscribe()
            close()

    undo.append(run.subscribe(finish))
    finish()
