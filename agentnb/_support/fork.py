"""Keep a forked child process apart from its parent.

A child made by `os.fork` has a copy of its parent's memory, the same open sockets, and only the
thread that forked.  Locks may be held by threads that do not exist there, and whatever is read from
or written to a socket is taken from, or added to, what the parent exchanges.  So each owner of such
state registers here how the child replaces it: modules by `after_fork_in_child`, objects by
`renew_after_fork`.  Locks of others, such as those of Python's imports, cannot be replaced.  So a
fork waits for a moment in which no thread of this package holds any: an event loop is paused
between two steps (`pause_for_fork`), and what other threads do is `undisturbed`.  On systems
without `os.fork` nothing is ever called.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from agentnb._support.quiescence import Quiescence

__all__ = [
    "ForkAware",
    "HasSocket",
    "after_fork_in_child",
    "around_fork",
    "close_after_fork",
    "keep_forever",
    "pause_for_fork",
    "renew_after_fork",
    "renew_lock_after_fork",
    "undisturbed",
]

_log = logging.getLogger(__name__)


class ForkAware(Protocol):
    """An object with state that a forked child must not share with its parent."""

    def after_fork(self) -> None:
        """Replace that state; called in the child, before any other code of it."""
        ...


class HasSocket(Protocol):
    """A transport or stream of asyncio, anyio or httpcore."""

    def get_extra_info(self, name: str, /) -> Any:
        """Return its socket for the name ``socket``, None once it has none."""
        ...


class CanBePaused(Protocol):
    """An event loop of asyncio."""

    def call_soon_threadsafe(self, callback: Callable[[], None], /) -> object:
        """Call ``callback`` in the loop's thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        ...


# How long a fork waits for event loops at most, in seconds.
_PATIENCE: Final = 5.0
# How often it looks whether the thread of a loop has ended, in seconds.
_TICK: Final = 0.05

_callbacks: Final[list[Callable[[], None]]] = []
_objects: Final[WeakSet[ForkAware]] = WeakSet()
_locked: Final[WeakKeyDictionary[object, str]] = WeakKeyDictionary()
_sockets: Final[WeakSet[HasSocket]] = WeakSet()
_around: Final[list[tuple[Callable[[], None], Callable[[], None]]]] = []
_loops: Final[WeakKeyDictionary[threading.Thread, CanBePaused]] = WeakKeyDictionary()
_pauses: Final[list[_Pause]] = []
_quiescence = Quiescence()
# The parent's objects.  Freeing one could close a TLS session or unregister a socket from the event
# poll object that both processes share, so the child never does.
_kept: Final[list[object]] = []


def after_fork_in_child(callback: Callable[[], None]) -> None:
    """Call ``callback`` in each forked child, after the objects were renewed."""
    _callbacks.append(callback)


def renew_after_fork(owner: ForkAware) -> None:
    """Call the `after_fork` method of ``owner`` in each forked child, as long as it exists."""
    _objects.add(owner)


def renew_lock_after_fork(owner: object, attribute: str = "_lock") -> None:
    """Replace the lock of ``owner`` by a new one in each forked child, as long as it exists."""
    _locked[owner] = attribute


def close_after_fork(stream: HasSocket) -> None:
    """Close the child's copy of the stream's socket; the parent's connection is not affected.

    Otherwise the other end would not see the parent close it until the child ends, too.
    """
    _sockets.add(stream)


def keep_forever(*objects: object) -> None:
    """Keep the parent's ``objects`` from being freed in this child."""
    _kept.extend(objects)


def around_fork(before: Callable[[], None], after_in_parent: Callable[[], None]) -> None:
    """Call ``before`` in the forking thread before each fork, and the other afterwards."""
    _around.append((before, after_in_parent))


def pause_for_fork(loop: CanBePaused, thread: threading.Thread) -> None:
    """Pause the event loop ``loop``, which runs in ``thread``, while another thread forks."""
    _loops[thread] = loop


@contextmanager
def undisturbed() -> Generator[None]:
    """Have forks of other threads wait for the end of the block, for a few seconds."""
    if threading.current_thread() in _loops:
        yield  # it is paused only after the block
        return
    with _quiescence.use():
        yield


class _Pause:
    """One event loop that is not to go on until the process is forked."""

    def __init__(self, loop: CanBePaused, thread: threading.Thread) -> None:
        self._thread = thread
        self._begun = threading.Event()
        self.end = threading.Event()
        with suppress(RuntimeError):  # closed
            loop.call_soon_threadsafe(self._pause)

    def _pause(self) -> None:
        self._begun.set()
        self.end.wait(_PATIENCE)

    def wait(self, until: float) -> None:
        """Wait until it has begun, or will not."""
        while self._thread.is_alive() and (left := until - time.monotonic()) > 0:
            if self._begun.wait(min(left, _TICK)):
                break


def _before_fork() -> None:
    # Before the loops are paused, which other threads may wait for.
    _quiescence.begin_fork()
    this = threading.current_thread()
    _pauses[:] = [
        _Pause(loop, thread)
        for thread, loop in list(_loops.items())
        if thread is not this and thread.is_alive()
    ]
    until = time.monotonic() + _PATIENCE
    for pause in _pauses:
        pause.wait(until)
    for before, _ in reversed(_around):
        before()


def _after_fork_in_parent() -> None:
    for _, after in _around:
        after()
    for pause in _pauses:
        pause.end.set()
    _pauses.clear()
    _quiescence.end_fork()


def _after_fork() -> None:
    global _quiescence
    _quiescence = Quiescence()
    _loops.clear()
    keep_forever(*_pauses)
    _pauses.clear()
    _close_sockets()
    for owner, attribute in list(_locked.items()):
        # Reentrant, which serves where a plain lock did, too.
        setattr(owner, attribute, threading.RLock())
    for renew in (*(owner.after_fork for owner in list(_objects)), *_callbacks):
        try:
            renew()
        except Exception:
            # The others must be renewed all the same.
            _log.exception("A forked process could not replace what it shares with its parent")


def _close_sockets() -> None:
    streams = list(_sockets)
    _sockets.clear()
    keep_forever(*streams)
    descriptors = [number for number in map(_descriptor, streams) if number >= 0]
    if not descriptors:
        return
    # The socket objects go on to name these numbers, and may be closed at the end of the process.
    # So the numbers stay taken, and refer to nothing.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in descriptors:
        os.dup2(nothing, number, inheritable=False)
    os.close(nothing)


def _descriptor(stream: HasSocket) -> int:
    try:
        found = stream.get_extra_info("socket")
        return -1 if found is None else int(found.fileno())
    except Exception:
        # A stream that is being closed may have no socket any more.
        return -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork
    )
