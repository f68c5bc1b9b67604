"""The watchdog: ends a wait that lasts too long."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Literal

from agentnb.deadlines import Deadlines
from agentnb.errors import DeadlineError

__all__ = ["Watchdog"]

Setting = Literal["first_event", "idle"]

_NEVER: Final = float("inf")
_MEANING: Final[dict[str, str]] = {
    "first_event": "did not answer within {:g} s",
    "idle": "was silent for {:g} s",
    "total": "did not finish within {:g} s",
}


class Watchdog:
    """Guards the waits of one request and its answer.

    Used as in::

        with watchdog.waiting("idle"):
            chunk = await ...

    Between the pieces of something that is waited for piece by piece, `pause` and `resume` keep the
    time of whoever takes them out of it.

    A wait that outlasts its setting in `Deadlines`, or what is left of ``total``, is cancelled and
    becomes a `DeadlineError`.  Only waiting counts: a slow consumer is no idle server.

    One timer serves all waits of a request.  A stream has as many as it has events, and setting up
    and taking down a timer for each would cost more than decoding the event.
    """

    __slots__ = (
        "_cancelling",
        "_deadlines",
        "_due",
        "_end",
        "_fired",
        "_limit",
        "_loop",
        "_name",
        "_set_for",
        "_setting",
        "_task",
        "_time",
        "_timer",
    )

    def __init__(self, deadlines: Deadlines, *, name: str) -> None:
        self._deadlines = deadlines
        self._name = name
        self._loop = asyncio.get_running_loop()
        total = deadlines.total
        self._time = self._loop.time
        self._end = _NEVER if total is None else self._time() + total
        self._due = self._end
        self._limit = _NEVER
        self._setting: Setting = "first_event"
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._fired = False
        self._set_for = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def waiting(self, setting: Setting) -> Watchdog:
        """Return the guard for one wait; it must be entered at once."""
        self._setting = setting
        return self

    def stop(self) -> None:
        """Take the timer down."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._set_for = _NEVER

    def pause(self) -> None:
        """Stop watching, within a wait: what follows is not waiting."""
        self._task = None

    def resume(self) -> None:
        """Watch again after `pause`, from now on."""
        now = self._time()
        if now >= self._end:
            raise self._error("total")
        due = now + self._limit
        self._due = due = due if due < self._end else self._end
        self._task = task = asyncio.current_task()
        if task is not None:
            self._cancelling = task.cancelling()
        # A timer that is set too early sets itself anew; one that is set too late must not stay.
        if due < self._set_for:
            self._set_timer(due)

    def __enter__(self) -> None:
        limit: float | None = getattr(self._deadlines, self._setting)
        self._limit = _NEVER if limit is None else limit
        self.resume()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if not self._fired or task is None:
            return
        self._fired = False
        # Someone else may have cancelled the task meanwhile; then that is what happened.
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error("total" if self._due >= self._end else self._setting) from None

    def _set_timer(self, due: float) -> None:
        self.stop()
        self._set_for = due
        self._timer = self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._set_for = _NEVER
        if self._task is None:
            return
        if self._time() < self._due:
            self._set_timer(self._due)
            return
        self._fired = True
        self._task.cancel()

    def _error(self, setting: str) -> DeadlineError:
        seconds: float = getattr(self._deadlines, setting)
        return DeadlineError(
            f"{self._name} {_MEANING[setting].format(seconds)}.",
            deadline=setting,
            seconds=seconds,
            hint=f"The deadline `{setting}` can be raised.",
        )
