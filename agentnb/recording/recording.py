"""What a run has brought, as it arrives: events with their times, the transcript, listeners."""

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

# Not `TextDelta | ReasoningDelta`, which would be made anew for each event.
_FRAGMENTS: Final = (TextDelta, ReasoningDelta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a run waits for that nothing comes from.

    ``kind`` is ``reconnect`` where its stream broke off and is taken up again, ``retry`` where its
    request failed and is made again.  ``attempt`` counts from 1 to ``of`` at most; it begins at
    ``until``, in the recording's seconds.  ``reason`` is one line.
    """

    kind: Literal["reconnect", "retry"]
    attempt: int
    of: int
    until: float
    reason: str


class Recording:
    """The events of one run and the transcript folded from them.

    Written by one driver on the background loop, read from any thread; ``lock`` guards what is read
    together, and may be taken again by who holds it.  Times are seconds since `begin`, by
    ``clock``.  ``ended`` says that nothing follows.
    """

    def __init__(self, transcript: Transcript, *, clock: Clock | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = clock or Clock()
        self.transcript = transcript
        self.events: list[Event] = []
        self.times: list[float] = []
        self.duration: float | None = None
        self.first_token: float | None = None
        self.ended = False
        #: How often its stream was taken up again; None where nobody counted.
        self.reconnects: int | None = 0
        #: What it waits for at this moment, beyond the agent; None while its stream is there.
        self.waiting: Waiting | None = None
        #: Tells of an answer that completes in what it is not of the form that was asked for.
        self.check: Callable[[Transcript], str | None] | None = None
        self._joiner = EventSurrogateJoiner()
        self._listeners: dict[object, Callable[[], None]] = {}
        self._feeds: list[EventFeed] = []
        renew_lock_after_fork(self, "lock")

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning, 0 before it; stands still after the terminal event."""
        duration = self.duration
        return self.clock.now() if duration is None else duration

    def begin(self) -> None:
        """Start the clock."""
        self.clock.begin()

    def add(self, batch: Sequence[Event]) -> None:
        """Fold a batch in and tell everybody who listens."""
        at = self.clock.now()
        with self.lock:
            # A copy, since the caller may use its list again.
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
                    if self.check is not None and self.transcript.status == "completed":
                        self.transcript.output_error = self.check(self.transcript)
            self._feeds = [feed for feed in self._feeds if feed.put(batch)]
        self.notify()

    def wait_for(self, waiting: Waiting | None) -> None:
        """Say what the run waits for; the next batch, and the end, take it back."""
        with self.lock:
            self.waiting = waiting
        self.notify()

    def taken_up(self) -> None:
        """Count that its stream is there again."""
        self.reconnects = (self.reconnects or 0) + 1

    async def room(self) -> None:
        """Wait until the slowest consumer has caught up."""
        for feed in tuple(self._feeds):
            await feed.room()

    def end(self) -> None:
        """Say that nothing follows; the clock stands still, also where no terminal event came."""
        with self.lock:
            if self.duration is None:
                self.duration = self.clock.now()
            self.ended = True
            self.waiting = None
            feeds, self._feeds = self._feeds, []
        for feed in feeds:
            feed.end()

    def abandon(self, event: Event) -> None:
        """End with ``event`` in a forked child, where nothing that the parent shares is touched."""
        # Listeners belong to the parent, and its event loops do not run here.
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
        """Call ``callback`` at every `notify`; return what undoes it."""
        key = object()
        with self.lock:
            self._listeners[key] = callback

        def unsubscribe() -> None:
            with self.lock:
                self._listeners.pop(key, None)

        return unsubscribe

    def notify(self) -> None:
        """Call every listener; one that raises is logged and hurts nobody else."""
        with self.lock:
            listeners = tuple(self._listeners.values())
        # What a listener asks or starts is no request of this run.
        # A reader of stored runs makes no requests, and has no need of what they take.
        from agentnb._http import detached

        with detached():
            for callback in listeners:
                try:
                    callback()
                # BaseException, because a CancelledError from here would look like the run's own.
                except BaseException:
                    _log.exception("A listener of a run raised")

    def iterate(self) -> EventIterator:
        """Return the events from the first on, those that arrived already and those to come."""
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
