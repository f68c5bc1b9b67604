"""The end of the process: runs are stopped, platforms told, connections closed."""

from __future__ import annotations

import asyncio
import atexit
import threading
from contextlib import suppress
from importlib import import_module
from typing import Final

from agentnb import _loop
from agentnb.run.clients import close_clients
from agentnb.run.executor import stop_all

__all__ = ["register_shutdown"]

# How long the end of the process may be held up, in seconds: for telling platforms of the runs
# that it leaves behind, and for closing connections.
_TELL: Final = 0.7
_CLOSE: Final = 0.3


def register_shutdown() -> None:
    """See to it that the process, when it ends, leaves nothing running on a platform."""
    # `atexit` comes too late: by then the pool of threads is shut down in which asyncio looks up
    # the name of the platform to be told.  This runs before all that was registered earlier, as the
    # pool's end is when its module is imported.  It is private; where it is gone, runs that are
    # left behind are still closed, if not always told.
    import_module("concurrent.futures.thread")
    getattr(threading, "_register_atexit", atexit.register)(_at_exit)


async def _leave() -> None:
    await stop_all(_TELL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE):
            await close_clients()


def _at_exit() -> None:
    """Cancel what still runs, tell the platforms, and close connections, within about a second."""
    if not _loop.is_running():
        return
    # Nothing that goes wrong now can be acted on; a second Ctrl-C only ends the wait.
    with suppress(Exception, KeyboardInterrupt):
        _loop.submit(_leave()).result(timeout=_TELL + _CLOSE + 0.2)
    _loop.stop(timeout=0.5)
