"""Importing what the first cell needs.

Nearly all the time that a first question takes to leave goes into imports.
"""

from __future__ import annotations

from typing import Final

from agentnb._importing import imported

__all__ = ["load", "load_display"]

_RUNNER: Final = "agentnb.notebook.runner"
_DISPLAY: Final = "agentnb.notebook.display"


def load() -> None:
    """Import the runner of cells."""
    imported(_RUNNER)


def load_display() -> None:
    """Import what shows a run.

    While the event loop imports what carries the first question, and not after it: then the view
    would begin late, in turns with the answer, and show little of it growing.
    """
    imported(_DISPLAY)
