"""Importing what the first cell needs: what its question needs before it, what shows it after.

Nearly all the time that a first question takes to leave goes into imports.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from agentnb._support.imports import imported, without_collections

__all__ = ["load", "load_display"]

_RUNNER: Final = "agentnb.notebook.runner"
_DISPLAY: Final = "agentnb.notebook.display"
# How long the first question has to leave before what shows its run is imported, in seconds: as
# long as it takes where the server is near.  Elsewhere the network takes longer than any import.
_DEPARTURE: Final = 0.02


def load() -> None:
    """Import the runner of cells and what carries its requests, on this thread.

    The event loop would import the latter with the first request, in turns with this thread, which
    by then imports what shows the run.
    """
    if _RUNNER in sys.modules:
        return
    with without_collections():
        imported(_RUNNER)
        from agentnb._http.library import load_transport

        load_transport()


def load_display() -> None:
    """Import what shows a run, once the question has left."""
    if _DISPLAY in sys.modules:
        return
    # While this thread imports, each turn of the event loop would wait for its own.
    time.sleep(_DEPARTURE)
    imported(_DISPLAY)
