"""Live view of one run: its widget, and what publishes the run to its page."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Protocol

from agentnb.event.types import ApprovalRequested, Event, approval_key
from agentnb.recording.recording import Waiting
from agentnb.render import RunView, to_html, to_text
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.cursor import Cursor
from agentnb.widgets.protocol import (
    Snapshot,
    events_message,
    ops_message,
    parse_page_message,
    run_state,
    timeline_message,
)

__all__ = ["INTERVAL", "ObservableRun", "RunPublisher", "RunWidget", "keep_nothing"]

_log = logging.getLogger(__name__)

# Seconds between two messages: 25 per second look smooth, and stay far below Jupyter's limits.
INTERVAL: Final = 1 / 25


class ObservableRun(Protocol):
    """The interface of a run that `RunPublisher` needs."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Lock of the transcript, of `events` and of `event_times`; not held by callbacks."""
        ...

    @property
    def events(self) -> Sequence[Event]:
        """All events so far, in order."""
        ...

    @property
    def event_times(self) -> Sequence[float]:
        """Arrival times of `events`, in seconds since the request."""
        ...

    @property
    def waiting(self) -> Waiting | None:
        """The reconnect or retry that the run waits for, if any."""
        ...

    def view(self) -> RunView:
        """Return the current state; its ``duration`` is None until the run has ended."""
        ...

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` on an event loop after each change; return how to unsubscribe."""
        ...

    def cancel(self) -> None:
        """Cancel the run, from any thread."""
        ...


def keep_nothing(snapshot: Snapshot) -> None:
    """Keep no final snapshot: the ``keep`` of views that are not saved with the notebook."""


class RunPublisher:
    """Sends a run's changes to a page, at most 25 times a second, and handles its messages.

    ``send`` sends a message to the page and ``keep`` stores the final snapshot; their exceptions
    are logged and never reach the run.  `receive` and `close` are thread-safe.  ``title`` replaces
    the run's own.

    ``decide`` takes the user's decision on a pending approval: the approval that was displayed (or
    its id, which may be None, if the page sends no key), and whether it is granted.  It must return
    at once.  It is not called for an approval that has changed since it was displayed.  Without it
    the view has no buttons, and decisions are ignored.
    """

    def __init__(
        self,
        run: ObservableRun,
        *,
        send: Callable[[Mapping[str, Any]], None],
        keep: Callable[[Snapshot], None],
        decide: Callable[[ApprovalRequested | str | None, bool], None] | None = None,
        title: str | None = None,
    ) -> None:
        self._run = run
        self._decide = decide
        self._title = title
        self._send = send
        self._keep = keep
        # Held while a message is built and sent, so that messages leave in order.
        self._lock = threading.RLock()
        self._cursor = Cursor()
        self._seq = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")
        self._has_kept = False
        self._closed = False
        self._unsubscribe: Callable[[], None] | None = None

    def first(self) -> Snapshot:
        """Return the initial state; to be called once, before `start`."""
        with self._lock, self._run.lock:
            view = self._view()
            self._has_kept = view.duration is not None
            # Without a pending retry, since this state is saved with the notebook.
            return {"seq": self._seq, "run": self._cursor.snapshot(view)}

    def snapshot(self) -> Snapshot:
        """Return the current state, to be sent by the caller; also once closed.

        It counts as a message: if it is lost, the page sees a gap.
        """
        with self._lock, self._run.lock:
            self._seq += 1
            state = self._cursor.snapshot(self._view(), self._run.waiting)
            return {"seq": self._seq, "run": state}

    def start(self) -> None:
        """Subscribe to the run, and send the changes since `first`."""
        with self._lock:
            self._unsubscribe = self._run.subscribe(self._on_change)
            self.flush()

    def flush(self) -> None:
        """Send all changes now."""
        with self._lock:
            if self._closed:
                return
            final: Snapshot | None = None
            with self._run.lock:
                view = self._view()
                ops = self._cursor.ops(view, self._run.waiting)
                if ops:
                    self._seq += 1
                if view.duration is not None and (ops or not self._has_kept):
                    final = {"seq": self._seq, "run": run_state(view)}
            if ops:
                self._deliver(self._send, ops_message(self._seq, ops))
            if final is not None:
                self._has_kept = True
                self._deliver(self._keep, final)

    def receive(self, content: object) -> None:
        """Handle a message of the page; invalid ones are ignored."""
        match parse_page_message(content):
            case {"type": "stop"}:
                self._deliver(self._send, {"type": "ack", "of": "stop"})
                self._run.cancel()
            case {"type": "resync"}:
                self._resync()
            case {"type": "events", "offset": offset}:
                self._send_record(lambda e, t, took: events_message(e, t, offset=offset))
            case {"type": "timeline"}:
                self._send_record(lambda e, t, took: timeline_message(e, t, took=took))
            case {"type": "decide"} as decision:
                self._on_decision(decision)
            case _:
                _log.debug("A page sent a message that is not part of the protocol")

    def close(self) -> None:
        """Unsubscribe and send nothing more; idempotent."""
        with self._lock:
            self._closed = True
            if self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None

    def _on_decision(self, decision: Mapping[str, Any]) -> None:
        if self._decide is None:
            _log.debug("A page decided for a run that takes no decisions")
            return
        self._deliver(self._send, {"type": "ack", "of": "decide"})
        if "key" not in decision:
            self._decide(decision["approval_id"], decision["approved"])
            return
        with self._run.lock:
            pending = self._run.view().transcript.pending_approvals
        for approval in pending:
            if approval_key(approval) == decision["key"]:
                self._decide(approval, decision["approved"])
                return
        # Display what is pending by now.
        self._resync()

    def _on_change(self) -> None:
        # Called on the loop that drives the run.
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
        if self._title is not None:
            view = replace(view, title=self._title)
        return view if self._decide is None else replace(view, can_decide=True)

    def _resync(self) -> None:
        with self._lock:
            if not self._closed:
                self._deliver(self._send, {"type": "snapshot", **self.snapshot()})

    def _send_record(
        self, message: Callable[[Sequence[Event], Sequence[float], float], Mapping[str, Any]]
    ) -> None:
        """Send a message made of the run's events, their times and its elapsed seconds."""
        with self._lock:
            if self._closed:
                return
            with self._run.lock:
                events, times = self._run.events, self._run.event_times
                took = self._run.view().took
            self._deliver(self._send, message(events, times, took))

    def _deliver(self, function: Callable[[Any], None], content: Mapping[str, Any]) -> None:
        try:
            function(content)
        except Exception:
            # The comm may be closed; an open page sees the gap and asks for a snapshot.
            _log.debug("A message could not be sent to a run's page", exc_info=True)


class RunWidget(AgentWidget):
    """Live view of a run.

    The trait ``snapshot`` holds the state when the widget is created, and finally the state at the
    run's end; changes in between are sent as messages.  Closing the widget does not stop the run.
    """

    def __init__(self, run: ObservableRun) -> None:
        self._run = run
        self._publisher = RunPublisher(run, send=self._send_message, keep=self._keep)
        super().__init__(kind="run", snapshot=self._publisher.first())
        self._publisher.start()

    def close(self) -> None:
        """Remove the view; the run goes on."""
        # Also called on an instance whose constructor failed.
        publisher: RunPublisher | None = getattr(self, "_publisher", None)
        if publisher is not None:
            publisher.close()
        super().close()

    def _keep(self, snapshot: Snapshot) -> None:
        self.snapshot = dict(snapshot)

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        self._publisher.receive(content)

    def _fallback(self) -> Mapping[str, str]:
        with self._run.lock:
            view = self._run.view()
            return {"text/plain": to_text(view), "text/html": to_html(view)}
