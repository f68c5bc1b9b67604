"""The exit status of a script that Ctrl-C ends.

Python ends such a script as if SIGINT had killed it, by a flag that it sets where the script's code
is left by `KeyboardInterrupt`.  Any source text that is evaluated after that, also in another
thread, clears the flag, and the status becomes 1.  Dataclasses and named tuples evaluate some when
they are defined, so a thread that still imports a module is enough.
"""

from __future__ import annotations

import atexit
import sys
from contextlib import suppress

__all__ = ["keep_interrupted_status"]


def keep_interrupted_status() -> None:
    """Have the process end as interrupted where `KeyboardInterrupt` left its script."""
    # What is registered first is called last, when the threads that evaluate text have ended.
    atexit.register(_at_exit)


def _at_exit() -> None:
    if _has_interrupted_script():
        with suppress(KeyboardInterrupt):
            # Only source text that is evaluated sets the flag.
            exec("raise KeyboardInterrupt")


def _has_interrupted_script() -> bool:
    """Return whether the script, not a line of an interactive session, was left by Ctrl-C."""
    tb = getattr(sys, "last_traceback", None)
    if getattr(sys, "last_type", None) is not KeyboardInterrupt or tb is None:
        return False
    frame = tb.tb_frame
    code = frame.f_code
    is_script = frame.f_globals.get("__name__") == "__main__" and code.co_name == "<module>"
    # A script that makes a shell of IPython has `sys.ps1`, too.
    is_typed = hasattr(sys, "ps1") and code.co_filename.startswith(("<stdin>", "<python-input"))
    return is_script and not sys.flags.interactive and not is_typed
