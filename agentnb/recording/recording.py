"""A run's events with their times, the transcript folded from them, and their consumers."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Literal
from weakref import ref

from agentnb._support.fork import renew_lock_after_fork
from agentnb.event.surrogates import EventSurrogateJoiner
from agentnb.event.transcript import Transcript
from agentnb.event.types import TERMINAL_EVENTS, Event, ReasoningDelta, RefusalDelta, TextDelta
from agentnb.recording.clock import Clock

_log = logging.getLogger(__name__)

# A tuple: a union would be built anew for each event.
_FRAGMENTS: Final = (TextDelta, ReasoningDelta, RefusalDelta)
# How many events a consumer may lag behind before the run waits for it, and how many it takes at
# once; how often the run checks, in seconds.
_MAX_LAG: Final = 1024
_BATCH: Final = 256
_POLL: Final = 0.01
# How long a consumer with enough events may occupy its loop, in seconds.
_MAX_BUSY: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A wait before another attempt.

    ``kind`` is ``reconnect`` where the run's stream broke off, ``retry`` where its request failed.
    ``attempt`` counts from 1 to ``of`` at most; it starts at ``until``, in seconds since the run
    was sent.  ``reason`` is one line.
    """

    kind: Literal["reconnect", "retry"]
    attempt: int
    of: int
    until: float
    reason: str


class Recording:
    """The events of one run and the transcript folded from them.

    Written by one executor on the background loop, read from any thread; the reentrant ``lock``
    guards what is read together.  Times are seconds since the run was sent, by ``clock``.
    """

    def __init__(self, transcript: Transcript, *, clock: Clock | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = clock or Clock()
        self.transcript = transcript
        self.events: list[Event] = []
        self.times: list[float] = []
        self.duration: float | None = None
        self.first_token: float | None = None
        #: Whether no further events follow.
        self.ended = False
        #: Id of the recorded run, where one is played.
        self.played_id: str | None = None
        #: How often the stream was resumed; None where that is unknown.
        self.reconnects: int | None = 0
        #: The wait in progress, None while the stream is open.
        self.waiting: Waiting | None = None
        #: Returns why a completed answer does not match its schema, None where it does.
        self.validate: Callable[[Transcript], str | None] | None = None
        self._joiner = EventSurrogateJoiner()
        self._listeners: dict[object, Callable[[], None]] = {}
        # Weak, so that a consumer that is dropped no longer counts.
        self._iterators: list[ref[EventIterator]] = []
        renew_lock_after_fork(self, "lock")

    @property
    def elapsed(self) -> float:
        """Seconds since the run was sent; constant after its terminal event."""
        duration = self.duration
        return self.clock.now() if duration is None else duration

    def add(self, batch: Sequence[Event]) -> None:
        """Fold a batch, and wake up consumers and listeners."""
        at = self.clock.now()
        with self.lock:
            batch = self._joiner.feed(batch)
            self.waiting = None
            self.events.extend(batch)
            self.times.extend(repeat(at, len(batch)))
            self.transcript.apply_all(batch, at)
            for event in batch:
                if isinstance(event, _FRAGMENTS):
                    if self.first_token is None and event.text:
                        self.first_token = at
                elif self.duration is None and isinstance(event, TERMINAL_EVENTS):
                    self.duration = at
                    if self.validate is not None and self.transcript.status == "completed":
                        self.transcript.output_error = self.validate(self.transcript)
        self.notify()

    def wait_for(self, waiting: Waiting | None) -> None:
        """Publish the wait in progress; the next batch and the end reset it."""
        with self.lock:
            self.waiting = waiting
        self.notify()

    async def room(self) -> None:
        """Wait until the slowest consumer has caught up."""
        # Polled, so that consumers on other loops and threads never call the run.
        while self._iterators and any(each.lag >= _MAX_LAG for each in self._consumers()):  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    def end(self) -> None:
        """End the events, and the duration, also where no terminal event was received."""
        with self.lock:
            if self.duration is None:
                self.duration = self.clock.now()
            self.ended = True
            self.waiting = None
        self._wake_consumers()

    def abandon(self, event: Event) -> None:
        """End with ``event`` in a forked child, without listeners and loops of the parent."""
        self._listeners, self._iterators = {}, []
        self.add([event])
        self.end()

    def since(self, first: int) -> tuple[list[Event], list[float]]:
        """Return the events from number ``first`` on, and their times."""
        with self.lock:
            return self.events[first:], self.times[first:]

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` at every `notify`; return a function that unsubscribes it."""
        key = object()
        with self.lock:
            self._listeners[key] = callback

        def unsubscribe() -> None:
            with self.lock:
                self._listeners.pop(key, None)

        return unsubscribe

    def notify(self) -> None:
        """Wake up consumers and call every listener; log what one raises."""
        self._wake_consumers()
        with self.lock:
            listeners = tuple(self._listeners.values())
        # Imported late: readers of stored runs make no requests.
        from agentnb._http import detached

        # Requests and runs that a listener starts do not belong to this run.
        with detached():
            for callback in listeners:
                try:
                    callback()
                # BaseException, because a CancelledError would look like the run's own.
                except BaseException:
                    _log.exception("A listener of a run raised")

    def iterate(self) -> EventIterator:
        """Return an iterator over all events, past and future."""
        return EventIterator(self)

    def connect(self, iterator: EventIterator) -> None:
        """Wake ``iterator`` up at new events, and let the run wait for it."""
        with self.lock:
            self._iterators.append(ref(iterator))

    def _consumers(self) -> list[EventIterator]:
        return [each for each in [weak() for weak in self._iterators] if each and each.is_open]

    def _wake_consumers(self) -> None:
        if self._iterators:
            with self.lock:
                self._iterators = [
                    weak for weak in self._iterators if (each := weak()) is not None and each.wake()
                ]


class EventIterator(AsyncIterator[Event]):
    """The events of one run for one consumer, on any event loop.

    Not an asynchronous generator: one that is left early would delay the run until its loop closes
    it, which never happens where that loop then waits for the run.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._position = 0
        self._batch: Iterator[Event] = iter(())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived: asyncio.Event | None = None
        self._closed = False
        self._busy_since = time.monotonic()

    @property
    def is_open(self) -> bool:
        return not (self._closed or (self._loop is not None and self._loop.is_closed()))

    @property
    def lag(self) -> int:
        """Number of events that were not taken yet."""
        return len(self._recording.events) - self._position

    def __aiter__(self) -> EventIterator:
        return self

    async def __anext__(self) -> Event:
        # Let other tasks run.  Before an event is taken, which a cancellation would lose.
        if time.monotonic() - self._busy_since > _MAX_BUSY:
            await asyncio.sleep(0)
            self._busy_since = time.monotonic()
        while not self._closed:
            for event in self._batch:
                return event
            await self._take_batch()
        raise StopAsyncIteration

    async def _take_batch(self) -> None:
        if self._arrived is None:
            self._loop, self._arrived = asyncio.get_running_loop(), asyncio.Event()
            self._recording.connect(self)
        self._arrived.clear()
        # Read in this order: no events are added after the end.
        ended = self._recording.ended
        batch = self._recording.events[self._position : self._position + _BATCH]
        if batch:
            self._position += len(batch)
            self._batch = iter(batch)
        elif ended:
            self._closed = True
        else:
            await self._arrived.wait()

    def wake(self) -> bool:
        """Resume a consumer that waits, from any thread; return False if it takes no more."""
        if self._closed or self._loop is None or self._arrived is None:
            return False
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            return False
        return True

    async def aclose(self) -> None:
        """Stop consuming; the run is no longer slowed down."""
        self._closed = True
