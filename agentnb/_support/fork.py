"""Keep a forked child process apart from its parent.

A child made by `os.fork` has a copy of its parent's memory, the same open sockets, and only the
thread that forked.  Threads that do not exist in the child may hold locks, and both processes would
read from and write to the same sockets.  Each owner of such state therefore registers how the child
replaces it: modules with `after_fork_in_child`, objects with `renew_after_fork`.  Other locks, such
as Python's import locks, cannot be replaced, so a fork waits until no thread of this package holds
any: event loops pause between two steps (`pause_for_fork`), and other threads finish their
`undisturbed` blocks.  On systems without `os.fork` no callback is ever called.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

_log = logging.getLogger(__name__)


# Longest wait of a fork for other threads and for event loops, in seconds.
_MAX_WAIT: Final = 5.0


class Quiescence:
    """Counts each thread's uses of a resource, and blocks new ones during a fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users: Counter[int] = Counter()
        self._is_forking = False

    @contextmanager
    def use(self) -> Generator[None]:
        """Mark the block as a use; a fork in another thread waits for its end."""
        thread = threading.get_ident()
        with self._changed:
            # A thread that the fork waits for must not wait itself.
            while self._is_forking and thread not in self._users:
                self._changed.wait(_MAX_WAIT)
            self._users[thread] += 1
        try:
            yield
        finally:
            with self._changed:
                self._users[thread] -= 1
                if not self._users[thread]:
                    del self._users[thread]
                    self._changed.notify_all()

    def begin_fork(self) -> bool:
        """Wait until no other thread uses the resource; return whether none does."""
        thread = threading.get_ident()
        with self._changed:
            self._is_forking = True
            self._changed.wait_for(lambda: not self._users.keys() - {thread}, _MAX_WAIT)
            return not self._users

    def end_fork(self) -> None:
        """Allow uses again."""
        with self._changed:
            self._is_forking = False
            self._changed.notify_all()


class ForkAware(Protocol):
    """An object with state that a forked child must not share with its parent."""

    def after_fork(self) -> None:
        """Replace that state; called in the child before any other code."""
        ...


class HasSocket(Protocol):
    """A transport or stream of asyncio, anyio or httpcore."""

    def get_extra_info(self, name: str, /) -> Any:
        """Return the socket for the name ``socket``, None if there is none."""
        ...


class CanBePaused(Protocol):
    """An event loop of asyncio."""

    def call_soon_threadsafe(self, callback: Callable[[], None], /) -> object:
        """Call ``callback`` in the loop's thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        ...


# Interval for checking whether a loop's thread has ended, in seconds.
_TICK: Final = 0.05

_callbacks: Final[list[Callable[[], None]]] = []
_objects: Final[WeakSet[ForkAware]] = WeakSet()
_locked: Final[WeakKeyDictionary[object, str]] = WeakKeyDictionary()
_sockets: Final[WeakSet[HasSocket]] = WeakSet()
_around: Final[list[tuple[Callable[[], None], Callable[[], None]]]] = []
_loops: Final[WeakKeyDictionary[threading.Thread, CanBePaused]] = WeakKeyDictionary()
_pauses: Final[list[_Pause]] = []
_quiescence = Quiescence()
# The parent's objects, which the child never frees: freeing one could close a TLS session or
# unregister a socket from the epoll object that both processes share.
_kept: Final[list[object]] = []


def after_fork_in_child(callback: Callable[[], None]) -> None:
    """Call ``callback`` in each forked child, after objects were renewed."""
    _callbacks.append(callback)


def renew_after_fork(owner: ForkAware) -> None:
    """Call ``owner.after_fork()`` in each forked child while ``owner`` exists."""
    _objects.add(owner)


def renew_lock_after_fork(owner: object, attribute: str = "_lock") -> None:
    """Replace the lock of ``owner`` in each forked child while ``owner`` exists."""
    _locked[owner] = attribute


def close_after_fork(stream: HasSocket) -> None:
    """Close the child's copy of the stream's socket; the parent's connection is not affected.

    Otherwise the peer would not see the parent close the connection until the child ends, too.
    """
    _sockets.add(stream)


def keep_forever(*objects: object) -> None:
    """Never free the parent's ``objects`` in this child."""
    _kept.extend(objects)


def around_fork(before: Callable[[], None], after_in_parent: Callable[[], None]) -> None:
    """Call ``before`` in the forking thread before each fork, and ``after_in_parent`` after it."""
    _around.append((before, after_in_parent))


def pause_for_fork(loop: CanBePaused, thread: threading.Thread) -> None:
    """Pause the event loop ``loop``, which runs in ``thread``, while another thread forks."""
    _loops[thread] = loop


@contextmanager
def undisturbed() -> Generator[None]:
    """Delay forks of other threads until the block ends, for a few seconds at most."""
    if threading.current_thread() in _loops:
        yield  # the loop pauses only after the block
        return
    with _quiescence.use():
        yield


class _Pause:
    """Pause of one event loop until the process has forked."""

    def __init__(self, loop: CanBePaused, thread: threading.Thread) -> None:
        self._thread = thread
        self._paused = threading.Event()
        self.end = threading.Event()
        with suppress(RuntimeError):  # closed
            loop.call_soon_threadsafe(self._pause)

    def _pause(self) -> None:
        self._paused.set()
        self.end.wait(_MAX_WAIT)

    def wait(self, until: float) -> None:
        """Wait until the loop has paused or its thread has ended."""
        while self._thread.is_alive() and (left := until - time.monotonic()) > 0:
            if self._paused.wait(min(left, _TICK)):
                break


def _before_fork() -> None:
    # Before loops pause, because other threads may wait for them.
    _quiescence.begin_fork()
    this = threading.current_thread()
    _pauses[:] = [
        _Pause(loop, thread)
        for thread, loop in list(_loops.items())
        if thread is not this and thread.is_alive()
    ]
    until = time.monotonic() + _MAX_WAIT
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


def imported(name: str) -> ModuleType:
    """Return the module ``name``; a fork waits until its import is done."""
    if name not in sys.modules:
        with undisturbed():
            import_module(name)
    # Another thread may still be importing it.
    return import_module(name)


def _after_fork() -> None:
    global _quiescence
    _quiescence = Quiescence()
    _loops.clear()
    keep_forever(*_pauses)
    _pauses.clear()
    _close_sockets()
    for owner, attribute in list(_locked.items()):
        # A reentrant lock can replace a plain one, too.
        setattr(owner, attribute, threading.RLock())
    for renew in (*(owner.after_fork for owner in list(_objects)), *_callbacks):
        try:
            renew()
        except Exception:
            # Renew the others all the same.
            _log.exception("A forked process could not replace what it shares with its parent")


def _close_sockets() -> None:
    streams = list(_sockets)
    _sockets.clear()
    keep_forever(*streams)
    descriptors = [number for number in map(_descriptor, streams) if number >= 0]
    if not descriptors:
        return
    # The socket objects keep these descriptors and may close them at exit, so the descriptors stay
    # in use and refer to the null device.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in descriptors:
        os.dup2(nothing, number, inheritable=False)
    os.close(nothing)


def _descriptor(stream: HasSocket) -> int:
    try:
        found = stream.get_extra_info("socket")
        return -1 if found is None else int(found.fileno())
    except Exception:
        # A closing stream may have no socket any more.
        return -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork
    )
