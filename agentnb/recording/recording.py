"""A run's events with their times, the transcript folded from them, and their listeners."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Literal

from agentnb._support.fork import renew_lock_after_fork
from agentnb.event.surrogates import EventSurrogateJoiner
from agentnb.event.transcript import Transcript
from agentnb.event.types import TERMINAL_EVENTS, Event, ReasoningDelta, TextDelta
from agentnb.recording.clock import Clock
from agentnb.recording.feed import EventFeed, EventIterator

__all__ = ["Recording", "Waiting"]

_log = logging.getLogger(__name__)

# A tuple: `TextDelta | ReasoningDelta` would be built anew for each event.
_FRAGMENTS: Final = (TextDelta, ReasoningDelta)


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
        self._feeds: list[EventFeed] = []
        renew_lock_after_fork(self, "lock")

    @property
    def elapsed(self) -> float:
        """Seconds since the run was sent; constant after its terminal event."""
        duration = self.duration
        return self.clock.now() if duration is None else duration

    def add(self, batch: Sequence[Event]) -> None:
        """Fold a batch and publish it to feeds and listeners."""
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
            self._feeds = [feed for feed in self._feeds if feed.put(batch)]
        self.notify()

    def wait_for(self, waiting: Waiting | None) -> None:
        """Publish the wait in progress; the next batch and the end reset it."""
        with self.lock:
            self.waiting = waiting
        self.notify()

    async def room(self) -> None:
        """Wait until the slowest consumer has caught up."""
        for feed in tuple(self._feeds):
            await feed.room()

    def end(self) -> None:
        """End all feeds, and the duration, also where no terminal event was received."""
        with self.lock:
            if self.duration is None:
                self.duration = self.clock.now()
            self.ended = True
            self.waiting = None
            feeds, self._feeds = self._feeds, []
        for feed in feeds:
            feed.end()

    def abandon(self, event: Event) -> None:
        """End with ``event`` in a forked child, without listeners and loops of the parent."""
        self._listeners = {}
        feeds, self._feeds = self._feeds, []
        for feed in feeds:
            feed.abandon([event])
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
        """Call every listener; log what one raises."""
        with self.lock:
            listeners = tuple(self._listeners.values())
        # Imported late: readers of stored runs make no requests.
        from agentnb._http import without_terms

        # Requests and runs that a listener starts do not belong to this run.
        with without_terms():
            for callback in listeners:
                try:
                    callback()
                # BaseException, because a CancelledError would look like the run's own.
                except BaseException:
                    _log.exception("A listener of a run raised")

    def iterate(self) -> EventIterator:
        """Return an iterator over all events, past and future."""
        return EventIterator(self._connect)

    def _connect(self) -> EventFeed:
        feed = EventFeed()
        with self.lock:
            if self.events:
                feed.put(tuple(self.events))
            if self.ended:
                feed.end()
            else:
                self._feeds.append(feed)
        return feed
