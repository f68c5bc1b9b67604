"""From a run to its page: when to tell it what is new, and what it asks.

`RunPublisher` is the thin shell around a `Cursor`: it listens to a run, gathers what comes into at
most 25 messages a second, and answers the page.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Protocol

from agentnb.event.approvals import approval_key
from agentnb.event.types import ApprovalRequested, Event
from agentnb.recording.recording import Waiting
from agentnb.render import RunView
from agentnb.widgets.cursor import Cursor
from agentnb.widgets.protocol import (
    Snapshot,
    ack_message,
    events_message,
    ops_message,
    parse_page_message,
    run_state,
    snapshot_message,
    timeline_message,
)

__all__ = ["INTERVAL", "LiveRun", "RunPublisher"]

_log = logging.getLogger(__name__)

# Seconds between two messages: 25 a second look smooth and stay far below Jupyter's limits.
INTERVAL: Final = 1 / 25


class LiveRun(Protocol):
    """What the publisher needs of a run."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Guards the transcript.  Never held while a listener is called.

        Whoever holds it may read `events` and `event_times`, which then belong together.
        """
        ...

    @property
    def events(self) -> Sequence[Event]:
        """Every event so far, in order."""
        ...

    @property
    def event_times(self) -> Sequence[float]:
        """When each of `events` arrived, in seconds since the run was sent."""
        ...

    @property
    def waiting(self) -> Waiting | None:
        """What the run waits for beyond the agent: its connection, or to be asked again."""
        ...

    def view(self) -> RunView:
        """Return the run as it is now.  Its ``duration`` is None until the run has ended."""
        ...

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` on an event loop after every change; return what undoes it."""
        ...

    def cancel(self) -> None:
        """Stop the run, from any thread."""
        ...


class RunPublisher:
    """Tells a page of a run, at most 25 times a second, and answers it.

    ``send`` sends a message to the page and ``keep`` writes the snapshot that outlives messages;
    what they raise is logged and never reaches the run.  Messages may come in, and `close` be
    called, on any thread.

    ``decide``, where given, takes the user's answer to what the run waits for: the approval that
    was displayed (its id, which may be None, where the page names no more), and whether it is
    granted.  It must return at once; its effect shows in the run.  It is not called for an approval
    that has changed since it was displayed, which is displayed anew.  Without it the view offers no
    answer, and one that comes all the same is ignored.
    """

    def __init__(
        self,
        run: LiveRun,
        *,
        send: Callable[[Mapping[str, Any]], None],
        keep: Callable[[Snapshot], None],
        decide: Callable[[ApprovalRequested | str | None, bool], None] | None = None,
    ) -> None:
        self._run = run
        self._decide = decide
        self._send = send
        self._keep = keep
        # Held while something is made and sent: messages leave in the order of their numbers.
        self._lock = threading.RLock()
        self._cursor = Cursor()
        self._seq = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")
        self._kept_final = False
        self._closed = False
        self._unsubscribe: Callable[[], None] | None = None

    def first(self) -> Snapshot:
        """Return the state to begin with; to be called once, before `start`."""
        with self._lock, self._run.lock:
            view = self._view()
            self._kept_final = view.duration is not None
            # A notebook saves this: what the run waits for follows by message.
            return {"seq": self._seq, "run": self._cursor.snapshot(view)}

    def snapshot(self) -> Snapshot:
        """Return the state as it is now, for whoever sends it along with more; also once closed.

        It has a number of its own: should it be lost, the next message shows a gap.
        """
        with self._lock, self._run.lock:
            self._seq += 1
            state = self._cursor.snapshot(self._view(), self._run.waiting)
            return {"seq": self._seq, "run": state}

    def start(self) -> None:
        """Begin to listen; what came since `first` is sent at once."""
        with self._lock:
            self._unsubscribe = self._run.subscribe(self._changed)
            self.flush()

    def flush(self) -> None:
        """Send what is new without waiting for its time."""
        with self._lock:
            if self._closed:
                return
            final: Snapshot | None = None
            with self._run.lock:
                view = self._view()
                ops = self._cursor.ops(view, self._run.waiting)
                if ops:
                    self._seq += 1
                if view.duration is not None and (ops or not self._kept_final):
                    final = {"seq": self._seq, "run": run_state(view)}
            if ops:
                self._deliver(self._send, ops_message(self._seq, ops))
            if final is not None:
                self._kept_final = True
                self._deliver(self._keep, final)

    def receive(self, content: object) -> None:
        """Take a message of the page; what is none is ignored."""
        match parse_page_message(content):
            case {"type": "stop"}:
                self._deliver(self._send, ack_message())
                self._run.cancel()
            case {"type": "resync"}:
                self._resync()
            case {"type": "events", "offset": offset}:
                self._tell_events(offset)
            case {"type": "timeline"}:
                self._tell_timeline()
            case {"type": "decide", "approval_id": named, "approved": approved, **rest}:
                if self._decide is None:
                    _log.debug("A page answered for a run that takes no answer")
                    return
                self._deliver(self._send, ack_message("decide"))
                if "key" not in rest:
                    self._decide(named, approved)
                elif (displayed := self._pending(rest["key"])) is not None:
                    self._decide(displayed, approved)
                else:
                    # The page is to see what the run waits for by now, if anything.
                    self._resync()
            case _:
                _log.debug("A page sent something that is no message of its protocol")

    def close(self) -> None:
        """Stop listening and sending.  Safe to call twice."""
        with self._lock:
            self._closed = True
            self._stop_listening()

    def _pending(self, key: object) -> ApprovalRequested | None:
        """Return the approval of this key that the run waits for; None where it does not."""
        with self._run.lock:
            pending = self._run.view().transcript.pending_approvals
        return next((each for each in pending if approval_key(each) == key), None)

    def _changed(self) -> None:
        # Runs on the loop that drives the run.
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed or self._timer is not None:
                return
            wait = self._last + INTERVAL - loop.time()
            if wait <= 0:
                self._tick(loop)
            else:
                self._timer = loop.call_later(wait, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._timer = None
            self._last = loop.time()
            self.flush()

    def _view(self) -> RunView:
        view = self._run.view()
        return view if self._decide is None else replace(view, can_decide=True)

    def _resync(self) -> None:
        with self._lock:
            if not self._closed:
                self._deliver(self._send, snapshot_message(self.snapshot()))

    def _tell_events(self, offset: int) -> None:
        with self._lock:
            if self._closed:
                return
            with self._run.lock:
                events, times = self._run.events, self._run.event_times
            self._deliver(self._send, events_message(events, times, offset=offset))

    def _tell_timeline(self) -> None:
        with self._lock:
            if self._closed:
                return
            with self._run.lock:
                events, times = self._run.events, self._run.event_times
                took = self._run.view().took
            self._deliver(self._send, timeline_message(events, times, took=took))

    def _deliver(self, way: Callable[[Any], None], content: Mapping[str, Any]) -> None:
        try:
            way(content)
        except Exception:
            # The comm may be gone; a page that is still there sees the gap and asks.
            _log.debug("A run's page could not be told", exc_info=True)

    def _stop_listening(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
