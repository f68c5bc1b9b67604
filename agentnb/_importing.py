"""Importing much at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

__all__ = ["imported", "without_collections"]


def imported(name: str) -> ModuleType:
    """Return the module ``name``; where it is imported now, `without_collections`."""
    if name not in sys.modules:
        with without_collections():
            import_module(name)
    # Another thread may be at it still.
    return import_module(name)


@contextmanager
def without_collections() -> Generator[None]:
    """Keep the garbage collector from running within: for imports, and for nothing else.

    They make thousands of objects that stay.  The collector would go through those and all others
    that a notebook holds, dozens of times, which takes a sixth of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
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
