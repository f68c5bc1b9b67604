"""Every run of this process written to the store, while it streams.

A run only says that there is something new of it.  One thread, the only one that writes, gathers
that for a moment and writes what is new of all runs in one transaction.  Nothing that goes wrong
with the store reaches a run: what could not be written stays due and is tried again.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from agentnb._fork import after_fork_in_child, keep_forever
from agentnb.errors import HistoryWarning
from agentnb.facts import RunFacts
from agentnb.history.entries import Entry, is_of_one_run, prepare
from agentnb.history.processes import HEARTBEAT, end_process, process_id, write_process

if TYPE_CHECKING:
    from agentnb.history.store import Store

__all__ = ["flush", "leaving", "process_id", "record"]

_log = logging.getLogger(__name__)

# For how long what arrives is gathered before it is written, in seconds.
_GATHER: Final = 0.25
# Of the time of a process, writing takes at most one part in so many.
_SHARE: Final = 5
# Loading what a database needs takes as long as all that the first run needs to be sent and seen,
# which goes first, for so long.
_BEFORE_OPENING: Final = 1.0
# How long to wait after a failure, and at most after many, in seconds.
_RETRY: Final = 1.0
_RETRY_AT_MOST: Final = 60.0
# Runs in one transaction.
_AT_ONCE: Final = 500
# Runs that have ended and are kept for a store that fails.
_KEPT: Final = 1000
# How long the end of the process is held up at most, in seconds.
_AT_EXIT: Final = 5.0
# One who was warned is not warned of the same again so soon, in seconds.
_QUIET: Final = 600.0


@runtime_checkable
class _Heard(Protocol):
    """A run that tells when something new has come."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]: ...


