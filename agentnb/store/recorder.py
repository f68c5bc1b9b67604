"""Recording of every run of this process in the store, while it streams.

A run only notifies the recorder that it has something new.  One thread, the only one that writes,
collects for a moment and then writes what is new of all runs in one transaction.  Failures of the
store never reach a run: what could not be written stays due and is retried.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from agentnb._support.fork import after_fork_in_child, keep_forever, undisturbed
from agentnb.errors import HistoryWarning
from agentnb.recording.base_run import BaseRun
from agentnb.store.processes import HEARTBEAT
from agentnb.store.writer import Entry, Writer

if TYPE_CHECKING:
    from agentnb.store.store import Store

_log = logging.getLogger(__name__)

# How long new data is collected before it is written, in seconds.
_COLLECT: Final = 0.25
# The same at the start of a run: one that ends at once is written in one transaction.
_COLLECT_AT_START: Final = 0.02
# Writing takes at most one part in so many of a process's time.
_MAX_SHARE: Final = 5
# Importing the database takes as long as sending the first run and displaying its first event, so
# it starts so many seconds later.
_DELAY_BEFORE_OPENING: Final = 1.0
# Delay after a failure, doubled after each, in seconds.
_RETRY_DELAY: Final = 1.0
_MAX_RETRY_DELAY: Final = 60.0
# Times that a store whose files were removed is reopened in one turn.
_MAX_REOPENS: Final = 3
# Ended runs that wait for a store that fails.
_MAX_WAITING: Final = 1000
# Bound on the wait at the end of the process, in seconds: opening a store takes several on a busy
# machine.
_EXIT_TIMEOUT: Final = 20.0
# Interval between two warnings of the same kind, in seconds.
_WARNING_INTERVAL: Final = 600.0


class _Recorder(Writer):
    """The writer of one process, with its thread."""

    def __init__(self) -> None:
        super().__init__()
        # Entries are kept alive by the listeners of their runs.
        self._entries: WeakValueDictionary[str, Entry] = WeakValueDictionary()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        # There is something to write; it is to be written at once; without waiting for a run that
        # has just started to end; a flush waits.
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._ended = threading.Event()
        self._flushing = threading.Event()
        # Number of flushes requested; number done, and whether the last one succeeded.
        self._flushed = threading.Condition()
        self._requested = 0
        self._done = (0, True)
        self._ending = False
        # The store to leave, and the last one that was left: nothing is written to it again.
        self._leaving: Store | None = None
        self._left: Store | None = None
        # Used by the thread only.
        self._failures = 0
        self._lost = 0
        self._warned_at: float | None = None

    # -- called by runs and users ------------------------------------------------------------------

    def record(self, run: BaseRun, *, instead_of: BaseRun | None = None) -> None:
        if not run.durable:
            return
        replaced: tuple[str, ...] = ()
        if instead_of is not None:
            replaced = (instead_of.local_id,)
            if (old := self._entries.get(instead_of.local_id)) is not None:
                replaced += old.replaced
                old.close()
        entry = Entry(run, replaced)
        self._entries[run.local_id] = entry

        def notify() -> None:
            # Called for every batch of every run, so it does as little as possible.
            if not entry.queued:
                entry.queued = True
                self._queue.append(entry)
                self._wake.set()
            if run.done:
                self._ended.set()
                self._urgent.set()

        entry.unsubscribe = run.subscribe(notify)
        notify()
        if self._store is not None:
            self._urgent.set()
        self._start()

    def flush(self, timeout: float, *, ending: bool = False) -> bool:
        if self._thread is None and not self._queue:
            return True
        self._start()
        with self._flushed:
            self._ending = self._ending or ending
            self._requested += 1
            number = self._requested
            for event in (self._flushing, self._ended, self._urgent, self._wake):
                event.set()
            in_time = self._flushed.wait_for(lambda: self._done[0] >= number, timeout)
            return in_time and self._done[1]

    def leave(self, get: Callable[[], Store | None], timeout: float) -> None:
        """Write what is due to the store that ``get`` returns, and end this process in it."""
        if self._queue or self._due:
            # Which may open it first.
            self.flush(timeout)
        if (store := get()) is not None and store is self._store:
            self._leaving = store
            self.flush(timeout)

    def resume(self) -> None:
        """Write the live runs to another store."""
        if self._live:
            self._wake.set()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is not None and self._thread.is_alive():
                return
            # In an empty context: its warnings are not output of the cell that starts it.
            serve = partial(contextvars.Context().run, self._serve)
            thread = threading.Thread(target=serve, name="agentnb-history", daemon=True)
            # No thread starts while the interpreter is finalized.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread
            _register_in_child()

    # -- the thread --------------------------------------------------------------------------------

    def _serve(self) -> None:
        rest = _DELAY_BEFORE_OPENING
        while True:
            self._wait(rest)
            number, started, done = self._requested, time.thread_time(), False
            # The first turn imports much.
            with undisturbed():
                try:
                    done = self._turn()
                except Exception as error:
                    # Whatever happens, the thread continues.
                    with suppress(Exception):
                        self._handle(error)
            with self._flushed:
                self._done = (number, done)
                self._flushed.notify_all()
            if done and self._store is not None:
                # After the flush, which does not wait for it.
                with suppress(Exception):
                    self._store.checkpoint_if_due()
            rest = (time.thread_time() - started) * (_MAX_SHARE - 1)

    def _wait(self, rest: float) -> None:
        """Wait for something to write, and for more of it, unless it is urgent.

        At least ``rest`` seconds, or until a retry is due, unless a flush waits.
        """
        if self._failures:
            rest = min(_RETRY_DELAY * 2 ** (self._failures - 1), _MAX_RETRY_DELAY)
        if not self._flushing.wait(rest):
            if not self._due:
                self._wake.wait(HEARTBEAT if self._live else None)
            if self._urgent.wait(_COLLECT):
                self._ended.wait(_COLLECT_AT_START)
        for event in (self._flushing, self._ended, self._urgent, self._wake):
            event.clear()

    def _turn(self) -> bool:
        """Write all that is due; return whether others can see it now."""
        self._take_queued()
        for _ in range(_MAX_REOPENS):
            if (store := self._open()) is None:
                return False
            ending = self._ending or store is self._leaving
            self.write_due(store, ending=ending)
            if not store.is_lost:
                break
        else:
            raise OSError("the files of the store are removed again and again")
        self._failures = 0
        if ending:
            self._left = None if self._ending else store
            # Closing the last connection writes SQLite's log back into the file.
            store.close()
        return True

    def _open(self) -> Store | None:
        from agentnb.store.store import is_off, reopen, store

        current = store()
        if current is not None and current is self._left:
            return None  # another one is about to replace it
        lost = current if current is not None and current.is_lost else None
        is_moved = lost is not None and lost.is_moved
        if lost is not None:
            current = reopen(lost)
        if current is not self._store:
            self._store = current
            self._reset()
            if lost is not None and current is not None:
                self._restore(current, is_moved=is_moved)
            else:
                self._written.clear()
        if current is None:
            self._failures = 0 if is_off() else self._failures + 1
            if is_off():
                self._due.clear()
                self._live.clear()
            self._drop_oldest()
        return current

    def _handle(self, error: Exception) -> None:
        """Keep what is due for a retry, and warn once."""
        _log.info("Runs could not be written", exc_info=error)
        self._failures += 1
        # The transaction may have been committed or not.
        self._reset()
        self._drop_oldest()
        if isinstance(error, HistoryWarning) or not self._may_warn():
            return  # it was the warning, where warnings are errors
        problem = f"Runs cannot be recorded: {type(error).__name__}."
        if self._store is not None:
            from agentnb.store.failures import explained

            problem = str(explained(error, self._store.url))
        self._warn(f"{problem} Runs go on, and are written when the store can be used again.")

    def _may_warn(self) -> bool:
        """Return whether the last warning about the store is long ago, and count this as one."""
        moment = time.monotonic()
        if self._warned_at is not None and moment - self._warned_at < _WARNING_INTERVAL:
            return False
        self._warned_at = moment
        return True

    def _restore(self, store: Store, *, is_moved: bool) -> None:
        """Write the runs again that were in a log that was removed.

        A database that the user moved or deleted is not restored.
        """
        count = len(self._written)
        if is_moved:
            self._written.clear()
            problem = "was moved or replaced while it was in use. Runs are recorded in the new one."
        elif self.write_missing(store):
            problem = f"lost its log, and the last {count} runs of this process are written again."
        else:
            return
        if count and self._may_warn():
            self._warn(f"The store of runs {store.url} {problem}")

    def _drop_oldest(self) -> None:
        """Drop the oldest ended runs where too many wait for a store that fails."""
        ended = [entry for entry in self._due if entry.run.done]
        excess = len(ended) - _MAX_WAITING
        if excess <= 0:
            return
        for entry in ended[:excess]:
            self._drop(entry)
            entry.close()
        if not self._lost:
            self._warn(
                f"More than {_MAX_WAITING} runs wait for the store; the oldest are not recorded."
            )
        self._lost += excess


_recorder = _Recorder()


def record(run: BaseRun, *, instead_of: BaseRun | None = None) -> None:
    """Write ``run`` while it streams; it replaces ``instead_of`` if given.

    Returns at once.  A run that has no listeners, or is not `durable`, is skipped.
    """
    _recorder.record(run, instead_of=instead_of)


def flush(timeout: float = 5.0) -> bool:
    """Wait until everything that has arrived is written, at most ``timeout`` seconds.

    Return whether it is: False after the timeout, where the store fails, or where history is off.
    """
    return _recorder.flush(timeout)


def forget(keys: Iterable[str]) -> None:
    """Never write runs again that were deleted from the store, by their `BaseRun.local_id`."""
    _recorder.forget(keys)


def use(url: str | Path | None) -> None:
    """Close this process's store and use another one.

    Everything that has arrived is written to the old store; live runs are ``interrupted`` there and
    written completely to the new one.  Waits seconds at most where the store does not respond.
    ``url`` is a path, ``sqlite:///path``, ``postgresql+psycopg://user@host/database``, or ``off``;
    None reads the environment and the configuration again.  The store is opened at its first use.

    Raises:
        HistoryError: ``url`` does not name a store.
    """
    from agentnb.store.location import place
    from agentnb.store.store import open_or_none, switch

    if url is not None:
        place(url)
    with leaving(open_or_none):
        switch(url)


@contextmanager
def leaving(get: Callable[[], Store | None], timeout: float = 5.0) -> Generator[None]:
    """Write nothing to the store that ``get`` returns in the block, nor after it.

    Before the block, everything that has arrived is written to it, and live runs end there: they
    are written completely to the next store.  Waits at most ``timeout`` seconds for either.
    """
    recorder = _recorder
    recorder.leave(get, timeout)
    try:
        yield
    finally:
        recorder.resume()


def _at_exit() -> None:
    # A failure can no longer be acted on; a second Ctrl-C ends only the wait.
    with suppress(Exception, KeyboardInterrupt):
        _recorder.flush(_EXIT_TIMEOUT, ending=True)


def _register_in_child() -> None:
    """Flush at the end of a child of multiprocessing, too, which does not call atexit."""
    if "multiprocessing.process" not in sys.modules:
        return
    from multiprocessing import parent_process, util

    if parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=0)


def _after_fork() -> None:
    # The child has neither the thread nor the runs.
    global _recorder
    keep_forever(_recorder)
    _recorder = _Recorder()


# Called after what cancels the runs, which is registered later.
atexit.register(_at_exit)
after_fork_in_child(_after_fork)
