"""Import modules with fork and garbage collection held back."""

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
    """Return the module ``name``; import it `without_collections` if needed."""
    if name not in sys.modules:
        with undisturbed(), without_collections():
            import_module(name)
    # Another thread may still be importing it.
    return import_module(name)


# Number of threads that hold back the collector.
_without = 0


@contextmanager
def without_collections() -> Generator[None]:
    """Disable the garbage collector in the block; for imports only.

    Imports create thousands of permanent objects.  The collector would traverse these and all
    others of a notebook dozens of times, a sixth of the time of an import.
    """
    global _without
    was_on = gc.isenabled()
    gc.disable()
    _without += was_on
    try:
        yield
    finally:
        _without -= was_on
        # If another thread disabled it first, that thread enables it.
        if was_on:
            _move_to_oldest_generation()
            gc.enable()


def _move_to_oldest_generation() -> None:
    """Move all objects to the oldest generation, without traversing them."""
    # Objects frozen by the user stay frozen.
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


def _after_fork() -> None:
    """Enable the collector in a child that was forked while it was disabled."""
    global _without
    if _without:
        _without = 0
        gc.enable()


after_fork_in_child(_after_fork)
