"""Importing much at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from agentnb._support.fork import after_fork_in_child, undisturbed

__all__ = ["imported", "without_collections"]


def imported(name: str) -> ModuleType:
    """Return the module ``name``; where it is imported now, `without_collections`."""
    if name not in sys.modules:
        with undisturbed(), without_collections():
            import_module(name)
    # Another thread may be at it still.
    return import_module(name)


# How many threads keep the collector from running at this moment.
_without = 0


@contextmanager
def without_collections() -> Generator[None]:
    """Keep the garbage collector from running within: for imports, and for nothing else.

    They make thousands of objects that stay.  The collector would go through those and all others
    that a notebook holds, dozens of times, which takes a sixth of the time.
    """
    global _without
    was_on = gc.isenabled()
    gc.disable()
    _without += was_on
    try:
        yield
    finally:
        _without -= was_on
        # Another thread may have been here first: it turns it on.
        if was_on:
            _take_for_old()
            gc.enable()


def _take_for_old() -> None:
    """Have the collector take all objects for old, without looking at them one by one."""
    # What somebody froze is to stay so.
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


def _after_fork() -> None:
    """Turn the collector on in a child whose parent had it off for a moment."""
    global _without
    if _without:
        _without = 0
        gc.enable()


after_fork_in_child(_after_fork)
