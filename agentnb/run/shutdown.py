"""The end of the process: cancel runs, also on their platforms, and close connections."""

from __future__ import annotations

import asyncio
import atexit
from contextlib import suppress
from typing import Final

from agentnb import _loop
from agentnb.run.clients import close_clients
from agentnb.run.executor import stop_all

__all__ = ["register_shutdown"]

# How long the end of the process may be delayed, in seconds: by cancelling runs on their platforms,
# and by closing connections.
_CANCEL_TIMEOUT: Final = 0.7
_CLOSE_TIMEOUT: Final = 0.3


def register_shutdown() -> None:
    """Leave no run in progress on a platform when the process ends."""
    # The background loop's default executor still resolves host names then.
    atexit.register(_at_exit)


async def _shut_down() -> None:
    await stop_all(_CANCEL_TIMEOUT)
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await close_clients()


def _at_exit() -> None:
    if not _loop.is_running():
        return
    # No failure matters any more; a second Ctrl-C only ends the wait.
    with suppress(Exception, KeyboardInterrupt):
        _loop.submit(_shut_down()).result(timeout=_CANCEL_TIMEOUT + _CLOSE_TIMEOUT + 0.2)
    _loop.stop(timeout=0.5)