class _Recorder:
    """The writer of one process: its thread, and what is due."""

    def __init__(self) -> None:
        self._queue: deque[Entry] = deque()
        # Kept by their runs' listeners.
        self._entries: WeakValueDictionary[str, Entry] = WeakValueDictionary()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        # There is something to write; it is to be written at once; somebody waits for it.
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._awaited = threading.Event()
        # Of flushes: the number asked for, the number done, and how the last one went.
        self._told = threading.Condition()
        self._asked = 0
        self._done = (0, True)
        self._ending = False
        # The store that is to be left, and the last one that was: nothing is written to it again.
        self._leaving: Store | None = None
        self._left: Store | None = None
        # From here on the thread's own.
        self._due: dict[Entry, None] = {}
        self._live: set[Entry] = set()
        self._store: Store | None = None
        self._epoch = 0
        self._seen_at: float | None = None
        self._failures = 0
        self._lost = 0
        self._warned_at: float | None = None

    # -- what runs and users call ----------------------------------------------------------------

    def record(self, run: RunFacts, *, instead_of: RunFacts | None = None) -> None:
        if not isinstance(run, _Heard) or not getattr(run, "durable", True):
            return
        replaced: tuple[str, ...] = ()
        if instead_of is not None:
            replaced = (instead_of.local_id,)
            if (old := self._entries.get(instead_of.local_id)) is not None:
                replaced += old.replaced
                old.close()
        entry = Entry(run, replaced)
        self._entries[run.local_id] = entry

        def heard() -> None:
            # Called for every batch of every run: as little as there can be.
            if not entry.queued:
                entry.queued = True
                self._queue.append(entry)
                self._wake.set()
            if run.done:
                self._urgent.set()

        entry.unsubscribe = run.subscribe(heard)
        heard()
        if self._store is not None:
            self._urgent.set()
        self._start()

    def flush(self, timeout: float, *, ending: bool = False) -> bool:
        if self._thread is None and not self._queue:
            return True
        self._start()
        with self._told:
            self._ending = self._ending or ending
            self._asked += 1
            number = self._asked
            for event in (self._awaited, self._urgent, self._wake):
                event.set()
            in_time = self._told.wait_for(lambda: self._done[0] >= number, timeout)
            return in_time and self._done[1]

    def leave(self, get: Callable[[], Store | None], timeout: float) -> None:
        """Write what is due to the store that ``get`` gives, and end this process in it."""
        if self._queue or self._due:
            # Which may open it first.
            self.flush(timeout)
        if (store := get()) is not None and store is self._store:
            self._leaving = store
            self.flush(timeout)

    def go_on(self) -> None:
        """Write the runs that go on to another store."""
        if self._live:
            self._wake.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                return
            # Whatever cell happens to start it: what it says is not that cell's output.
            serve = partial(contextvars.Context().run, self._serve)
            thread = threading.Thread(target=serve, name="agentnb-history", daemon=True)
            # At the very end of a process no thread begins any more.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    # -- the thread ------------------------------------------------------------------------------

    def _serve(self) -> None:
        rest = _BEFORE_OPENING
        while True:
            self._wait(rest)
            number, begun, done = self._asked, time.thread_time(), False
            try:
                done = self._turn()
            except Exception as error:
                # Whatever happens, the thread goes on.
                with suppress(Exception):
                    self._failed(error)
            with self._told:
                self._done = (number, done)
                self._told.notify_all()
            rest = (time.thread_time() - begun) * (_SHARE - 1)

    def _wait(self, rest: float) -> None:
        """Wait until something is to be written, and for more of it, unless it is urgent.

        At least ``rest`` seconds, or until it may be tried again, but for who waits for a flush.
        """
        if self._failures:
            rest = min(_RETRY * 2 ** (self._failures - 1), _RETRY_AT_MOST)
        if not self._awaited.wait(rest):
            if not self._due:
                self._wake.wait(HEARTBEAT if self._live else None)
            self._urgent.wait(_GATHER)
        for event in (self._awaited, self._urgent, self._wake):
            event.clear()

    def _turn(self) -> bool:
        """Write all that is due; return whether that went well."""
        self._gather()
        if (store := self._opened()) is None:
            return False
        ending = self._ending or store is self._leaving
        if ending:
            self._due |= dict.fromkeys(self._live)
        while True:
            entries = list(islice(self._due, _AT_ONCE))
            try:
                is_whole = self._write(store, entries, ending=ending)
            except Exception as error:
                if not is_of_one_run(error):
                    raise
                is_whole = self._write_each(store, entries, ending=ending)
            self._gather()
            if is_whole and (len(entries) < _AT_ONCE or not self._due):
                break
        self._failures = 0
        if ending:
            self._left = None if self._ending else store
            # The last one to close it brings the log of SQLite into the file.
            store.close()
        return True

    def _gather(self) -> None:
        while self._queue:
            entry = self._queue.popleft()
            # Before it is looked at: what comes from now on puts it there again.
            entry.queued = False
            self._due[entry] = None
            if not entry.run.done:
                self._live.add(entry)
        for entry in [entry for entry in self._due if entry.closed]:
            self._forget(entry)

    def _opened(self) -> Store | None:
        from agentnb.history.store import is_off, reopen, store

        opened = store()
        if opened is not None and opened is self._left:
            return None  # another one is about to take its place
        if opened is not None and opened.is_lost:
            opened = reopen(opened)
        if opened is not self._store:
            self._store = opened
            self._begin_anew()
        if opened is None:
            self._failures = 0 if is_off() else self._failures + 1
            if is_off():
                self._due.clear()
                self._live.clear()
            self._drop()
        return opened

    def _begin_anew(self) -> None:
        """Take it that nothing is known of what the store holds."""
        self._epoch += 1
        self._seen_at = None
        self._due |= dict.fromkeys(self._live)

    def _write(self, store: Store, entries: list[Entry], *, ending: bool) -> bool:
        """Write what is new of ``entries``; return False where all that goes on is due again."""
        from agentnb.history.writing import write

        moment, was_ended = time.monotonic(), False
        prepared = [prepare(entry, self._epoch, store, ending=ending) for entry in entries]
        is_due = self._seen_at is None or moment - self._seen_at >= HEARTBEAT
        if not (entries or ending or (is_due and self._live)):
            return True
        with store.begin() as connection:
            if is_due:
                was_ended = write_process(connection, store)
            write(connection, store, [one.written for one in prepared])
            if ending:
                end_process(connection)
        if is_due:
            self._seen_at = moment
        for one in prepared:
            one.keep(self._epoch)
            del self._due[one.entry]
            if one.entry.run.done:
                self._live.discard(one.entry)
            if one.is_over:
                one.entry.close()
        if was_ended:
            # Somebody took this process for gone, and its runs for interrupted.
            self._begin_anew()
            self._seen_at = moment
        return not was_ended

    def _write_each(self, store: Store, entries: list[Entry], *, ending: bool) -> bool:
        """Write every run by itself: one that cannot be written must not cost the others."""
        self._begin_anew()
        for entry in entries:
            try:
                self._write(store, [entry], ending=ending)
            except Exception as error:
                if not is_of_one_run(error):
                    raise
                _log.info("A run could not be written", exc_info=error)
                self._begin_anew()
                self._forget(entry)
                entry.close()
                self._warn(
                    f"The run {entry.run.id} is not recorded: {type(error).__name__} was raised."
                )
        return True

    def _failed(self, error: Exception) -> None:
        """Keep what is due for later, and say so once."""
        _log.info("Runs could not be written", exc_info=error)
        self._failures += 1
        # What was being written may be there or not.
        self._begin_anew()
        self._drop()
        moment = time.monotonic()
        if self._warned_at is not None and moment - self._warned_at < _QUIET:
            return
        self._warned_at = moment
        if isinstance(error, HistoryWarning):
            return  # that was it, where warnings are errors
        problem = f"Runs cannot be recorded: {type(error).__name__}."
        if self._store is not None:
            from agentnb.history.failures import explained

            problem = str(explained(error, self._store.url))
        self._warn(f"{problem} Runs go on, and are written when the store can be used again.")

    def _drop(self) -> None:
        """Let go of the oldest runs that ended, where too many wait for a store that fails."""
        ended = [entry for entry in self._due if entry.run.done]
        if len(ended) <= _KEPT:
            return
        for entry in ended[: len(ended) - _KEPT]:
            self._forget(entry)
            entry.close()
        if not self._lost:
            self._warn(f"More than {_KEPT} runs wait for the store; the oldest are not recorded.")
        self._lost += len(ended) - _KEPT

    def _forget(self, entry: Entry) -> None:
        self._due.pop(entry, None)
        self._live.discard(entry)

    def _warn(self, message: str) -> None:
        # Shown below the cell that runs, or ran last, since a thread has none of its own.
        from agentnb.history.failures import warn

        with suppress(HistoryWarning):
            warn(message)


