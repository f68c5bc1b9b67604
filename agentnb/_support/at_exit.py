"""Callbacks at the end of the process, and the event loop's threads then.

Callbacks of `atexit` run after `concurrent.futures` has shut its pools down, in which asyncio looks
host names up.  With `ExitSafeExecutor` as the loop's default executor such callbacks may still use
the network; register them by `call_at_exit`.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

__all__ = ["ExitSafeExecutor", "call_at_exit"]

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
