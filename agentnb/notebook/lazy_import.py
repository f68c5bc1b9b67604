"""Imports of the first cell: before its request what sends it, afterwards what displays it.

Imports take nearly all the time until the first request is sent.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from agentnb._support.imports import imported, without_collections

__all__ = ["load", "load_display"]

_RUNNER: Final = "agentnb.notebook.runner"
_DISPLAY: Final = "agentnb.notebook.display"
# Seconds for the first request to be sent to a near server before the display is imported; to other
# servers the network takes longer than the import.
_SEND_TIME: Final = 0.02


def load() -> None:
    """Import the cell runner and the HTTP transport, on this thread.

    The event loop would import the transport while this thread imports the display.
    """
    if _RUNNER in sys.modules:
        return
    with without_collections():
        imported(_RUNNER)
        from agentnb._http.library import load_transport

        load_transport()


def load_display() -> None:
    """Import the display of runs, once the request has been sent."""
    if _DISPLAY in sys.modules:
        return
    # Importing keeps the event loop from running.
    time.sleep(_SEND_TIME)
    imported(_DISPLAY)
