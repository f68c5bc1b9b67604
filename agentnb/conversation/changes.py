"""What happens in a conversation, and who is told of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agentnb._support.fork import renew_lock_after_fork
from agentnb.conversation.turns import Turn
from agentnb.run.run import Run

__all__ = ["Change", "Listeners", "follow_status", "is_open", "is_over"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What happened: ``added`` and ``replaced`` (its run) name a turn, so does ``status``.

    ``status`` is told when a run's status changes and when it has ended; ``head`` when another
    branch is shown; ``notice`` when that is another; ``opened`` when all turns are others than
    before.
    """

    kind: Literal["added", "replaced", "status", "head", "notice", "opened"]
    turn: Turn | None = None


class Listeners:
    """Those who are told of changes, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_lock_after_fork(self)
        self._callbacks: dict[object, Callable[[Change], None]] = {}

    def add(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``callback`` at every `tell`; return what undoes it."""
        key = object()
        with self._lock:
            self._callbacks[key] = callback

        def remove() -> None:
            with self._lock:
                self._callbacks.pop(key, None)

        return remove

    def tell(self, change: Change) -> None:
        """Call every listener; one that raises is logged and hurts nobody else."""
        with self._lock:
            callbacks = tuple(self._callbacks.values())
        for callback in callbacks:
            try:
                callback(change)
            except Exception:
                _log.exception("A listener of a conversation raised")


def is_over(run: Run) -> bool:
    """Tell whether the answer is there, so that the next question may follow.

    After its terminal event a stream may go on a little, with the usage for example.
    """
    return run.done or run.transcript.is_final


def is_open(turn: Turn) -> bool:
    """Tell whether a turn may change: one that waits for an approval has ended, and may go on."""
    return not turn.run.transcript.is_final


def follow_status(run: Run, changed: Callable[[], None]) -> None:
    """Call ``changed`` now, whenever the run's status or session is another, and at its end.

    A run that waits for an approval is followed on: it may yet be given up, or go on as another.
    """
    seen: list[object] = []
    over = threading.Lock()
    unsubscribe: list[Callable[[], None]] = []

    def look() -> None:
        now = [run.status, run.session_id, run.done]
        if run.done and (run.transcript.is_final or run.successor is not None):
            # Called on the loop's thread, and below, where it may have ended already.
            if over.acquire(blocking=False):
                for undo in unsubscribe:
                    undo()
                changed()
        elif now != seen:
            seen[:] = now
            changed()

    unsubscribe.append(run.subscribe(look))
    look()
