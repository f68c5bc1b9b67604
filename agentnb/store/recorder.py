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
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from agentnb._support.fork import after_fork_in_child, keep_forever, undisturbed
from agentnb.errors import HistoryWarning
from agentnb.recording.base_run import RunFacts
from agentnb.store.entries import Entry
from agentnb.store.processes import HEARTBEAT, process_id
from agentnb.store.writer import Writer

if TYPE_CHECKING:
    from agentnb.store.store import Store

__all__ = ["flush", "forget", "leaving", "process_id", "record"]

_log = logging.getLogger(__name__)

# For how long what arrives is gathered before it is written, in seconds.
_GATHER: Final = 0.25
# The same where a run begins: one that ends at once is written in one transaction.
_GATHER_BEGUN: Final = 0.02
# Writing takes at most one part in so many of a process's time.
_SHARE: Final = 5
# Loading what a database needs takes as long as all that the first run needs to be sent and seen,
# which goes first, for so long.
_BEFORE_OPENING: Final = 1.0
# How long to wait after a failure, and at most after many, in seconds.
_RETRY: Final = 1.0
_RETRY_AT_MOST: Final = 60.0
# How often a store is opened again in one turn, whose files were removed.
_REOPENED: Final = 3
# Runs that have ended and are kept for a store that fails.
_KEPT: Final = 1000
# How long the end of the process is held up at most, in seconds: opening a store takes several on a
# busy machine.
_AT_EXIT: Final = 20.0
# One who was warned is not warned of the same again so soon, in seconds.
_QUIET: Final = 600.0


@runtime_checkable
class _Heard(Protocol):
    """A run that tells when something new has come."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]: ...


class _Recorder(Writer):
    """The writer of one process, with its thread."""

    def __init__(self) -> None:
        super().__init__()
        # Kept by their runs' listeners.
        self._entries: WeakValueDictionary[str, Entry] = WeakValueDictionary()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        # There is something to write; it is to be written at once, and without waiting for a run
        # that only began to end; somebody waits for it.
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._ended = threading.Event()
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
                self._ended.set()
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
            for event in (self._awaited, self._ended, self._urgent, self._wake):
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
            # Its first turn imports much.
            with undisturbed():
                try:
                    done = self._turn()
                except Exception as error:
                    # Whatever happens, the thread goes on.
                    with suppress(Exception):
                        self._failed(error)
            with self._told:
                self._done = (number, done)
                self._told.notify_all()
            if done and self._store is not None:
                # Nobody waits for it any more.
                with suppress(Exception):
                    self._store.write_back_in_time()
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
            if self._urgent.wait(_GATHER):
                self._ended.wait(_GATHER_BEGUN)
        for event in (self._awaited, self._ended, self._urgent, self._wake):
            event.clear()

    def _turn(self) -> bool:
        """Write all that is due; return whether that went well, and others can see it."""
        self._gather()
        for _ in range(_REOPENED):
            if (store := self._opened()) is None:
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
            # The last one to close it brings the log of SQLite into the file.
            store.close()
        return True

    def _opened(self) -> Store | None:
        from agentnb.store.store import is_off, reopen, store

        opened = store()
        if opened is not None and opened is self._left:
            return None  # another one is about to take its place
        lost = opened if opened is not None and opened.is_lost else None
        is_moved = lost is not None and lost.is_moved
        if lost is not None:
            opened = reopen(lost)
        if opened is not self._store:
            self._store = opened
            self._begin_anew()
            if lost is not None and opened is not None:
                self._restore(opened, is_moved=is_moved)
            else:
                self._written.clear()
        if opened is None:
            self._failures = 0 if is_off() else self._failures + 1
            if is_off():
                self._due.clear()
                self._live.clear()
            self._drop()
        return opened

    def _failed(self, error: Exception) -> None:
        """Keep what is due for later, and say so once."""
        _log.info("Runs could not be written", exc_info=error)
        self._failures += 1
        # What was being written may be there or not.
        self._begin_anew()
        self._drop()
        if isinstance(error, HistoryWarning) or not self._may_warn():
            return  # that was it, where warnings are errors
        problem = f"Runs cannot be recorded: {type(error).__name__}."
        if self._store is not None:
            from agentnb.store.failures import explained

            problem = str(explained(error, self._store.url))
        self._warn(f"{problem} Runs go on, and are written when the store can be used again.")

    def _may_warn(self) -> bool:
        """Return whether the last warning of the store is long ago; if so, another one is given."""
        moment = time.monotonic()
        if self._warned_at is not None and moment - self._warned_at < _QUIET:
            return False
        self._warned_at = moment
        return True

    def _restore(self, store: Store, *, is_moved: bool) -> None:
        """Have the runs written again that were in a log that was removed.

        A database that was moved, or deleted, is the user's: what was in it is left to them.
        """
        known = len(self._written)
        if is_moved:
            self._written.clear()
            said = "was moved or replaced while it was in use. Runs are recorded in the one there."
        elif self.write_again(store):
            said = f"lost its log, and the last {known} runs of this process are written again."
        else:
            return
        if known and self._may_warn():
            self._warn(f"The store of runs {store.url} {said}")

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


def forget(keys: Iterable[str]) -> None:
    """Never write runs again that were deleted from the store, by their `RunFacts.local_id`."""
    _recorder.forget(keys)


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
    # Nothing that goes wrong now can be acted on; a second Ctrl-C only ends the wait.
    with suppress(Exception, KeyboardInterrupt):
        _recorder.flush(_AT_EXIT, ending=True)


def _after_fork() -> None:
    # The child has neither the thread nor the runs; its own ones begin with nothing.
    global _recorder
    keep_forever(_recorder)
    _recorder = _Recorder()


# Registered before `leaving` registers what cancels the runs, and so called after that.
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
after_fork_in_child(_after_fork)
