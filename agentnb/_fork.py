"""Keep a forked child process apart from its parent.

A child made by `os.fork` has a copy of its parent's memory, the same open sockets, and only the
thread that forked.  Locks may be held by threads that do not exist there, and whatever is read from
or written to a socket is taken from, or added to, what the parent exchanges.  So each owner of such
state registers here how the child replaces it: modules by `after_fork_in_child`, objects by
`renew_after_fork`.  On systems without `os.fork` nothing is ever called.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

__all__ = [
    "ForkAware",
    "HasSocket",
    "after_fork_in_child",
    "around_fork",
    "close_after_fork",
    "keep_forever",
    "renew_after_fork",
    "renew_lock_after_fork",
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


_callbacks: Final[list[Callable[[], None]]] = []
_objects: Final[WeakSet[ForkAware]] = WeakSet()
_locked: Final[WeakKeyDictionary[object, str]] = WeakKeyDictionary()
_sockets: Final[WeakSet[HasSocket]] = WeakSet()
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
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=after_in_parent)


def _after_fork() -> None:
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
    os.register_at_fork(after_in_child=_after_fork)
