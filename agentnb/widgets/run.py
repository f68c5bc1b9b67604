"""Live view of one run: its widget, and what publishes the run to its page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Protocol

from agentnb.event.approvals import approval_key
from agentnb.event.types import ApprovalRequested, Event
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
from agentnb.widgets.publisher import Publisher, Send

_log = logging.getLogger(__name__)

Decide = Callable[[ApprovalRequested | str | None, bool, Any], None]

# Seconds between two messages: 25 per second look smooth, and stay far below Jupyter's limits.
INTERVAL: Final = 1 / 25


class ObservableRun(Protocol):
    """The interface of a run that `RunPublisher` needs.

    ``lock`` protects the transcript, ``events`` and their ``event_times``, in seconds since the
    request; it is not held by callbacks.  ``waiting`` is a pending reconnect or retry.  The
    duration of `view` is None until the run has ended.  `subscribe` calls back on an event loop
    after each change, and returns how to unsubscribe.  `cancel` is thread-safe.
    """

    @property
    def lock(self) -> AbstractContextManager[Any]: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def event_times(self) -> Sequence[float]: ...
    @property
    def waiting(self) -> Waiting | None: ...
    def view(self) -> RunView: ...
    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]: ...
    def cancel(self) -> None: ...


class RunPublisher(Publisher):
    """Publishes a run, at most 25 times a second.

    ``title`` replaces the run's own.  With a ``turn`` messages are wrapped as ``{type: "run", turn,
    message}``, for a page with several runs.

    ``decide`` takes the user's decision on a pending approval: the approval that was displayed (or
    its id, which may be None, if the page sends no key), whether it is granted, and its payload.
    It must return at once.  It is not called for an approval that has changed since it was
    displayed.  Without it the view has no buttons, and decisions are ignored.
    """

    interval = INTERVAL

    def __init__(
        self,
        run: ObservableRun,
        *,
        send: Send,
        keep: Send | None = None,
        decide: Decide | None = None,
        turn: str | None = None,
        title: str | None = None,
    ) -> None:
        super().__init__(send, keep)
        self.run = run
        self._decide = decide
        self._turn = turn
        self._title = title
        self._warning: str | None = None
        self._cursor = Cursor()
        self._has_kept = False

    def first(self) -> Snapshot:
        with self._lock, self.run.lock:
            view = self._view()
            self._has_kept = view.duration is not None
            # Without a pending retry, since this state is saved with the notebook.
            return {"seq": self._seq, "run": self._cursor.snapshot(view)}

    def warn(self, text: str) -> None:
        """Display a line above the run."""
        self._warning = text
        self.flush()

    def snapshot(self) -> Snapshot:
        """Return the current state, to be sent by the caller; also once closed.

        It counts as a message: if it is lost, the page sees a gap.
        """
        with self._lock, self.run.lock:
            self._seq += 1
            state = self._cursor.snapshot(self._view(), self.run.waiting)
            return {"seq": self._seq, "run": state}

    def start(self) -> None:
        with self._lock:
            self._unsubscribe = self.run.subscribe(self._on_change)
            self.flush()

    def flush(self) -> None:
        with self._lock:
            if self._closed:
                return
            final: Snapshot | None = None
            with self.run.lock:
                view = self._view()
                ops = self._cursor.ops(view, self.run.waiting)
                if ops:
                    self._seq += 1
                if self._keep and view.duration is not None and (ops or not self._has_kept):
                    final = {"seq": self._seq, "run": run_state(view)}
            if ops:
                self._send(self._wrapped(ops_message(self._seq, ops)))
            if self._keep and final is not None:
                self._has_kept = True
                self._keep(final)

    def receive(self, content: object, buffers: Sequence[Any] = ()) -> None:
        match parse_page_message(content):
            case {"type": "stop"}:
                self._send(self._wrapped({"type": "ack", "of": "stop"}))
                self.run.cancel()
            case {"type": "resync"}:
                self._resync()
            case {"type": "decide"} as decision:
                self._on_decision(decision)
            case {"type": "events" | "timeline"} as request:
                self._send_events(request)
            case _:
                pass

    def _on_decision(self, decision: Mapping[str, Any]) -> None:
        if self._decide is None:
            _log.debug("A page decided for a run that takes no decisions")
            return
        self._send(self._wrapped({"type": "ack", "of": "decide"}))
        if "key" not in decision:
            self._decide(decision["approval_id"], decision["approved"], decision.get("payload"))
            return
        with self.run.lock:
            pending = self.run.view().transcript.pending_approvals
        for approval in pending:
            if approval_key(approval) == decision["key"]:
                self._decide(approval, decision["approved"], decision.get("payload"))
                return
        # Display what is pending by now.
        self._resync()

    def _view(self) -> RunView:
        view = self.run.view()
        if self._title is not None:
            view = replace(view, title=self._title)
        if self._warning is not None:
            view = replace(view, notice=self._warning)
        return view if self._decide is None else replace(view, can_decide=True)

    def _wrapped(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._turn is None:
            return message
        return {"type": "run", "turn": self._turn, "message": message}

    def _resync(self) -> None:
        with self._lock:
            if not self._closed:
                self._send(self._wrapped({"type": "snapshot", **self.snapshot()}))

    def _send_events(self, request: Mapping[str, Any]) -> None:
        with self._lock:
            if self._closed:
                return
            with self.run.lock:
                events, times = self.run.events, self.run.event_times
                took = self.run.view().took
            if request["type"] == "events":
                message = events_message(events, times, offset=request["offset"])
            else:
                message = timeline_message(events, times, took=took)
            self._send(self._wrapped(message))


class RunWidget(AgentWidget):
    """Live view of a run.

    The trait ``snapshot`` holds the state when the widget is created, and finally the state at the
    run's end; changes in between are sent as messages.  Closing the widget does not stop the run.
    ``decide`` is that of `RunPublisher`.
    """

    def __init__(self, run: ObservableRun, *, decide: Decide | None = None) -> None:
        def bundle() -> dict[str, str]:
            with run.lock:
                view = run.view()
                return {"text/plain": to_text(view), "text/html": to_html(view)}

        publisher = RunPublisher(run, send=self._send_message, keep=self._keep, decide=decide)
        super().__init__("run", publisher, bundle=bundle)
        self._run_publisher = publisher

    def warn(self, text: str) -> None:
        """Display a line above the run."""
        self._run_publisher.warn(text)
