"""The events of a run that is cancelled when its consumer stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from agentnb._support.tracebacks import hide_frames
from agentnb.event.types import Event
from agentnb.recording.recording import EventIterator
from agentnb.run.run import Run


class RunStream(AsyncIterator[Event]):
    """Starts a run at its first event, yields them all, and cancels it when it is left early.

    Not an asynchronous generator: that would be closed by its loop, which a stopped loop never
    does, while this cancels its run at once, on any loop or without one.
    """

    def __init__(self, start: Callable[[], Run], *, check: bool) -> None:
        self._start = start
        self._check = check
        self._run: Run | None = None
        self._events: EventIterator | None = None
        self._over = False

    def __aiter__(self) -> RunStream:
        return self

    async def __anext__(self) -> Event:
        if self._over:
            raise StopAsyncIteration
        try:
            if self._run is None or self._events is None:
                self._run = self._start()
                self._events = self._run.iterate()
            return await anext(self._events)
        except StopAsyncIteration:
            self._over = True
            if self._check and self._run is not None:
                self._run.raise_for_status()
            raise
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            hide_frames(error)
            self._leave()
            raise
        except BaseException:
            self._leave()
            raise

    async def aclose(self) -> None:
        """Cancel the run if it is in progress."""
        self._leave()

    def __del__(self) -> None:
        # At the end of the process the loop may be closed.
        with suppress(Exception):
            self._leave()

    def _leave(self) -> None:
        if self._over:
            return
        self._over = True
        self._events = None
        if self._run is not None and not self._run.done:
            self._run.cancel()
