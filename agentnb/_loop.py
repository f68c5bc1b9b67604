"""The background event loop that serves cells.

One daemon thread with its own asyncio loop.  Work goes in from any thread by `submit`; because
`asyncio.run_coroutine_threadsafe` carries the caller's context along, what the work prints lands
in the cell that submitted it, even when other cells run meanwhile.
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
    "all_or_none",
    "background_loop",
    "in_background",
    "is_running",
    "stop",
    "submit",
    "wait",
]

T = TypeVar("T")

_log = logging.getLogger(__name__)

# The garbage collector may end a run in the middle of anything here.
_lock = threading.RLock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None

# How often a blocked main thread looks up, in seconds: Windows delivers Ctrl-C only then.
_TICK: Final = 0.1
# How long work that is cancelled by `stop` may take to end, in seconds.
_LAST_WORK: Final = 0.25


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, started in this process when it is not running yet."""
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
    """Tell whether this process has started the loop."""
    return _thread is not None and _thread.is_alive()


def in_background() -> bool:
    """Tell whether the caller runs on the background loop's own thread."""
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
    if in_background():
        work.close()
        raise RuntimeError("This blocks and cannot be called from an agent's own event loop.")
    future = submit(work)
    try:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        # Not `future.result(timeout)`: its TimeoutError could not be told from the work's own.
        while not done.wait(_TICK):
            pass
    except BaseException:
        future.cancel()
        raise
    return future.result()


def stop(timeout: float) -> None:
    """End the loop, at the latest after ``timeout`` seconds; what still runs on it is cancelled.

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
            # SystemExit and KeyboardInterrupt of a task leave asyncio's loop.  One agent that
            # calls `sys.exit()` must not take the runs of every other cell with it.
            _log.exception("A task tried to end the event loop")
    # What refuses to end now is nobody's concern any more.
    loop.set_exception_handler(lambda _loop, _context: None)
    try:
        loop.run_until_complete(_end_work())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _end_work() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_WORK)
    # Connections that were closed just now need a turn of the loop to let go of their sockets.
    await asyncio.sleep(0)


def _after_fork() -> None:
    # A child has the loop object without its thread, and perhaps a lock that nobody will release.
    global _lock, _loop, _thread
    _lock = threading.RLock()
    if _loop is not None:
        # Tasks that are freed would run their `finally` blocks here.
        keep_forever(_loop, *asyncio.all_tasks(_loop))
    _loop = _thread = None


after_fork_in_child(_after_fork)


async def all_or_none(work: Iterable[Awaitable[None]]) -> None:
    """Await all; the first error cancels the others and is raised when they have ended."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        for task in tasks:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
