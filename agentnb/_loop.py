"""The background event loop that serves cells, in a daemon thread.

`submit` schedules a coroutine from any thread.  `asyncio.run_coroutine_threadsafe` copies the
caller's context, so output is displayed in the cell that submitted it, even when other cells run
meanwhile.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Awaitable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from agentnb._support.at_exit import ExitSafeExecutor
from agentnb._support.fork import after_fork_in_child, keep_forever, pause_for_fork

__all__ = [
    "background_loop",
    "gather_or_cancel",
    "is_background_thread",
    "is_running",
    "stop",
    "submit",
    "wait",
]

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Reentrant, as the garbage collector may end a run while this thread holds it.
_lock = threading.RLock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None

# Poll interval of a blocked main thread, in seconds: Windows delivers Ctrl-C only between waits.
_POLL_INTERVAL: Final = 0.1
# How long tasks that `stop` cancels may take to end, in seconds.
_CANCEL_TIMEOUT: Final = 0.25


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop; start it if it is not running."""
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            loop = asyncio.new_event_loop()
            loop.set_default_executor(ExitSafeExecutor(thread_name_prefix="asyncio"))
            # An empty context: whatever cell happens to start the thread, later work must not
            # inherit that cell's output.
            thread = threading.Thread(
                target=contextvars.Context().run,
                args=(_serve, loop),
                name="agentnb-loop",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:
                loop.close()
                raise
            _loop, _thread = loop, thread
            pause_for_fork(loop, thread)
        return _loop


def is_running() -> bool:
    """Return whether this process has started the loop."""
    return _thread is not None and _thread.is_alive()


def is_background_thread() -> bool:
    """Return whether the caller runs on the background loop's thread."""
    return _thread is not None and threading.current_thread() is _thread


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run ``work`` on the background loop; return its future at once."""
    return asyncio.run_coroutine_threadsafe(work, background_loop())


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on the background loop and block until it is done.

    KeyboardInterrupt cancels it and is raised again.

    Raises:
        RuntimeError: called on the background loop itself, where it would wait for ever.
    """
    if is_background_thread():
        work.close()
        raise RuntimeError("This blocks and cannot be called from an agent's own event loop.")
    future = submit(work)
    try:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        # Not `future.result(timeout)`: the work itself may raise TimeoutError.
        while not done.wait(_POLL_INTERVAL):
            pass
    except BaseException:
        future.cancel()
        raise
    return future.result()


def stop(timeout: float) -> None:
    """Cancel all tasks and stop the loop; wait at most ``timeout`` seconds for that.

    A later `submit` starts a new one.
    """
    global _loop, _thread
    with _lock:
        loop, thread = _loop, _thread
        _loop = _thread = None
    if loop is None or thread is None:
        return
    with suppress(RuntimeError):  # closed already
        loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join(timeout)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            loop.run_forever()
            break
        except BaseException:
            # SystemExit and KeyboardInterrupt of a task stop the loop.  An agent that calls
            # `sys.exit()` must not end the runs of other cells.
            _log.exception("A task tried to end the event loop")
    # Errors of tasks that are cancelled now are not reported.
    loop.set_exception_handler(lambda _loop, _context: None)
    try:
        loop.run_until_complete(_cancel_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _cancel_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CANCEL_TIMEOUT)
    # Connections close their sockets in the next iteration of the loop.
    await asyncio.sleep(0)


def _after_fork() -> None:
    # A child has the loop object without its thread, and perhaps a lock that is never released.
    global _lock, _loop, _thread
    _lock = threading.RLock()
    if _loop is not None:
        # Freeing its tasks would run their `finally` blocks.
        keep_forever(_loop, *asyncio.all_tasks(_loop))
    _loop = _thread = None


after_fork_in_child(_after_fork)


async def gather_or_cancel(work: Iterable[Awaitable[None]]) -> None:
    """Await all; the first error cancels the others and is raised once they have ended."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        for task in tasks:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
