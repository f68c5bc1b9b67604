"""The end of the process: callbacks, the event loop's threads, and the exit status.

Callbacks of `atexit` run after `concurrent.futures` has shut its pools down, in which asyncio looks
host names up.  With `ExitSafeExecutor` as the loop's default executor such callbacks may still use
the network; register them by `call_at_exit`.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def call_at_exit(callback: Callable[[], None], *, priority: int = 0) -> None:
    """Call ``callback`` when the process ends.

    A child of multiprocessing does not call `atexit`; there, callbacks of higher ``priority`` come
    first.  Call it in the child itself, which clears what it inherits.
    """
    # Without that module imported this is no such child.
    if "multiprocessing.process" in sys.modules:
        from multiprocessing import parent_process, util

        if parent_process() is not None:
            util.Finalize(None, callback, exitpriority=priority)
            return
    atexit.register(callback)


class ExitSafeExecutor(ThreadPoolExecutor):
    """A thread pool that calls functions in the submitting thread once no thread can be started."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:  # the pool, or the interpreter, is shut down
            future: Future[T] = Future()
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)
            return future


def keep_interrupted_status() -> None:
    """End the process as interrupted if `KeyboardInterrupt` ended its script.

    Python ends such a script as if killed by SIGINT, because of a flag that it sets when
    `KeyboardInterrupt` leaves the script's code.  Evaluating source text after that, in any thread,
    clears the flag, and the status becomes 1.  Definitions of dataclasses and named tuples evaluate
    source text, so a thread that is importing a module suffices.
    """
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
