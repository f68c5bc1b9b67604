"""The exit status of a script that Ctrl-C ends.

Python ends such a script as if killed by SIGINT, because of a flag that it sets when
`KeyboardInterrupt` leaves the script's code.  Evaluating source text after that, in any thread,
clears the flag, and the status becomes 1.  Definitions of dataclasses and named tuples evaluate
source text, so a thread that is importing a module suffices.
"""

from __future__ import annotations

import atexit
import sys
from contextlib import suppress

__all__ = ["keep_interrupted_status"]


def keep_interrupted_status() -> None:
    """End the process as interrupted if `KeyboardInterrupt` ended its script."""
    # The first function registered is called last, when other threads have ended.
    atexit.register(_at_exit)


def _at_exit() -> None:
    if _has_interrupted_script():
        with suppress(KeyboardInterrupt):
            # Only evaluated source text sets the flag.
            exec("raise KeyboardInterrupt")


def _has_interrupted_script() -> bool:
    """Return whether Ctrl-C ended the script, not a line of an interactive session."""
    tb = getattr(sys, "last_traceback", None)
    if getattr(sys, "last_type", None) is not KeyboardInterrupt or tb is None:
        return False
    frame = tb.tb_frame
    code = frame.f_code
    is_script = frame.f_globals.get("__name__") == "__main__" and code.co_name == "<module>"
    # A script that starts an IPython shell has `sys.ps1`, too.
    is_typed = hasattr(sys, "ps1") and code.co_filename.startswith(("<stdin>", "<python-input"))
    return is_script and not sys.flags.interactive and not is_typed
