"""A thread that runs a synchronous function and passes its items to the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any, Final, cast

from agentnb.event.types import ApprovalRequested

logger = logging.getLogger(__name__)

# Items buffered before the thread has to wait for its consumer.
_MAX_BUFFERED: Final = 256


class Worker:
    """A thread that makes one call and, where that gives an iterator, hands over its items.

    A thread of its own rather than a pool's: a function may block for minutes, and a generator
    stays on one thread.  It is a daemon, so that a function that never returns cannot keep the
    interpreter from ending.

    ``convert`` is called with every item; a `TypeError` that it raises is raised in a generator at
    the ``yield`` that gave the item, so that the traceback shows that line.  ``returned`` is the
    value that a generator returned.
    """

    def __init__(
        self, call: Callable[[], Any], *, convert: Callable[[object], Any] = lambda item: item
    ) -> None:
        self.outcome: Any = None
        self.returned: Any = None
        self._call = call
        self._convert = convert
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._changed = threading.Condition()
        self._pending: list[Any] = []
        self._waits_for_consumer = False
        self._stopped = False
        self._done = False
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="agentnb-function", daemon=True
        )

    async def batches(self) -> AsyncGenerator[list[Any], None]:
        """Yield what has arrived, as it arrives; raise what the call raised."""
        self._thread.start()
        try:
            while True:
                await self._arrived.wait()
                with self._changed:
                    self._arrived.clear()
                    batch, self._pending = self._pending, []
                    done = self._done
                    if not self._waits_for_consumer:
                        self._changed.notify()
                if batch:
                    yield batch
                    with self._changed:
                        if self._waits_for_consumer and not self._pending:
                            self._waits_for_consumer = False
                            self._changed.notify()
                if done:
                    break
            if self._error is not None:
                raise self._error
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify()

    def _run(self) -> None:
        try:
            outcome = self._call()
            if isinstance(outcome, Iterator):
                self._hand_over(cast("Iterator[Any]", outcome))
            else:
                self.outcome = outcome
        except BaseException as error:
            self._error = error
            if self._stopped:
                logger.warning("An agent's function failed after it was stopped.", exc_info=error)
        finally:
            with self._changed:
                self._done = True
            self._wake()

    def _hand_over(self, source: Iterator[Any]) -> None:
        generator = cast("Generator[Any]", source) if isinstance(source, Generator) else None
        try:
            for item in source if generator is None else self._drained(generator):
                try:
                    item = self._convert(item)
                except TypeError as error:
                    if generator is not None:
                        generator.throw(error.with_traceback(None))
                    raise
                with self._changed:
                    self._pending.append(item)
                    first = len(self._pending) == 1
                    self._waits_for_consumer = isinstance(item, ApprovalRequested)
                if first:
                    self._wake()
                with self._changed:
                    while not self._stopped and (
                        len(self._pending) >= _MAX_BUFFERED or self._waits_for_consumer
                    ):
                        self._changed.wait()
                    if self._stopped:
                        return
        finally:
            close = getattr(cast("object", source), "close", None)
            if close is not None:
                close()

    def _drained(self, generator: Generator[Any]) -> Generator[Any]:
        self.returned = yield from generator

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            # The loop is closed, so there is no consumer.
            with self._changed:
                self._stopped = True