_recorder = _Recorder()


def record(run: RunFacts, *, instead_of: RunFacts | None = None) -> None:
    """Write ``run`` as it goes on; it takes the place of ``instead_of`` where that is given.

    Returns at once.  A run that tells of nothing new, or is not `durable`, is left out.
    """
    _recorder.record(run, instead_of=instead_of)


def flush(timeout: float = 5.0) -> bool:
    """Wait until what has arrived so far is written, at most ``timeout`` seconds.

    Returns whether it is: False when it was not in time, the store fails, or history is off.
    """
    return _recorder.flush(timeout)


@contextmanager
def leaving(get: Callable[[], Store | None], timeout: float = 5.0) -> Generator[None]:
    """Have nothing written to the store that ``get`` gives in the block, nor after it.

    Before, what has arrived is written to it, and the runs that go on end there: they are written
    wholly to the store that takes its place.  Waits at most ``timeout`` seconds for either.
    """
    recorder = _recorder
    recorder.leave(get, timeout)
    try:
        yield
    finally:
        recorder.go_on()


def _at_exit() -> None:
    # Whatever goes wrong now, nobody is left who could act on it.
    with suppress(Exception):
        _recorder.flush(_AT_EXIT, ending=True)


def _after_fork() -> None:
    # The child has neither the thread nor the runs; its own ones begin with nothing.
    global _recorder
    keep_forever(_recorder)
    _recorder = _Recorder()


# Registered before `leaving` registers what cancels the runs, and so called after that.
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
after_fork_in_child(_after_fork)
