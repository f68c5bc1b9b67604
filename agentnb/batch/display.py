"""What shows a map in a notebook; it lives above, and the package's root says here how to make it.

This module imports nothing, so that importing agentnb stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentnb.batch.progress import Display

__all__ = ["display", "set_display"]

# The name of the agent -> what shows its map, None where this is no notebook.
MakeDisplay = Callable[[str], "Display | None"]
_make: MakeDisplay | None = None


def set_display(make: MakeDisplay) -> None:
    """Say what shows a map in a notebook; where ``make`` gives None, a terminal does."""
    global _make
    _make = make


def display(name: str) -> Display | None:
    """Return what shows the map of the agent ``name`` in a notebook; None where there is none."""
    return None if _make is None else _make(name)
