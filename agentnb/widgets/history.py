"""`HistoryWidget`: the history as a table to search, sort and open runs in, as a Jupyter widget."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final, Protocol, cast

from agentnb._loop import submit
from agentnb.errors import AgentnbError, HistoryError
from agentnb.event.types import Event
from agentnb.render import RunView
from agentnb.store.recent import recent_runs
from agentnb.tables import pages
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.controller import LiveRun, RunPublisher
from agentnb.widgets.history_protocol import (
    agents_message,
    history_state,
    looking_message,
    opened_message,
    page_message,
    parse_history_message,
)
from agentnb.widgets.protocol import Snapshot

__all__ = ["HistoryWidget", "StoredLike", "find_run"]

_log = logging.getLogger(__name__)

# The runs that pages have open at once; the one opened first goes.
_OPEN: Final = 12
_ELSEWHERE: Final = "It goes on in another kernel; this is how far it was recorded."


class StoredLike(Protocol):
    """What is needed of a run that was recorded."""

    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def event_times(self) -> Sequence[float]: ...
    def view(self) -> RunView: ...


class HistoryWidget(AgentWidget):
    """Shows the runs that ``query`` finds, a page at a time; the page may ask for others.

    The trait ``snapshot``, ``{seq, history: ...}``, holds the first page; what is asked for later
    goes by messages, see `history_protocol`.  A run that is opened goes by the messages of any
    run's view, each in an envelope, ``{type: "run", turn: key, message}``.  The database is read on
    other threads than the kernel's.  ``bundle`` is what stands for the view elsewhere.

    ``find`` returns the run of a key, and whether it is of this process.

    Raises:
        HistoryError: the history cannot be read.
    """

    def __init__(
        self,
        query: pages.PageQuery | None = None,
        *,
        bundle: Mapping[str, str] | None = None,
        find: Callable[[str], tuple[LiveRun, bool]] | None = None,
    ) -> None:
        self._query = query or pages.PageQuery()
        self._bundle = dict(bundle or {})
        self._find = find or find_run
        self._lock = threading.Lock()
        self._opened: dict[str, RunPublisher] = {}
        # What each page waits for, by the page's own name; of the loop alone.
        self._looking: dict[str, threading.Event] = {}
        self._closed = False
        first = pages.page(self._query)
        state = history_state(self._query, first, at=time.time())
        super().__init__(kind="history", snapshot={"seq": 0, "history": state})

    def close(self) -> None:
        """Take the view away.  Runs that go on are left alone."""
        # Also called for a widget that is being torn down half made.
        if hasattr(self, "_opened"):
            with self._lock:
                self._closed = True
                publishers = [*self._opened.values()]
                self._opened.clear()
            for publisher in publishers:
                publisher.close()
        super().close()

    # -- what the page says ----------------------------------------------------------------------

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        match parse_history_message(content, like=self._query):
            case {"type": "page", "id": id, "query": query}:
                self._later(self._tell_page(id, query))
            case {"type": "agents"}:
                self._later(self._tell_agents())
            case {"type": "open", "run": key}:
                self._later(self._open_run(key))
            case {"type": "close", "run": key}:
                with self._lock:
                    publisher = self._opened.pop(key, None)
                if publisher is not None:
                    publisher.close()
            case {"type": "run", "turn": key, "message": message}:
                with self._lock:
                    publisher = self._opened.get(key)
                if publisher is not None:
                    publisher.receive(message)
                else:
                    # Another page closed it, or many have been opened since.
                    self._later(self._open_run(key, message))
            case _:
                _log.debug("A page sent something that is no message of its protocol")

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        # On agentnb's own loop: a cell that runs meanwhile holds up the kernel's.
        if self._closed:
            work.close()
        else:
            submit(work)

    async def _tell_page(self, id: str, query: pages.PageQuery) -> None:
        given_up = threading.Event()
        asker = id.rpartition("-")[0]
        if (before := self._looking.get(asker)) is not None:
            before.set()
        self._looking[asker] = given_up
        self._tell(looking_message(id))
        found, error = None, None
        try:
            found = await asyncio.to_thread(pages.page, query, given_up=given_up.is_set)
        except Exception as problem:
            if given_up.is_set():
                return
            if not isinstance(problem, AgentnbError):
                _log.exception("A page of the history could not be read")
            error = _said(problem)
        finally:
            if self._looking.get(asker) is given_up:
                del self._looking[asker]
        if not given_up.is_set():
            self._tell(page_message(id, query, found, at=time.time(), error=error))

    async def _tell_agents(self) -> None:
        try:
            names = await asyncio.to_thread(pages.agent_names)
        except Exception:
            # The page then offers those that its rows have; the rows say what is the matter.
            _log.debug("The agents of the history could not be read", exc_info=True)
            return
        self._tell(agents_message(names))

    async def _open_run(self, key: str, message: object = None) -> None:
        """Open a run and say so; or, with a ``message`` of its view, open it anew and take that."""
        try:
            run, live = await asyncio.to_thread(self._find, key)
            first = self._publish(key, run)
        except Exception as error:
            if not isinstance(error, AgentnbError):
                _log.exception("A run of the history could not be opened")
            self._tell(opened_message(key, None, live=False, error=_said(error)))
            return
        if first is None:
            return
        if message is None:
            self._tell(opened_message(key, first, live=live))
            return
        with self._lock:
            publisher = self._opened.get(key)
        if publisher is not None:
            publisher.receive(message)

    def _publish(self, key: str, run: LiveRun) -> Snapshot | None:
        """Begin to tell of a run and return its state; None where the widget is closed."""
        with self._lock:
            # While the run was looked for.
            if self._closed:
                return None
            publisher = self._opened.get(key)
            if publisher is not None:
                return publisher.snapshot()
            publisher = RunPublisher(
                run,
                send=lambda message: self._tell({"type": "run", "turn": key, "message": message}),
                keep=_keep_nothing,
            )
            first = publisher.first()
            self._opened[key] = publisher
            gone = [
                self._opened.pop(old) for old in list(self._opened)[: len(self._opened) - _OPEN]
            ]
        for old in gone:
            old.close()
        publisher.start()
        with self._lock:
            is_open = self._opened.get(key) is publisher
        if not is_open:
            # Closed before it listened.
            publisher.close()
        return first

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self._closed:
            return
        try:
            self._send_message(message)
        except Exception:
            # The comm may be gone; a page that is still there asks again.
            _log.debug("A page of the history could not be told", exc_info=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        made = cast("Any", super())._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        data, metadata = cast("tuple[dict[str, Any], dict[str, Any]]", made)
        # For viewers without a kernel, and without a widget manager.
        return {**data, **self._bundle}, metadata


def find_run(key: str) -> tuple[LiveRun, bool]:
    """Return the run of a row, and whether it is of this process.

    Raises:
        HistoryError: it is not known any more.
    """
    for run in reversed(recent_runs()):
        if getattr(run, "local_id", None) == key:
            return cast("LiveRun", run), True
    try:
        from agentnb.store.stored_run import load
    except ImportError:
        raise HistoryError("The run's transcript is not in this process any more.") from None
    return _Still(cast("StoredLike", load(key))), False


class _Still:
    """A recorded run, which says nothing new."""

    def __init__(self, run: StoredLike) -> None:
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

    @property
    def waiting(self) -> None:
        return None

    def view(self) -> RunView:
        view = self._run.view()
        going = not view.transcript.is_final and view.transcript.status != "paused"
        return replace(view, notice=_ELSEWHERE) if going else view

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def cancel(self) -> None:
        pass


def _keep_nothing(snapshot: Snapshot) -> None:
    """Keep no end: what the notebook keeps is the list, and its runs are in the history."""


def _said(error: Exception) -> str:
    # An exception that is not our own may say anything, and at any length.
    told = str(error) if isinstance(error, AgentnbError) else type(error).__name__
    return told or type(error).__name__
