"""Threads of the event loop at the end of the process.

Callbacks of `atexit` run after `concurrent.futures` has shut its pools down, in which asyncio looks
host names up.  With `ExitSafeExecutor` as the loop's default executor such callbacks may still use
the network; register them by `atexit.register`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

__all__ = ["ExitSafeExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


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
