"""The watchdog: ends a wait that lasts too long."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Literal

from agentnb._http.deadlines import Deadlines, to_wait_longer
from agentnb.errors import DeadlineError

__all__ = ["Watchdog"]

Setting = Literal["first_event", "idle", "progress", "total"]

_NEVER: Final = float("inf")
_MEANING: Final[dict[Setting, str]] = {
    "first_event": "did not answer within {:g} s",
    "idle": "was silent for {:g} s",
    "progress": "sent no event for {:g} s, though it was not silent",
    "total": "did not finish within {:g} s",
}
# What else it means in a body, by whether that is one of events.
_IN_BODY: Final[dict[tuple[Setting, bool], str]] = {
    ("first_event", True): "answered, but sent no event within {:g} s",
    ("progress", False): "did not send the whole of its answer within {:g} s",
}


class Watchdog:
    """Guards the waits of one request and its answer.

    Used as in::

        with watchdog.head():
            response = await ...
        with watchdog.body(of_events=True):
            chunk = await ...

    Between the pieces of something that is waited for piece by piece, `pause` and `resume` keep the
    time of whoever takes them out of it; ``event_came`` is set when a piece completed an event.

    A wait that outlasts its setting in `Deadlines`, or the ``left`` seconds of ``total``, is
    cancelled and becomes a `DeadlineError`.  Only waiting counts: a slow consumer is no idle
    server.

    One timer serves all waits of a request.  A stream has as many as it has events, and setting up
    and taking down a timer for each would cost more than decoding the event.
    """

    __slots__ = (
        "_cancelling",
        "_deadlines",
        "_due",
        "_end",
        "_fired",
        "_idle",
        "_loop",
        "_mark",
        "_mark_of",
        "_name",
        "_of_events",
        "_progress",
        "_set_for",
        "_task",
        "_time",
        "_timer",
        "event_came",
    )

    def __init__(self, deadlines: Deadlines, *, name: str, left: float | None) -> None:
        self.event_came = False
        self._deadlines = deadlines
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._end = self._time() + _seconds(left)
        # Nothing for so long ends a wait ...
        self._idle = _NEVER
        # ... and so does this moment, of the setting that it is of; an event moves it.
        self._mark = _NEVER
        self._mark_of: Setting = "first_event"
        self._of_events: bool | None = None
        self._progress = _seconds(deadlines.progress)
        self._due = _NEVER
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._fired = False
        self._set_for = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def head(self) -> Watchdog:
        """Return the guard of the wait for an answer's head; it must be entered at once."""
        self._mark = self._time() + _seconds(self._deadlines.first_event)
        return self

    def body(self, *, of_events: bool) -> Watchdog:
        """Return the guard of the waits for a body's pieces; it must be entered at once.

        What is left of ``first_event`` goes on to count in one that is ``of_events``.
        """
        self._of_events = of_events
        self._idle = _seconds(self._deadlines.idle)
        # Since `head` was left this is no moment, but what was left then.
        if not of_events or self._mark > self._progress:
            self._mark = self._progress
            self._mark_of = "progress"
        self._mark += self._time()
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
        if self.event_came:
            self.event_came = False
            self._mark = now + self._progress
            self._mark_of = "progress"
        due = now + self._idle
        if due > self._mark:
            due = self._mark
        if due > self._end:
            due = self._end
        self._due = due
        # A stream that always has something more to read would never let a timer fire.
        if due <= now:
            raise self._error()
        # Told the loop, it need not find out which one runs, which costs a call of the system.
        self._task = task = asyncio.current_task(self._loop)
        if task is not None:
            self._cancelling = task.cancelling()
        # A timer that is set too early sets itself anew; one that is set too late must not stay.
        if due < self._set_for:
            self._set_timer(due)

    def __enter__(self) -> None:
        self.resume()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._fired and task is not None:
            self._fired = False
            # Someone else may have cancelled the task meanwhile; then that is what happened.
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise self._error() from None
        self._mark -= self._time()

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

    def _error(self) -> DeadlineError:
        """Say which setting the wait that is over ran into."""
        setting: Setting = "idle"
        if self._due >= self._end:
            setting = "total"
        elif self._due >= self._mark:
            setting = self._mark_of
        meaning = _MEANING[setting]
        if self._of_events is not None:
            meaning = _IN_BODY.get((setting, self._of_events), meaning)
        seconds: float = getattr(self._deadlines, setting)
        return DeadlineError(
            f"{self._name} {meaning.format(seconds)}.",
            deadline=setting,
            seconds=seconds,
            hint=to_wait_longer(setting),
        )


def _seconds(value: float | None) -> float:
    return _NEVER if value is None else value
