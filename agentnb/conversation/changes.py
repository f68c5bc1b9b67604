"""Changes of a conversation, and their listeners."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agentnb._support.fork import renew_lock_after_fork
from agentnb.conversation.turns import Turn
from agentnb.run.run import Run

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A change: ``added``, ``replaced`` (its run) and ``status`` have a turn.

    ``status`` means that a run's status changed or that it ended, ``head`` that another branch is
    shown, ``notice`` that the notice changed, ``opened`` that all turns are different.
    """

    kind: Literal["added", "replaced", "status", "head", "notice", "opened"]
    turn: Turn | None = None


class Listeners:
    """Listeners of changes.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_lock_after_fork(self)
        self._callbacks: dict[object, Callable[[Change], None]] = {}

    def add(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``callback`` at every `notify`; return what removes it."""
        key = object()
        with self._lock:
            self._callbacks[key] = callback

        def remove() -> None:
            with self._lock:
                self._callbacks.pop(key, None)

        return remove

    def notify(self, change: Change) -> None:
        """Call every listener; exceptions are logged."""
        with self._lock:
            callbacks = tuple(self._callbacks.values())
        for callback in callbacks:
            try:
                callback(change)
            except Exception:
                _log.exception("A listener of a conversation raised")


def is_answered(run: Run) -> bool:
    """Return whether the answer is complete; the stream may still go on, with usage for example."""
    return run.done or run.transcript.is_final


def is_open(turn: Turn) -> bool:
    """Return whether a turn may change; one that waits for an approval may."""
    return not turn.run.transcript.is_final


def follow_status(run: Run, changed: Callable[[], None]) -> None:
    """Call ``changed`` now, at every change of the run's status or session, and at its end.

    A paused run is followed until it is cancelled or continued by another.
    """
    seen: list[object] = []
    ended = threading.Lock()
    unsubscribe: list[Callable[[], None]] = []

    def on_change() -> None:
        now = [run.status, run.session_id, run.done]
        if run.done and (run.transcript.is_final or run.successor is not None):
            # Called on the loop's thread, and once below.
            if ended.acquire(blocking=False):
                for undo in unsubscribe:
                    undo()
                changed()
        elif now != seen:
            seen[:] = now
            changed()

    unsubscribe.append(run.subscribe(on_change))
    on_change()
