"""`HistoryWidget`, a table to search and sort the history and to open runs, as a Jupyter widget."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final, cast

from agentnb._loop import submit
from agentnb.errors import AgentnbError
from agentnb.event.types import Event
from agentnb.render import RunView
from agentnb.store.recent import recent_runs
from agentnb.store.stored_run import StoredRun, load
from agentnb.tables import pages
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.history_protocol import (
    agents_message,
    history_state,
    opened_message,
    page_message,
    parse_history_message,
)
from agentnb.widgets.protocol import Snapshot, jsonable
from agentnb.widgets.publisher import Publisher, Send
from agentnb.widgets.run import ObservableRun, RunPublisher

_log = logging.getLogger(__name__)

# Runs that are open at once; beyond that the oldest one is closed.
_MAX_OPEN: Final = 12
_ELSEWHERE: Final = "It goes on in another kernel; this is how far it was recorded."


Find = Callable[[str], tuple[ObservableRun, bool]]


class HistoryPublisher(Publisher):
    """Answers the queries of pages, and publishes the runs that they open.

    ``find`` returns the run of a key, and whether it belongs to this process.
    """

    def __init__(self, query: pages.PageQuery, *, send: Send, find: Find) -> None:
        super().__init__(send)
        self._query = query
        self._find = find
        self._opened: dict[str, RunPublisher] = {}
        # Cancels the pending query of each page; used on the loop only.
        self._pending: dict[str, threading.Event] = {}

    def first(self) -> Mapping[str, Any]:
        found = pages.page(self._query)
        return {"seq": 0, "history": history_state(self._query, found, at=time.time())}

    def close(self) -> None:
        super().close()
        with self._lock:
            publishers = [*self._opened.values()]
            self._opened.clear()
        for publisher in publishers:
            publisher.close()

    def receive(self, content: object, buffers: Sequence[Any] = ()) -> None:
        match parse_history_message(content, like=self._query):
            case {"type": "page", "id": id, "query": query}:
                self._schedule(self._send_page(id, query))
            case {"type": "agents"}:
                self._schedule(self._send_agents())
            case {"type": "open", "run": key}:
                self._schedule(self._open_run(key))
            case {"type": "close", "run": key}:
                with self._lock:
                    publisher = self._opened.pop(key, None)
                if publisher is not None:
                    publisher.close()
            case {"type": "run", "turn": key, "message": message}:
                if (publisher := self._publisher(key)) is not None:
                    publisher.receive(message)
                else:
                    # Closed by another page, or for too many open ones.
                    self._schedule(self._open_run(key, message))
            case _:
                pass

    def _schedule(self, work: Coroutine[Any, Any, None]) -> None:
        # On the background loop, since a running cell blocks the kernel's.
        if self._closed:
            work.close()
        else:
            submit(work)

    async def _send_page(self, id: str, query: pages.PageQuery) -> None:
        cancelled = threading.Event()
        page_name = id.rpartition("-")[0]
        if (before := self._pending.get(page_name)) is not None:
            before.set()
        self._pending[page_name] = cancelled
        self._send_if_open({"type": "looking", "id": jsonable(id)})
        page, error = None, None
        try:
            page = await asyncio.to_thread(pages.page, query, given_up=cancelled.is_set)
        except Exception as problem:
            if cancelled.is_set():
                return
            if not isinstance(problem, AgentnbError):
                _log.exception("A page of the history could not be read")
            error = _error_text(problem)
        finally:
            if self._pending.get(page_name) is cancelled:
                del self._pending[page_name]
        if not cancelled.is_set():
            self._send_if_open(page_message(id, query, page, at=time.time(), error=error))

    async def _send_agents(self) -> None:
        try:
            names = await asyncio.to_thread(pages.agent_names)
        except Exception:
            # The page then offers the agents of its rows, and the rows report the error.
            _log.debug("The agents of the history could not be read", exc_info=True)
            return
        self._send_if_open(agents_message(names))

    async def _open_run(self, key: str, message: object = None) -> None:
        """Open a run and send its state; or, with a ``message`` for it, reopen and handle that."""
        try:
            run, live = await asyncio.to_thread(self._find, key)
            first = self._publish(key, run)
        except Exception as error:
            if not isinstance(error, AgentnbError):
                _log.exception("A run of the history could not be opened")
            self._send_if_open(opened_message(key, None, live=False, error=_error_text(error)))
            return
        if first is None:
            return
        if message is None:
            self._send_if_open(opened_message(key, first, live=live))
        elif (publisher := self._publisher(key)) is not None:
            publisher.receive(message)

    def _publisher(self, key: str) -> RunPublisher | None:
        with self._lock:
            return self._opened.get(key)

    def _publish(self, key: str, run: ObservableRun) -> Snapshot | None:
        """Start publishing a run and return its state; None if the widget is closed."""
        with self._lock:
            if self._closed:
                return None
            publisher = self._opened.get(key)
            if publisher is not None:
                return publisher.snapshot()
            publisher = RunPublisher(run, send=self._send_if_open, turn=key)
            first = publisher.first()
            self._opened[key] = publisher
            excess = list(self._opened)[: len(self._opened) - _MAX_OPEN]
            dropped = [self._opened.pop(old) for old in excess]
        for old in dropped:
            old.close()
        publisher.start()
        if self._publisher(key) is not publisher:
            # Closed before it was started.
            publisher.close()
        return first

    def _send_if_open(self, message: Mapping[str, Any]) -> None:
        if not self._closed:
            self._send(message)


class HistoryWidget(AgentWidget):
    """Table of the runs that match ``query``, page by page; the user may change the query.

    The trait ``snapshot``, ``{seq, history: ...}``, holds the first page; messages are described in
    `history_protocol`.  The database is read outside the kernel's threads.  ``bundle`` is the
    static rendering.

    Raises:
        HistoryError: the history cannot be read.
    """

    def __init__(
        self,
        query: pages.PageQuery | None = None,
        *,
        bundle: Mapping[str, str] | None = None,
        find: Find | None = None,
    ) -> None:
        publisher = HistoryPublisher(
            query or pages.PageQuery(), send=self._send_message, find=find or find_run
        )
        super().__init__("history", publisher, bundle=lambda: bundle or {})


def find_run(key: str) -> tuple[ObservableRun, bool]:
    """Return the run of a row, and whether it belongs to this process.

    Raises:
        HistoryError: it no longer exists.
    """
    for run in reversed(recent_runs()):
        if getattr(run, "local_id", None) == key:
            return cast("ObservableRun", run), True
    return _UnchangingRun(load(key)), False


class _UnchangingRun:
    """A stored run as an `ObservableRun`."""

    waiting = None

    def __init__(self, run: StoredRun) -> None:
        self._run = run

    @property
    def lock(self) -> AbstractContextManager[Any]:
        return nullcontext()

    @property
    def events(self) -> Sequence[Event]:
        return self._run.events

    @property
    def event_times(self) -> Sequence[float]:
        return self._run.event_times

    def view(self) -> RunView:
        view = self._run.view()
        is_live = not view.transcript.is_final and view.transcript.status != "paused"
        return replace(view, notice=_ELSEWHERE) if is_live else view

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def cancel(self) -> None:
        pass


def _error_text(error: Exception) -> str:
    # The texts of other exceptions are unbounded, and may contain anything.
    text = str(error) if isinstance(error, AgentnbError) else ""
    return text or type(error).__name__
